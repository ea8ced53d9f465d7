"""Runs models: devices, sessions of onnxruntime and OpenVINO, batches, memory, threads and compiled models."""
