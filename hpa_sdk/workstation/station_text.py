"""Reads the text of a station file, as Windows editors save it, with advice on common mistakes in its paths."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_sdk.errors import SettingError
from hpa_sdk.fields.table_text import encoding_of

_BACKSLASHES = (
    "In double quotes a backslash starts an escape: write paths and patterns in single quotes ('D:\\exports'), or paths"
    ' with slashes ("D:/exports").'
)
_CURLY = "“”„‟«»‘’‚"  # noqa: RUF001 - the quotes of word processors
_LINE = re.compile(r"at line (\d+)")
_SINGLE_OR_DOUBLE = re.compile(r"""'|\"""")
_QUOTES_OF_A_VALUE = 2


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file in the encoding of UTF-8 or UTF-16.

    Raises
    ------
    SettingError
        The file can't be read, is not TOML, or has a text with an unintended escape.
    """
    text = _read_text(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(str(error), where=path, remedy=_advice(_line_of(error, text))) from error
    for key, value in _texts(table, "$"):
        # "D:\temp" is valid TOML, with a tab. A typed tab, and a pattern with comments, are intended.
        if any(ord(mark) < ord(" ") for mark in value) and value not in text and "(?x" not in value:
            raise SettingError(f"{value!r} holds a control character - at `{key}`", where=path, remedy=_BACKSLASHES)
    return table


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode(encoding_of(content[:4]))
    except FileNotFoundError as error:
        raise SettingError(
            f"the station file can't be read ({error.strerror})",
            where=path,
            remedy="'hpa station init' writes one to start from.",
        ) from error
    except OSError as error:
        raise SettingError(
            f"the station file can't be read ({error.strerror})",
            where=path,
            remedy="Name a file that you may read; 'hpa station init' writes one to start from.",
        ) from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingError(
            f"the station file is no UTF-8 text (line {line})",
            where=path,
            remedy="Save it with the encoding UTF-8, which the editor offers where it asks for the name.",
        ) from error


def _line_of(error: tomllib.TOMLDecodeError, text: str) -> str:
    lines = text.rstrip().splitlines() or [""]
    found = _LINE.search(str(error))
    return lines[min(int(found[1]), len(lines)) - 1] if found else lines[-1]


def _advice(line: str) -> str:
    """Return advice on a line that is not TOML, by common mistakes."""
    value = line.partition("=")[2].strip()
    quotes = len(_SINGLE_OR_DOUBLE.findall(value))
    if any(mark in line for mark in _CURLY):
        return "Use straight quotes, ' or \", and write the file with a text editor."
    if "\\" in value and '"' in value:
        return _BACKSLASHES
    if quotes > _QUOTES_OF_A_VALUE:
        return "A quote inside a value ends it: put the other kind of quotes around it, or three of them ('''...''')."
    if value and not quotes:
        return "Put words and paths in single quotes: 'D:\\exports'."
    if quotes == 1:
        return "Close the quotes of this value."
    return "Correct this line of the station file."


def _texts(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _texts(part, f"{key}.{name}")
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from _texts(part, f"{key}[{at}]")
