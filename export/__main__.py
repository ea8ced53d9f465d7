"""The command ``python -m export``."""

import os

# tf2onnx only converts from TensorFlow; the shell may still be set to another backend, for the fit.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from hpa_sdk.cli.group import CommandGroup

main = CommandGroup(
    name="python -m export",
    home="export.cli",
    modules={
        name: name.replace("-", "_")
        for name in ("adopt", "bioimageio", "fp16", "onnx", "quantize", "raw-planes", "reference", "triton", "winograd")
    },
    help="Export fitted networks as ONNX files, variants and packages.",
)

if __name__ == "__main__":
    main()
