"""Measurements that print ratios within one run; each file is one command."""
