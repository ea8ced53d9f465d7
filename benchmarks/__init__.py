"""Measurements that compare alternatives within one run; each file is one command."""

import os

# As in the packages; a benchmark may import Keras before them.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
