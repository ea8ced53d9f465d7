"""Fits the two networks; run from a checkout as ``python -m training``."""

import os

from hpa_sdk.lazy_import import name_moved_modules

# TensorFlow disables oneDNN on processors without AVX-512. It helps there too: a fit takes half the time.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

name_moved_modules()
