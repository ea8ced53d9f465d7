"""The command ``python -m export``."""

import os

# tf2onnx converts from TensorFlow alone, whatever backend the shell was set to for the fit.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from hpa_sdk.cli.group import CommandGroup

main = CommandGroup(
    name="python -m export",
    home="export.cli",
    modules={
        name: name.replace("-", "_")
        for name in ("bioimageio", "fp16", "onnx", "quantize", "raw-planes", "triton", "winograd")
    },
    help="Turn fitted networks into files that leave the lab.",
)

if __name__ == "__main__":
    main()
