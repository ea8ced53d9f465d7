"""Lists what lies in a watched folder, as often as a watch asks: by names alone, without a Path or a stat for each."""

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
        Look into the folders below too, and give the names in them in their place, such as ``"sub/a_red.png"``. A
        folder below that can't be listed is passed over.

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
    """Say whether a name of `list_names` is that of a file, or an OME-Zarr folder, of a microscope."""
    # A leading dot is what a program that is still writing likes to use, too.
    if _extension(name) not in OPENERS or not is_data(name.rpartition("/")[2]):
        return False
    return _extension(name) == OME_ZARR or not (folder / name).is_dir()


def is_folder(name: str) -> bool:
    """Say whether a name that `is_plane_file` is that of a folder."""
    return _extension(name) == OME_ZARR


def _extension(name: str) -> str:
    return extension_of(name)


def read_stamp(path: Path) -> FileStamp | None:
    """Ask the system for a file's stamp, or for that of a folder with all files in it; None where it is gone."""
    try:
        return stamp_of(path)
    except OSError:
        return None


def count_chunks(folder: Path, before: FileStamp) -> tuple[int, int]:
    """Count the files of an OME-Zarr folder that hold pixels: those not written since it had a stamp, and all."""
    old = every = 0
    for below, _, names in os.walk(folder):
        for name in names:
            if name in _ZARR_DESCRIPTIONS or name.startswith("."):
                continue
            stamp = read_stamp(Path(below, name))
            every += 1
            # The time of the last change can't be set: a copy that keeps the times of its files is a new writing too.
            if stamp is not None and before.changed is not None and stamp.changed is not None:
                old += stamp.changed <= before.changed
            else:
                old += stamp is not None and (stamp.modified or 0) <= (before.modified or 0)
    return old, every


_ZARR_DESCRIPTIONS = frozenset(("METADATA.ome.xml", "zarr.json"))  # those of Zarr 2 begin with a dot


def opens(path: Path, files: Files) -> bool:
    """Say whether a file can be opened: on Windows, one that a program is writing often can't.

    Of an OME-Zarr folder, all pictures that its metadata list have to be there, with all of their chunks unless those
    that are missing are filled.
    """
    try:
        if not path.is_dir():
            path.open("rb").close()
            return True
        with open_scenes(path, missing_chunks=files.missing_chunks) as scenes:
            return all(scene() for scene in scenes.values())
    except (OSError, HpaError):
        return False
