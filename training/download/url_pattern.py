"""Gives the address of each plane of a field on a server."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import Formatter
from urllib.parse import quote

import httpx

from hpa_sdk.errors import DownloadError
from hpa_sdk.fields.samples import Channel

HPA_V18 = "http://v18.proteinatlas.org/images/{folder}/{rest}_{channel}.jpg"
"""Address of the planes of the field ``<folder>_<rest>`` in release 18 of the Human Protein Atlas."""

_PLACEHOLDERS = {"id", "folder", "rest", "channel"}
_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class UrlPattern:
    """The address of a plane, with placeholders.

    Parameters
    ----------
    pattern : str
        An http or https address with ``{channel}`` and either ``{id}`` or both ``{folder}`` and ``{rest}``: the parts
        before and after the first ``_`` of an id.

    Raises
    ------
    DownloadError
        The pattern is not such an address.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._names = self._read_placeholders()
        self._check_address()

    def url(self, field_id: str, channel: Channel) -> str:
        """Return the address of one plane."""
        folder, _, rest = field_id.partition("_")
        parts = {"id": field_id, "folder": folder, "rest": rest, "channel": channel.value}
        return self.pattern.format_map({name: quote(part, safe="") for name, part in parts.items()})

    def check_ids(self, field_ids: Iterable[str]) -> None:
        """Check that each id can be part of an address and of a file name.

        Raises
        ------
        DownloadError
            One has other characters than letters, digits, ``_``, ``-`` and ``.``, or lacks the ``_`` that the pattern
            needs.
        """
        for field_id in field_ids:
            if not _SAFE_ID.fullmatch(field_id):
                raise DownloadError(
                    f"the id {field_id!r} can't be part of a file name",
                    remedy="An id has letters, digits, '_', '-' and '.', and starts with neither '.' nor '-'.",
                )
            if "rest" in self._names and not all(field_id.partition("_")):
                raise DownloadError(
                    f"the id {field_id!r} has no '_' between {{folder}} and {{rest}}",
                    remedy="Correct the id, or give an address with {id}.",
                )

    def _read_placeholders(self) -> set[str]:
        try:
            parsed = [part[1:] for part in Formatter().parse(self.pattern) if part[1] is not None]
        except ValueError as error:
            raise self._refusal(str(error)) from error
        names = {name for name, _, _ in parsed if name}
        if any(name not in _PLACEHOLDERS or form or conversion for name, form, conversion in parsed):
            raise self._refusal("it has an unknown placeholder")
        if "channel" not in names or not ("id" in names or {"folder", "rest"} <= names):
            raise self._refusal("it would give several planes the same address")
        return names

    def _check_address(self) -> None:
        try:
            address = httpx.URL(self.url("1_1", Channel.RED))
        except httpx.InvalidURL as error:
            raise self._refusal(str(error)) from error
        if address.scheme not in {"http", "https"} or not address.host or "{" in self.pattern.split("/")[2]:
            raise self._refusal("it names no http or https server")

    def _refusal(self, reason: str) -> DownloadError:
        return DownloadError(
            f"the address pattern {self.pattern!r} can't be used: {reason}",
            remedy=f"Use {{channel}} and {{id}}, or {{channel}}, {{folder}} and {{rest}}, as in {HPA_V18}",
        )
