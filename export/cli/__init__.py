"""The commands of ``python -m export``, one per file."""
