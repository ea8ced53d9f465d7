"""Checks with the wheel installed and no checkout in reach; run by ``make test-wheel``."""
