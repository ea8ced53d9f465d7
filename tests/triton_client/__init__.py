"""Checks of a model repository with Triton's own messages; run by ``make test-triton``."""
