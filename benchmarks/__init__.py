"""Measurements that print ratios within one run; each file is one command."""

import os

# As `python -m training` and `python -m export` do.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
