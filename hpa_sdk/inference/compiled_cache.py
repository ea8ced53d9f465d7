"""Keeps what a runtime made of a model between starts, where making it takes longer than reading it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import platformdirs

from hpa_sdk.errors import ModelFileError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.models.onnx_file import file_sha256

Opened = TypeVar("Opened")

FOLDER_VARIABLE = "HPA_CACHE"
"""Environment variable that names another folder for the cache; empty, nothing is kept."""

MOST_CACHED = 12
"""Entries of the cache; the one that was not used for longest goes first."""

# Killed starts leave their partial files, of which `atomic_write` says the form.
_OWN = re.compile(r"(\.[0-9a-f]{8}\.)?[0-9a-f]{32}(\.\w+)?")
_DIGEST_SIZE = hashlib.sha256().digest_size
_log = logging.getLogger("hpa_sdk")


def cache_folder() -> Path | None:
    """Give the folder of the cache, which need not exist; None where nothing is to be kept."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is None:
        return platformdirs.user_cache_path("hpa-sdk", appauthor=False)
    return Path(named) if named else None


def cached_path(model: ModelContent, made_by: Mapping[str, str], suffix: str) -> Path | None:
    """Give the place of what a runtime made of a model.

    Parameters
    ----------
    model : ModelContent
        The model; every byte counts.
    made_by : mapping of str to str
        All else that decides: the runtime's version, the processor or card, and the settings.
    suffix : str
        Ending of the name; empty for a folder.

    Returns
    -------
    pathlib.Path or None
        A place that nothing else has, in the user's own cache folder. None where nothing is to be kept.
    """
    folder = cache_folder()
    if folder is None:
        return None
    key = json.dumps({"model": model.identity.sha256, **made_by}, sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{suffix}"


def open_cached(kept: Path | None, *, read: Callable[[bytes], Opened], make: Callable[[Path | None], Opened]) -> Opened:
    """Open what was kept; or make it, and keep it for the next start.

    What is kept ends in its SHA-256. What was damaged or can't be opened is made again, and a cache that can't be
    written costs a line in the log and nothing else.

    Parameters
    ----------
    kept : pathlib.Path or None
        Where it is kept.
    read : callable
        Opens the content that was kept; may raise anything.
    make : callable
        Makes it from the model, and writes it to the file that it is given, if any.
    """
    if kept is not None and kept.is_file():
        try:
            opened = read(_checked_content(kept))
            os.utime(kept)
        except Exception as error:  # noqa: BLE001 - of a damaged file comes whatever comes, and it is made again
            _log.info("%s is made again (%s)", kept, error)
        else:
            return opened
    if kept is not None:
        try:
            _make_room(kept.parent)
            with atomic_write(kept) as partial:
                opened = make(partial)
                digest = bytes.fromhex(file_sha256(partial))
                with partial.open("ab") as file:
                    file.write(digest)
        except Exception as error:  # noqa: BLE001 - what is wrong with the model itself comes again below
            _log.info("Nothing is kept for the next start (%s)", error)
        else:
            return opened
    return make(None)


def _checked_content(kept: Path) -> bytes:
    stored = kept.read_bytes()
    content = stored[:-_DIGEST_SIZE]
    if hashlib.sha256(content).digest() != stored[-_DIGEST_SIZE:]:
        raise ModelFileError("the kept file is damaged", where=kept, remedy="It is made again.")
    return content


def make_cache_folder(folder: Path) -> bool:
    """Make a folder in the cache that a runtime fills itself, or note that it was used now; False where it can't be."""
    try:
        if not folder.is_dir():
            _make_room(folder.parent)
            folder.mkdir(exist_ok=True)  # another start may be as far
        os.utime(folder)
    except OSError as error:
        _log.info("Nothing is kept for the next start (%s)", error)
        return False
    return True


def _make_room(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # The folder may be one that the user named, with files of others in it.
    own = [entry for entry in folder.iterdir() if _OWN.fullmatch(entry.name)]
    entries = sorted(own, key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in entries[MOST_CACHED - 1 :]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
