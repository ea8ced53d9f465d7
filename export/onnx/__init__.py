"""Exports a fitted network as an ONNX file."""
