"""Lists the content of folders, by the same rule for all commands: hidden, deleted and preview files are ignored."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpa_sdk.errors import SampleError

OME_ZARR = ".zarr"
"""Extension of OME-Zarr folders, which are listed like files."""

# Folders of operating systems and network storage: recycle bins, snapshots, indices, and Mac folders in zip files.
_NO_DATA = frozenset(
    {
        *("__macosx", "$recycle.bin", "system volume information", "lost+found", "recycler"),
        *("@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "~snapshot", "~snapshots"),
    }
)
_PREVIEWS = re.compile(r"(?:thumb|thumbs|thumbnails?|previews?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Folder:
    """The content of one folder.

    Attributes
    ----------
    prefix : str
        Its path below the searched folder, with slashes and one at the end. Empty for the searched folder itself.
    path : str
        Its path.
    names : list of str
        Names of files and of OME-Zarr folders, as on the disk.
    """

    prefix: str
    path: str
    names: list[str]


def is_data(name: str) -> bool:
    """Whether a name, without folders, can be that of data: it is neither hidden nor a name of the operating system."""
    return not name.startswith(".") and name.lower() not in _NO_DATA


def walk(folder: str | Path, *, recursive: bool, on_error: Callable[[OSError], None]) -> Iterator[Folder]:
    """List a folder, and the folders below it in sorted order.

    Linked folders are followed after all others, and each folder is listed once, even if several links lead to it.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder to search. It is always listed, whatever its name.
    recursive : bool
        Also list the folders below. Preview folders are skipped.
    on_error : callable
        Called with the error of each folder that can't be listed. May raise.

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
            below.sort(reverse=True)  # the last entry is the next one
            waiting += [(f"{prefix}{name}/", os.path.join(path, name)) for name in below]  # noqa: PTH118


def _is_new(path: str, seen: set[tuple[int, int] | str]) -> bool:
    status = os.stat(path)  # noqa: PTH116 - faster than a Path for each folder
    # Some Windows disks have no numbers for folders.
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
            # A Path for each name, or a separate system call, would be ten times slower.
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
    """Return the form in which names are compared: the same for both ways to write an accent in Unicode."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def existing(path: Path) -> Path:
    """Return a path as it is on the disk: macOS stores accents in another form than most keyboards type them.

    A path that does not exist in any form is returned unchanged.
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
    """Raise the error of a folder that can't be listed. Can be passed to `walk` as `on_error`."""
    raise unlistable([error]) from error


def unlistable(errors: Sequence[OSError]) -> SampleError:
    """Make the error for folders that can't be listed."""
    first, *others = errors
    more = f", and neither can {len(others)} more" if others else ""
    return SampleError(
        f"the folder can't be listed ({first.strerror}){more}",
        where=first.filename,
        remedy="Check that you may read it.",
    )
