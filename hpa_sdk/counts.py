"""Writes how many there are of something, in the grammar of English, for messages."""

from __future__ import annotations


def count_of(number: int, noun: str) -> str:
    """Give a number with its noun: ``1 field``, ``2 fields``, ``31,072 fields``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
