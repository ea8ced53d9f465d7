"""Checks with the wheel for NVIDIA GPUs on a machine that has none; run by ``make test-gpu-wheel``."""
