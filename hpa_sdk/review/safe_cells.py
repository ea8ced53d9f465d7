"""Writes texts of people to cells of tables, so that no spreadsheet takes one for a formula, and reads them back."""

from __future__ import annotations

import re

# What spreadsheets take for the start of a formula, in full width too: OWASP, "CSV Injection". A text that has
# apostrophes before it gets one more, so that every text can be read back.
_START = r"[=+\-@＝＋－＠\t\r\n|%]"  # noqa: RUF001
_FORMULA = re.compile(f"'*{_START}")
_PROTECTED = re.compile(f"'+{_START}")


def to_cell(text: str) -> str:
    """Return the text for a cell: with an apostrophe before what could be a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Return the text that `to_cell` wrote."""
    return cell[1:] if _PROTECTED.match(cell) else cell
