"""Reads one catalogue file of models, and writes entries in the same form."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

import msgspec

from hpa_sdk.errors import CatalogueError, ModelFileError

CATALOGUE_NAME = "catalogue.toml"
"""Name of the file that describes the models beside it."""

_FORM = 1
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # a single letter is a Windows drive
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_FILE = re.compile(r"[^\\/:*?\"<>|\x00-\x1f.][^\\/:*?\"<>|\x00-\x1f]*\.(onnx|zip)", re.IGNORECASE)
_WEB = ("http://", "https://")
_REMEDY = "Correct the catalogue; docs/models.md describes its form."


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model of a catalogue.

    Attributes
    ----------
    title : str
        What it is, in one line.
    unit : str
        What it answers for: ``"field"`` or ``"cell"``.
    scheme : str
        Its label scheme, such as ``"hpa-2018"``.
    licence, citation : str
        Terms of use, and what to cite.
    address : str
        Where the file is: an address on the web or a path. A relative one starts at the catalogue's own place.
    version, homepage : str
        What its publisher calls this version, and the publisher's page.
    file : str
        Name of the file; empty for the last part of the address.
    size : int or None
        Bytes, if the publisher states them.
    sha256 : str or None
        SHA-256 in hexadecimal, if the publisher states it. In a folder of fetched models, always that of the file.
    pinned : str or None
        Only for a fetched model. Where the SHA-256 comes from: ``"publisher"`` or ``"first download"``.
    fetched : str or None
        Only for a fetched model. Time of the download, ISO 8601 in UTC.
    card : dict or None
        The model card for a file that has none inside.
    """

    title: str
    unit: Literal["field", "cell"]
    scheme: str
    licence: str
    address: str
    citation: str = ""
    version: str = ""
    homepage: str = ""
    file: str = ""
    size: Annotated[int, msgspec.Meta(gt=0)] | None = None
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None
    pinned: Literal["publisher", "first download"] | None = None
    fetched: str | None = None
    card: dict[str, Any] | None = None

    @property
    def on_the_web(self) -> bool:
        """Whether the file is fetched from a web server, and not copied from a disk."""
        return self.address.lower().startswith(_WEB)

    @property
    def file_name(self) -> str:
        """Name of the file on the disk."""
        if self.file:
            return self.file
        path = unquote(urlsplit(self.address).path) if self.on_the_web else Path(self.address).as_posix()
        return PurePosixPath(path).name


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    form: Literal[1]  # _FORM
    models: dict[str, CatalogueEntry] = {}


def is_address(text: str) -> bool:
    """Whether this is an address, such as ``https://server/file``, and not a local path."""
    return _ADDRESS.match(text) is not None


def parse_catalogue(text: str, place: str) -> dict[str, CatalogueEntry]:
    """Read a catalogue, with absolute addresses.

    Parameters
    ----------
    text : str
        Its text, TOML.
    place : str
        The path or address that it was read from.

    Returns
    -------
    dict of str to CatalogueEntry
        The models by name, in its order.

    Raises
    ------
    CatalogueError
        It is not TOML, lists a name twice, or has a key or value that can't be used. The message names it.
    """
    try:
        models = msgspec.convert(tomllib.loads(text), _File).models
    except tomllib.TOMLDecodeError as error:
        # TOML itself refuses a second table of the same name, in words that few know.
        twice = " (a model is listed twice)" if "Cannot declare" in str(error) else ""
        raise CatalogueError(f"the catalogue can't be read: {error}{twice}", where=place, remedy=_REMEDY) from error
    except (msgspec.ValidationError, RecursionError) as error:
        raise CatalogueError(f"the catalogue can't be used: {error}", where=place, remedy=_REMEDY) from error
    return {name: _checked(name, entry, place) for name, entry in models.items()}


def read_own_entry(catalogue: Path) -> tuple[str, CatalogueEntry]:
    """Return the name and the entry of the catalogue beside a fetched model.

    Raises
    ------
    CatalogueError
        It can't be read, or does not describe exactly one fetched model.
    """
    remedy = "Remove this folder and fetch the model again."
    try:
        models = parse_catalogue(catalogue.read_text(encoding="utf-8"), str(catalogue))
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"the catalogue can't be read ({error})", where=catalogue, remedy=remedy) from error
    if len(models) != 1 or any(entry.sha256 is None or entry.size is None for entry in models.values()):
        raise CatalogueError("this does not describe one fetched model", where=catalogue, remedy=remedy)
    return next(iter(models.items()))


def check_file(file: Path, name: str, entry: CatalogueEntry, *, found: str | None = None) -> None:
    """Refuse a file that is not the one of its entry.

    Parameters
    ----------
    file : pathlib.Path
        The file of a fetched model, or of one in the package.
    name : str
        Name of the model.
    entry : CatalogueEntry
        Its entry, beside it or in the package.
    found : str, optional
        The SHA-256 of the file. Without it only the size is compared.

    Raises
    ------
    ModelFileError
        It has another size or SHA-256.
    """
    size = file.stat().st_size
    what = None
    if entry.size is not None and size != entry.size:
        what = f"{size:,} bytes, not {entry.size:,}"
    elif found is not None and found != entry.sha256:
        what = f"the SHA-256 {found}, not {entry.sha256}"
    if what is not None and entry.fetched is None:
        raise ModelFileError(
            f"the file of the model {name} is not the one of this release of hpa-sdk: it has {what}",
            where=file,
            remedy="Install hpa-sdk again with 'pip install --force-reinstall'.",
        )
    if what is not None:
        raise ModelFileError(
            f"the file of the model {name} was changed after it was fetched: it has {what}",
            where=file,
            remedy=f"Remove it with 'hpa models remove {name}' and get it again.",
        )


def catalogue_text(entries: Mapping[str, CatalogueEntry]) -> str:
    """Write entries as the text of a catalogue."""
    import tomli_w  # noqa: PLC0415 - few commands write a catalogue

    models = {name: msgspec.to_builtins(entry) for name, entry in entries.items()}
    return tomli_w.dumps({"form": _FORM, "models": models})


def _checked(name: str, entry: CatalogueEntry, place: str) -> CatalogueEntry:
    def refuse(what: str) -> CatalogueError:
        return CatalogueError(what, where=f"{place}: {name}", remedy=_REMEDY)

    if not _NAME.fullmatch(name):
        raise refuse("a name has up to 64 small letters, digits, hyphens and underscores, and no dot")
    entry = msgspec.structs.replace(entry, address=_absolute(entry.address, place))
    if is_address(entry.address) and not entry.on_the_web:
        raise refuse(f"{entry.address} is neither an address on the web (http, https) nor a path")
    if not _FILE.fullmatch(entry.file_name):
        raise refuse(f"{entry.file_name!r} is no name of an .onnx or .zip file: give one as 'file'")
    return entry


def _absolute(address: str, place: str) -> str:
    if is_address(address):
        return address
    if is_address(place):
        return urljoin(place, address)
    return str((Path(place).parent / address).absolute())
