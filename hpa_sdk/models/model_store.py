"""Keeps fetched models in a folder, each with a catalogue of its own that pins the SHA-256 of its file."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import platformdirs

from hpa_sdk.errors import DownloadError, HpaError, ModelFileError, OutputError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_lock import hold_lock
from hpa_sdk.files.partial_file import PartialFile
from hpa_sdk.models.card_file import card_from_table
from hpa_sdk.models.catalogue_entry import (
    CATALOGUE_NAME,
    CatalogueEntry,
    catalogue_text,
    check_file,
    read_own_entry,
)
from hpa_sdk.models.downloads import copy_file, fetch_file
from hpa_sdk.models.model_package import LARGEST_MODEL
from hpa_sdk.models.onnx_file import file_sha256, read_onnx

FOLDER_VARIABLE = "HPA_MODELS"
"""Environment variable for another folder of fetched models."""

LICENCE_NAME = "LICENCE.txt"
"""Name of the file that states the terms of use beside each model."""

LONGEST_WAIT = 3600.0
"""Longest wait in seconds for another process that fetches the same model."""

_FORGET = "To take the other one: 'hpa models remove --forget {name}', then get it again."
_log = logging.getLogger("hpa_sdk")


class ModelStore:
    """A folder of fetched models: ``<folder>/<name>/<file>``.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Default: the one that the variable ``HPA_MODELS`` names, or else one of the user.
    """

    def __init__(self, folder: Path | None = None) -> None:
        named = os.environ.get(FOLDER_VARIABLE)
        default = Path(named) if named else platformdirs.user_data_path("hpa-sdk", appauthor=False) / "models"
        self.folder = (folder or default).absolute()

    def names(self) -> list[str]:
        """Return the names of the models that were fetched, sorted; also of those that were removed but are pinned."""
        try:
            return sorted(entry.parent.name for entry in self.folder.glob(f"*/{CATALOGUE_NAME}"))
        except OSError:
            return []

    def entry(self, name: str) -> CatalogueEntry | None:
        """Return the entry of a fetched model, with its SHA-256; None if it was never fetched.

        Raises
        ------
        CatalogueError
            It can't be read.
        """
        own = self.folder / name / CATALOGUE_NAME
        return read_own_entry(own)[1] if own.is_file() else None

    def file(self, name: str) -> Path | None:
        """Return the file of a fetched model; None if it is not here.

        Raises
        ------
        CatalogueError
            Its entry can't be read.
        """
        entry = self.entry(name)
        if entry is None:
            return None
        file = self.folder / name / entry.file_name
        return file if file.is_file() else None

    def get(self, name: str, entry: CatalogueEntry, *, other: ModelStore | None = None) -> Path:
        """Return the file of a model, fetching it if it is not here.

        Parameters
        ----------
        name : str
            Name of the model.
        entry : CatalogueEntry
            Its entry in a catalogue.
        other : ModelStore, optional
            Another folder of fetched models, from which it is copied if it is there.

        Raises
        ------
        DownloadError
            It can't be fetched, is no model, or has another SHA-256 than the publisher's or the earlier one.
        OutputError
            The folder can't be written, or the disk is full.
        ModelCardError
            The catalogue's card of the model can't be used.
        """
        folder = self.folder / name
        self._check_pin(name, entry)
        if (file := self.file(name)) is not None:
            return file
        _make_folder(folder)
        with hold_lock(
            folder / ".lock",
            busy=lambda: _busy(folder),
            no_lock=lambda error: _no_folder(folder, error),
            patience=LONGEST_WAIT,
        ):
            if (file := self.file(name)) is None:  # another process may have fetched it meanwhile
                file = self._fetch(name, entry, other)
        return file

    def remove(self, name: str, *, forget: bool = False) -> bool:
        """Remove the file of a model. Its SHA-256 stays pinned, unless that is to be forgotten too.

        Returns
        -------
        bool
            Whether there was something to remove.

        Raises
        ------
        OutputError
            It can't be removed.
        """
        folder = self.folder / name
        entry = self.entry(name)
        if entry is None:
            return False
        try:
            here = (folder / entry.file_name).is_file()
            (folder / entry.file_name).unlink(missing_ok=True)
            PartialFile(_part(folder, entry), largest=LARGEST_MODEL).discard()
            if forget:
                (folder / LICENCE_NAME).unlink(missing_ok=True)
                (folder / CATALOGUE_NAME).unlink(missing_ok=True)
                (folder / ".lock").unlink(missing_ok=True)
                with suppress(OSError):  # something of the user's is in it
                    folder.rmdir()
        except OSError as error:
            raise OutputError(
                f"the model can't be removed ({error.strerror})",
                where=folder,
                remedy="Check that you may write there and that no program uses it.",
            ) from error
        return here or forget

    def verify(self, name: str) -> None:
        """Refuse a fetched model whose file is not the one that was fetched.

        Raises
        ------
        ModelFileError
            It is not here, or has another size or SHA-256.
        CatalogueError
            Its entry can't be read.
        """
        entry, file = self.entry(name), self.file(name)
        if entry is None or file is None:
            raise ModelFileError("the model is not here", where=name, remedy=f"Fetch it: 'hpa models get {name}'.")
        check_file(file, name, entry, found=file_sha256(file))

    def _check_pin(self, name: str, entry: CatalogueEntry) -> None:
        own = self.entry(name)
        if own is not None and entry.sha256 is not None and own.sha256 != entry.sha256:
            raise DownloadError(
                f"the catalogue states the SHA-256 {entry.sha256}, and the file that was fetched has {own.sha256}",
                where=self.folder / name,
                remedy=_FORGET.format(name=name),
            )
        if own is not None and entry.version != own.version:
            _log.warning(
                "%s: version %s is used, and the catalogue has %s. %s",
                *(name, own.version or "unknown", entry.version or "another", _FORGET.format(name=name)),
            )

    def _fetch(self, name: str, entry: CatalogueEntry, other: ModelStore | None) -> Path:
        folder, part = self.folder / name, _part(self.folder / name, entry)
        pinned = self.entry(name) or (other.entry(name) if other else None)
        expected = entry.sha256 or (pinned.sha256 if pinned else None)
        if entry.card is not None:
            card_from_table(entry.card, where=f"the catalogue's card of {name}")  # before anything is fetched
        announce(name, entry, folder)
        if other is not None and (copy := other.file(name)) is not None:
            copy_file(copy, part)
        elif entry.on_the_web:
            fetch_file(entry.address, part, unchecked=expected is None and entry.size is None)
        else:
            copy_file(Path(entry.address), part)
        try:
            digest = _check_arrived(name, entry, part, expected=expected)
        except HpaError:
            PartialFile(part, largest=LARGEST_MODEL).discard()  # nothing that is wrong is kept
            raise
        kept = msgspec.structs.replace(
            entry,
            file=entry.file_name,
            size=part.stat().st_size,
            sha256=digest,
            pinned=entry.pinned or ("publisher" if entry.sha256 else "first download"),
            fetched=pinned.fetched if pinned else datetime.now(UTC).isoformat(timespec="seconds"),
        )
        for stray in folder.glob(".????????.*"):  # left by atomic writes that were killed
            stray.unlink(missing_ok=True)
        # First the entry, so that there is never a file without its SHA-256.
        _write(folder / LICENCE_NAME, licence_text(name, kept))
        _write(folder / CATALOGUE_NAME, catalogue_text({name: kept}))
        file = folder / kept.file
        with atomic_write(file) as target:
            part.replace(target)
        PartialFile(part, largest=LARGEST_MODEL).discard()
        return file


def announce(name: str, entry: CatalogueEntry, folder: Path) -> None:
    """Say under which terms a model may be used, before it is fetched for the first time."""
    size = "" if entry.size is None else f" ({entry.size / 1e6:.1f} MB)"
    _log.warning(
        "%s%s is fetched from %s to %s. Licence: %s. Cite: %s.",
        *(name, size, entry.address, folder, entry.licence, entry.citation or "not stated"),
    )


def licence_text(name: str, entry: CatalogueEntry) -> str:
    """Write the terms of use of a model as its publisher states them."""
    lines = [
        f"{name}: {entry.title}",
        f"Licence: {entry.licence}",
        f"Cite: {entry.citation or 'not stated'}",
        f"Version: {entry.version or 'not stated'}",
        f"Publisher: {entry.homepage or 'not stated'}",
        f"File: {entry.file_name}, fetched from {entry.address}",
        f"SHA-256: {entry.sha256} ({entry.pinned})",
    ]
    return "\n".join(lines) + "\n"


def _check_arrived(name: str, entry: CatalogueEntry, part: Path, *, expected: str | None) -> str:
    size = part.stat().st_size
    if entry.size is not None and size != entry.size:
        raise DownloadError(
            f"the file has {size:,} bytes, and the catalogue states {entry.size:,}",
            where=entry.address,
            remedy="The publisher may have replaced it: compare with the publisher's page.",
        )
    digest = file_sha256(part)
    if expected is not None and digest != expected:
        who = "the catalogue states" if entry.sha256 else "the first download had"
        raise DownloadError(
            f"the file has the SHA-256 {digest}, and {who} {expected}",
            where=entry.address,
            remedy=f"It was replaced or damaged: compare with the publisher's page. {_FORGET.format(name=name)}",
        )
    with part.open("rb") as file:
        if file.read(64).lstrip()[:1] == b"<":
            raise DownloadError(
                "the address gives a web page, not a model", where=entry.address, remedy="Open it in a browser."
            )
    try:
        read_onnx(part)
    except ModelFileError as error:
        raise DownloadError(
            f"the file can't be used as a model: {error.what}", where=entry.address, remedy="Check the address."
        ) from error
    return digest


def _part(folder: Path, entry: CatalogueEntry) -> Path:
    return folder / f"{entry.file_name}.part"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_folder(folder, error) from error


def _busy(folder: Path) -> OutputError:
    return OutputError(
        "another process is still fetching this model", where=folder, remedy="Run again when it has finished."
    )


def _no_folder(folder: Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(
        f"no model can be stored here ({reason})",
        where=folder,
        remedy=f"Name a folder that you may write to in {FOLDER_VARIABLE}, or with 'hpa models get --to'.",
    )


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
