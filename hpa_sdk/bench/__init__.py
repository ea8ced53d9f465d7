"""Measures how fast a model answers on this machine, what binds it, and how that compares with other ways."""
