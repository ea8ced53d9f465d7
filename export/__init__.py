"""Exports a fitted network as an ONNX file with a model card; run from a checkout as ``python -m export``."""

import os

from hpa_sdk.lazy_import import name_moved_modules

# TensorFlow disables oneDNN on processors without AVX-512. It helps there too: a fit takes half the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

name_moved_modules()
