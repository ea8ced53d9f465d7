"""Helpers for files that know nothing of this project: atomic writes, locks, SQLite, and which content a file has."""
