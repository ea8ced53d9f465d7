"""Measurements that print ratios within one run; each file is one command."""

import os

# As the packages do; a benchmark may import Keras before them.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
