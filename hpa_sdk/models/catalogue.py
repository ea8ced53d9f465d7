"""Knows the models that have a name: those of the package's catalogue, of the lab's own, and those already fetched."""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from hpa_sdk.errors import CatalogueError, DownloadError, HpaError, ModelFileError, OutputError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.catalogue_entry import CatalogueEntry, is_address, parse_catalogue
from hpa_sdk.models.downloads import read_text_from_web
from hpa_sdk.models.model_store import ModelStore
from hpa_sdk.models.packaged_models import built_in_catalogue

VARIABLE = "HPA_CATALOGUE"
"""Environment variable for the lab's own catalogues: paths as in PATH, or one address."""

BUILT_IN = "the catalogue of hpa-sdk"
"""What messages call the package's own catalogue."""

NEAREST = 3
"""Most names that are suggested for one that is not known."""

_log = logging.getLogger("hpa_sdk")


class Known(NamedTuple):
    """An entry and the catalogue that it is from."""

    entry: CatalogueEntry
    catalogue: str


def known_models(store: ModelStore, *, fresh: bool = False) -> dict[str, Known]:
    """Return all models that have a name.

    An entry of the lab wins over one of the package, and an earlier catalogue of the lab over a later one. A model that
    was fetched earlier is known by its own entry if no catalogue lists it.

    Parameters
    ----------
    store : ModelStore
        The folder of fetched models, which also keeps copies of catalogues from the web.
    fresh : bool
        Read catalogues on the web again, even if there is a copy.

    Raises
    ------
    CatalogueError
        A catalogue can't be read, or lists a name twice.
    """
    known: dict[str, Known] = {}
    for place in lab_catalogues():
        _add(known, parse_catalogue(_lab_text(place, store, fresh=fresh), place), place)
    _add(known, built_in_catalogue(), BUILT_IN)
    for name in set(store.names()) - set(known):
        try:
            if (entry := store.entry(name)) is not None:
                known[name] = Known(entry, str(store.folder))
        except CatalogueError as error:  # one damaged folder must not hide the others
            _log_once(str(error))
    return known


def find_model(name: str, store: ModelStore, *, fresh: bool = False) -> Known:
    """Return the entry of a name.

    Raises
    ------
    ModelFileError
        No model has this name. The message gives the nearest ones.
    CatalogueError
        As for `known_models`.
    """
    known = known_models(store, fresh=fresh)
    if name not in known:
        raise unknown_model(name, known)
    return known[name]


def unknown_model(name: str, known: Mapping[str, object]) -> ModelFileError:
    """Return the error for a text that is neither a file nor the name of a model."""
    nearest = difflib.get_close_matches(name.lower(), known, NEAREST, cutoff=0.5)
    suggestion = f"Did you mean {' or '.join(nearest)}? " if nearest else ""
    return ModelFileError(
        "no such file, and no model has this name",
        where=name,
        remedy=f"{suggestion}Name a model file; 'hpa models list' shows all names.",
    )


def lab_catalogues() -> list[str]:
    """Return the paths and addresses of the lab's own catalogues."""
    value = os.environ.get(VARIABLE, "")
    return [value] if is_address(value) else [part for part in value.split(os.pathsep) if part]


def _add(known: dict[str, Known], entries: Mapping[str, CatalogueEntry], place: str) -> None:
    for name, entry in entries.items():
        if name in known:
            _log_once(f"{name}: the entry in {known[name].catalogue} is used, not the one in {place}")
        else:
            known[name] = Known(entry, place)


@lru_cache(maxsize=256)
def _log_once(line: str) -> None:
    _log.warning("%s", line)


def _lab_text(place: str, store: ModelStore, *, fresh: bool) -> str:
    if is_address(place):
        return _text_from_web(place, store, fresh=fresh)
    try:
        return Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(
            f"the catalogue that {VARIABLE} names can't be read ({error})",
            where=place,
            remedy=f"Name an existing file in {VARIABLE}, or unset it.",
        ) from error


def _text_from_web(address: str, store: ModelStore, *, fresh: bool) -> str:
    copy = store.folder / "catalogues" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.toml"
    if copy.is_file() and not fresh:
        return copy.read_text(encoding="utf-8")
    try:
        text = read_text_from_web(address)
        parse_catalogue(text, address)  # a page of a proxy must not replace a good copy
    except DownloadError as error:
        if not copy.is_file():
            raise CatalogueError(
                f"the catalogue that {VARIABLE} names can't be fetched ({error.what})",
                where=address,
                remedy="Check the address and the network, or name a file.",
            ) from error
        _log.warning("%s: the copy of an earlier time is used (%s)", address, error.what)
        return copy.read_text(encoding="utf-8")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(copy) as partial:
            partial.write_text(text, encoding="utf-8")
    except (OSError, OutputError) as error:
        reason = error.what if isinstance(error, HpaError) else error
        _log.info("%s is not kept for times without a network (%s)", address, reason)
    return text
