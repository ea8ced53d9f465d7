"""Lists what lies in folders, by one rule for all commands: what is hidden, thrown away or a preview is no data."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpa_sdk.errors import SampleError

OME_ZARR = ".zarr"
"""Extension of OME-Zarr folders, which are listed as if they were files."""

# Folders of systems and of network storage: recycle bins, snapshots, indices, and what a Mac packs into a zip file.
_NO_DATA = frozenset(
    {
        *("__macosx", "$recycle.bin", "system volume information", "lost+found", "recycler"),
        *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot", "~snapshots"),
    }
)
_PREVIEWS = re.compile(r"(?:thumb|thumbs|thumbnails?|previews?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Folder:
    """What lies in one folder.

    Attributes
    ----------
    prefix : str
        Its place below the folder that was searched, with slashes and one at the end; empty for that one itself.
    path : str
        Where it lies.
    names : list of str
        Names of files, and of OME-Zarr folders, as the disk has them.
    """

    prefix: str
    path: str
    names: list[str]


def is_data(name: str) -> bool:
    """Say whether a name, without folders, can be that of data: not where it is hidden or a system's own."""
    return not name.startswith(".") and name.lower() not in _NO_DATA


def walk(folder: str | Path, *, recursive: bool, on_error: Callable[[OSError], None]) -> Iterator[Folder]:
    """List a folder, and those below it in sorted order.

    Linked folders are followed after all others, and each folder is listed once, however many links lead to it.

    Parameters
    ----------
    folder : str or pathlib.Path
        Where to look. What is named is listed whatever its name is.
    recursive : bool
        List the folders below too. Folders of previews are left out.
    on_error : callable
        Called with the error of each folder that can't be listed; may raise.

    Yields
    ------
    Folder
    """
    links: list[tuple[str, str]] = []
    seen: set[tuple[int, int] | str] = set()
    yield from _walk("", os.fspath(folder), seen, links, on_error, recursive=recursive)
    while links:
        links.sort(reverse=True)
        prefix, path = links.pop()
        yield from _walk(prefix, path, seen, links, on_error, recursive=True)


def _walk(
    prefix: str,
    path: str,
    seen: set[tuple[int, int] | str],
    links: list[tuple[str, str]],
    on_error: Callable[[OSError], None],
    *,
    recursive: bool,
) -> Iterator[Folder]:
    waiting = [(prefix, path)]
    while waiting:
        prefix, path = waiting.pop()
        try:
            if recursive and not _is_new(path, seen):
                continue
            names, below = _list(path, prefix, links)
        except OSError as error:
            on_error(error)
            continue
        yield Folder(prefix, path, names)
        if recursive:
            below.sort(reverse=True)  # the last is the next
            waiting += [(f"{prefix}{name}/", os.path.join(path, name)) for name in below]  # noqa: PTH118


def _is_new(path: str, seen: set[tuple[int, int] | str]) -> bool:
    status = os.stat(path)  # noqa: PTH116 - a text for each folder
    # Some disks of Windows have no numbers of folders.
    own = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
    if own in seen:
        return False
    seen.add(own)
    return True


def _list(path: str, prefix: str, links: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    names: list[str] = []
    below: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if not is_data(name):
                continue
            # A Path for each name, or an own call of the system, would cost ten times as much.
            if not entry.is_dir() or name.lower().endswith(OME_ZARR):
                names.append(name)
            elif _PREVIEWS.fullmatch(name):
                continue
            elif entry.is_symlink():
                links.append((f"{prefix}{name}/", entry.path))
            else:
                below.append(name)
    return names, below


def same_name(name: str) -> str:
    """Give the form in which names are compared: the same for both ways in which Unicode writes an accent."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def existing(path: Path) -> Path:
    """Give a path as the disk has it: macOS writes accents in another form than most keyboards do.

    A path that is not there in any form is given as it is.
    """
    if os.fspath(path).isascii() or path.exists():
        return path
    found = Path(path.anchor)
    for part in path.parts[1:] if path.anchor else path.parts:
        if not part.isascii() and not (found / part).exists():
            part = _in_other_form(found, part)  # noqa: PLW2901
        found /= part
    return found


def _in_other_form(folder: Path, name: str) -> str:
    try:
        return next((other for other in sorted(os.listdir(folder)) if same_name(other) == same_name(name)), name)  # noqa: PTH208
    except OSError:
        return name


def raise_unlistable(error: OSError) -> None:
    """Raise the error of a folder that can't be listed: what `walk` takes as `on_error`."""
    raise unlistable([error]) from error


def unlistable(errors: Sequence[OSError]) -> SampleError:
    """Make the error of folders that can't be listed."""
    first, *others = errors
    more = f", and neither can {len(others)} more" if others else ""
    return SampleError(
        f"the folder can't be listed ({first.strerror}){more}",
        where=first.filename,
        remedy="Check that you may read it.",
    )
