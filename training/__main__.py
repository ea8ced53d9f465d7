"""The command ``python -m training``."""

import os

from hpa_sdk.cli.group import CommandGroup

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow leaves it off on processors without AVX-512, which it serves as well: a fit takes half the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

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
