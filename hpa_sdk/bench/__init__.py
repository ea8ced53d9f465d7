"""Measures how fast a model answers on this machine, what limits the rate, and how it compares with baselines."""
