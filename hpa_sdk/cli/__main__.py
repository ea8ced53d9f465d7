"""The command ``python -m hpa_sdk.cli``, for use when ``hpa`` is not on the path."""

from hpa_sdk.cli.group import main

if __name__ == "__main__":
    main()
