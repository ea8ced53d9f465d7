"""Makes model repositories for Triton Inference Server."""
