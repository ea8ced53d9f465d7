"""The command ``python -m training``."""

import os

from hpa_sdk.cli.group import CommandGroup

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

main = CommandGroup(
    name="python -m training",
    home="training.cli",
    modules={
        "compare": "compare",
        "download": "download",
        "evaluate": "evaluate",
        "fit": "fit",
        "prepare": "prepare",
        "simulate": "simulate",
    },
    help="Simulate fields and fit the networks.",
)

if __name__ == "__main__":
    main()
