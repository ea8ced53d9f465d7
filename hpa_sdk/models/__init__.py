"""Model files: their card, contract and checksum, and the metadata of an ONNX file."""
