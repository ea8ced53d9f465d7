"""Caches compiled models between starts, if compiling takes longer than reading the result."""

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
"""Environment variable for another cache folder. If it is empty, nothing is cached."""

MOST_CACHED = 12
"""Most entries in the cache. The least recently used entry is removed first."""

# Interrupted starts leave partial files, named as in `atomic_write`.
_OWN = re.compile(r"(\.[0-9a-f]{8}\.)?[0-9a-f]{32}(\.\w+)?")
_DIGEST_SIZE = hashlib.sha256().digest_size
_log = logging.getLogger("hpa_sdk")


def cache_folder() -> Path | None:
    """Return the cache folder, which need not exist; None if nothing is cached."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is None:
        return platformdirs.user_cache_path("hpa-sdk", appauthor=False)
    return Path(named) if named else None


def cached_path(model: ModelContent, made_by: Mapping[str, str], suffix: str) -> Path | None:
    """Return the cache path for a compiled model.

    Parameters
    ----------
    model : ModelContent
        The model. Every byte counts.
    made_by : mapping of str to str
        Everything else that the result depends on: the runtime version, the processor or GPU, and the settings.
    suffix : str
        Suffix of the name. Empty for a folder.

    Returns
    -------
    pathlib.Path or None
        A unique path in the user's cache folder. None if nothing is cached.
    """
    folder = cache_folder()
    if folder is None:
        return None
    key = json.dumps({"model": model.identity.sha256, **made_by}, sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{suffix}"


def open_cached(
    cached: Path | None, *, read: Callable[[bytes], Opened], make: Callable[[Path | None], Opened]
) -> Opened:
    """Open a cached model, or make it and cache it for the next start.

    A cached file ends with its SHA-256. A file that is damaged or can't be opened is made again. If the cache can't be
    written, the only effect is a line in the log.

    Parameters
    ----------
    cached : pathlib.Path or None
        Path of the cached file.
    read : callable
        Opens the cached content. May raise any exception.
    make : callable
        Makes it from the model, and writes it to the given file, if any.
    """
    if cached is not None and cached.is_file():
        try:
            opened = read(_checked_content(cached))
            os.utime(cached)
        except Exception as error:  # noqa: BLE001 - a damaged file can raise anything, and it is made again
            _log.info("%s is made again (%s)", cached, error)
        else:
            return opened
    if cached is not None:
        try:
            _make_room(cached.parent)
            with atomic_write(cached) as partial:
                opened = make(partial)
                digest = bytes.fromhex(file_sha256(partial))
                with partial.open("ab") as file:
                    file.write(digest)
        except Exception as error:  # noqa: BLE001 - an error of the model itself is raised again below
            _log.info("Nothing is cached for the next start (%s)", error)
        else:
            return opened
    return make(None)


def _checked_content(cached: Path) -> bytes:
    stored = cached.read_bytes()
    content = stored[:-_DIGEST_SIZE]
    if hashlib.sha256(content).digest() != stored[-_DIGEST_SIZE:]:
        raise ModelFileError("the cached file is damaged", where=cached, remedy="It is made again.")
    return content


def make_cache_folder(folder: Path) -> bool:
    """Make a cache folder that a runtime fills, or record that it was used now; False if that fails."""
    try:
        if not folder.is_dir():
            _make_room(folder.parent)
            folder.mkdir(exist_ok=True)  # another process may create it at the same time
        os.utime(folder)
    except OSError as error:
        _log.info("Nothing is cached for the next start (%s)", error)
        return False
    return True


def _make_room(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # The user may have named this folder, so it can contain other files.
    own = [entry for entry in folder.iterdir() if _OWN.fullmatch(entry.name)]
    entries = sorted(own, key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in entries[MOST_CACHED - 1 :]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
