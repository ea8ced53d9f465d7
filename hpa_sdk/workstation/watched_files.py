"""Lists a watched folder at little cost: by names only, without a Path or a stat for each."""

from __future__ import annotations

import os
from pathlib import Path

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.listing import is_data, walk
from hpa_sdk.fields.rules import Files
from hpa_sdk.fields.scenes import OME_ZARR, OPENERS, extension_of, open_scenes
from hpa_sdk.files.file_state import FileStamp, stamp_of


def list_names(folder: Path, *, recursive: bool) -> set[str]:
    """List the names in a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look.
    recursive : bool
        List the folders below too, with names such as ``"sub/a_red.png"``. A folder below that can't be listed is
        ignored.

    Raises
    ------
    OSError
        The folder can't be listed.
    """
    # A Path for each name would cost ten times as much.
    if not recursive:
        return set(os.listdir(folder))  # noqa: PTH208

    def on_error(error: OSError) -> None:
        if error.filename == os.fspath(folder):
            raise error

    found = walk(folder, recursive=True, on_error=on_error)
    return {below.prefix + name for below in found for name in below.names}


def is_plane_file(folder: Path, name: str) -> bool:
    """Return whether a name of `list_names` is that of a file, or an OME-Zarr folder, of a microscope."""
    # Programs also use a leading dot for files that they are still writing.
    if _extension(name) not in OPENERS or not is_data(name.rpartition("/")[2]):
        return False
    return _extension(name) == OME_ZARR or not (folder / name).is_dir()


def is_folder(name: str) -> bool:
    """Return whether a name that `is_plane_file` is that of a folder."""
    return _extension(name) == OME_ZARR


def _extension(name: str) -> str:
    return extension_of(name)


def read_stamp(path: Path) -> FileStamp | None:
    """Read the stamp of a file, or of a folder with all files in it; None if it is gone."""
    try:
        return stamp_of(path)
    except OSError:
        return None


def count_chunks(folder: Path, before: FileStamp) -> tuple[int, int]:
    """Count the files of an OME-Zarr folder that contain pixels: those not written since a stamp, and all."""
    old = every = 0
    for below, _, names in os.walk(folder):
        for name in names:
            if name in _ZARR_DESCRIPTIONS or name.startswith("."):
                continue
            stamp = read_stamp(Path(below, name))
            every += 1
            # The time of the last status change can't be set: a copy that preserves file times is a new writing too.
            if stamp is not None and before.changed is not None and stamp.changed is not None:
                old += stamp.changed <= before.changed
            else:
                old += stamp is not None and (stamp.modified or 0) <= (before.modified or 0)
    return old, every


_ZARR_DESCRIPTIONS = frozenset(("METADATA.ome.xml", "zarr.json"))  # those of Zarr 2 start with a dot


def opens(path: Path, files: Files) -> bool:
    """Return whether a file can be opened: on Windows, one that a program is writing often can't.

    In an OME-Zarr folder, all pictures that its metadata list must exist, with all of their chunks unless missing ones
    are filled.
    """
    try:
        if not path.is_dir():
            path.open("rb").close()
            return True
        with open_scenes(path, missing_chunks=files.missing_chunks) as scenes:
            return all(scene() for scene in scenes.values())
    except (OSError, HpaError):
        return False
