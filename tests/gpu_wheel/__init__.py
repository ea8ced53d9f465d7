"""Checks with the wheel for NVIDIA cards on a machine that has none; run by ``make test-gpu-wheel``."""
