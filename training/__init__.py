"""Fits the two networks; run from a checkout as ``python -m training``."""
