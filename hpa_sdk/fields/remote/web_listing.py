"""Parses a web server's folder listing, and normalizes addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import unquote, urljoin

# Runs in a single pass for any content of an untrusted page.
_LINK = re.compile(r"""\bhref\s{0,9}=\s{0,9}["']([^"'<>?#]{1,2000})["']""", re.IGNORECASE)


def is_web(address: str) -> bool:
    """Whether an address is one of a web server, whose names are percent-encoded."""
    return address.lower().startswith(("http://", "https://"))


def encoded(address: str) -> str:
    """Return the address for a request to a web server: percent-encoded, unless it already is.

    Raises
    ------
    ValueError
        It is not an address.
    """
    import yarl  # noqa: PLC0415 - comes with the extra

    return str(yarl.URL(address))


def readable(name: str) -> str:
    """Return an encoded name, without folders, as the file has it."""
    return unquote(name, errors="surrogateescape").replace("/", "%2F")


def listed(page: bytes, folder: str) -> list[Mapping[str, Any]]:
    """Return the links of a page in fsspec's form for folder entries. Links that end with a slash are folders.

    Parameters
    ----------
    page : bytes
        HTML.
    folder : str
        The address of the folder, to which the links are relative.
    """
    names: dict[str, None] = {}
    for link in _LINK.findall(page.decode("utf-8", "replace")):
        try:
            names[encoded(urljoin(f"{folder.rstrip('/')}/", unescape(link)))] = None
        except ValueError:  # not an address
            continue
    return [{"name": name, "type": "directory" if name.endswith("/") else "file"} for name in names]
