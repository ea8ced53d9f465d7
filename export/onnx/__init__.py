"""Turns a fitted network into an ONNX file."""
