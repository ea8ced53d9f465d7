"""Reads what a web server's page of a folder lists, and gives each address one way of writing it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import unquote, urljoin

# In one pass, whatever a stranger's page holds.
_LINK = re.compile(r"""\bhref\s{0,9}=\s{0,9}["']([^"'<>?#]{1,2000})["']""", re.IGNORECASE)


def is_web(address: str) -> bool:
    """Tell whether an address is one of a web server, whose names are percent-encoded."""
    return address.lower().startswith(("http://", "https://"))


def encoded(address: str) -> str:
    """Give an address of a web server as it is asked for: percent-encoded where it was not yet.

    Raises
    ------
    ValueError
        It is none.
    """
    import yarl  # noqa: PLC0415 - comes with the extra

    return str(yarl.URL(address))


def readable(name: str) -> str:
    """Give an encoded name, without folders, as the file has it."""
    return unquote(name, errors="surrogateescape").replace("/", "%2F")


def listed(page: bytes, folder: str) -> list[Mapping[str, Any]]:
    """Give the links of a page as fsspec gives the entries of a folder: those that end with a slash are folders.

    Parameters
    ----------
    page : bytes
        HTML.
    folder : str
        The address of the folder, from which the links are followed.
    """
    names: dict[str, None] = {}
    for link in _LINK.findall(page.decode("utf-8", "replace")):
        try:
            names[encoded(urljoin(f"{folder.rstrip('/')}/", unescape(link)))] = None
        except ValueError:  # no address
            continue
    return [{"name": name, "type": "directory" if name.endswith("/") else "file"} for name in names]
