"""Turns a fitted network into an ONNX file that describes itself; run from a checkout as ``python -m export``."""
