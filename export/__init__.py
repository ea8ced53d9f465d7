"""Turns a fitted network into an ONNX file that describes itself; run from a checkout as ``python -m export``."""

import os

# TensorFlow leaves it off on processors without AVX-512, which it serves as well: a fit takes half the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
