"""Model files: their card, their contract, their checksum, and what an ONNX file says of itself."""
