"""Finds the model that a text means: a file, a folder of a fetched model, or a name."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from hpa_sdk.errors import CatalogueError
from hpa_sdk.models.card_file import card_from_table
from hpa_sdk.models.catalogue_entry import CATALOGUE_NAME, CatalogueEntry, check_file, read_own_entry
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelIdentity
from hpa_sdk.models.packaged_models import built_in_catalogue, is_packaged, packaged_entry, packaged_file

_log = logging.getLogger("hpa_sdk")


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model file, and what its catalogue says about it.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    name : str
        Its name in the catalogue; empty if the file is from no catalogue.
    entry : CatalogueEntry or None
        Its entry, with the SHA-256 that it was fetched or released with; None if the file is from no catalogue.
    """

    path: Path
    name: str = ""
    entry: CatalogueEntry | None = None

    def check(self, content: ModelIdentity) -> None:
        """Refuse the content of the file if it is not what was fetched or released.

        Raises
        ------
        ModelFileError
            It has another SHA-256.
        """
        if self.entry is not None:
            check_file(self.path, self.name, self.entry, found=content.sha256)


def resolve_model(model: str | os.PathLike[str]) -> NamedModel:
    """Return the model that a text means. One that is known by name, and neither here nor in the package, is fetched.

    An existing path always wins over a name. A text with a separator or an extension is never a name.

    Parameters
    ----------
    model : str or os.PathLike
        Path of a model file, of the folder of a fetched model, or a name.

    Raises
    ------
    ModelFileError
        No such file and no such name, or the file was changed after it was fetched.
    CatalogueError, DownloadError, OutputError
        The name is known, but the model can't be fetched.
    """
    text = os.fspath(model)
    path = Path(text)
    if path.is_dir() and (path / CATALOGUE_NAME).is_file():
        _, entry = read_own_entry(path / CATALOGUE_NAME)
        path /= entry.file_name
    elif looks_like_name(text) and not path.exists():
        path = _file_of(text)
    named = _described(path)
    if named.entry is not None and path.is_file():
        check_file(path, named.name, named.entry)
    return named


def looks_like_name(text: str) -> bool:
    """Whether a text can be the name of a model: it has no separator and no extension."""
    return bool(text) and not any(mark in text for mark in "/\\:.~")


def catalogue_card(path: Path) -> ModelCard | None:
    """Return the card that the catalogue has for a fetched model; None if it has none.

    Raises
    ------
    ModelCardError
        The card can't be used.
    """
    named = _described(path)
    if named.entry is None or named.entry.card is None:
        return None
    return card_from_table(named.entry.card, where=f"{path.parent / CATALOGUE_NAME}: {named.name}")


def origin_of(model: ModelIdentity) -> dict[str, str]:
    """Return what the catalogue says about a model in use, for the provenance of results.

    Returns
    -------
    dict of str to str
        Name, version, address and licence, and where its SHA-256 was first stated. Empty if it is from no catalogue.
    """
    named = NamedModel(model.where) if model.path is None else _described(model.path)
    if named.entry is None or named.entry.sha256 != model.sha256:
        return {}
    entry = named.entry
    return {
        "name": named.name,
        "version": entry.version,
        "address": entry.address,
        "licence": entry.licence,
        "sha256_from": entry.pinned or "package",
    }


def _file_of(name: str) -> Path:
    # A tenth of a second that a path does not need.
    from hpa_sdk.models.catalogue import find_model  # noqa: PLC0415
    from hpa_sdk.models.model_store import ModelStore  # noqa: PLC0415

    own = built_in_catalogue().get(name)
    store = ModelStore()
    here = Path(own.address) if own is not None and is_packaged(own) else store.file(name)
    try:
        known = find_model(name, store, fresh=here is None)
    except CatalogueError as error:
        if here is None:
            raise
        # Without a network, as on a workstation, the model that is here is enough.
        _log.warning("%s; the model %s that is here is used", error, name)
        return here
    # An entry of the lab may have taken the name of a packaged model.
    return packaged_file(name, known.entry) if is_packaged(known.entry) else store.get(name, known.entry)


def _described(path: Path) -> NamedModel:
    if (packaged := packaged_entry(path)) is not None:
        return NamedModel(path, *packaged)
    own = path.parent / CATALOGUE_NAME
    try:
        name, entry = read_own_entry(own) if own.is_file() else ("", None)
    except CatalogueError as error:
        # Such as a lab's own catalogue, which lists what lies beside it.
        _log.info("%s: not described by the catalogue beside it (%s)", path, error)
        return NamedModel(path)
    return NamedModel(path, name, entry) if entry is not None and entry.file_name == path.name else NamedModel(path)
