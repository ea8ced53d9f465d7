"""Opens a model in a runtime and runs it there: onnxruntime, or OpenVINO beside it."""
