"""Finds samples: where the four channels of one field of view lie on the disk."""

from __future__ import annotations

import enum
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import HpaError, SampleError
from hpa_sdk.file_state import FileState
from hpa_sdk.tables import read_columns


class Channel(enum.StrEnum):
    """One of the four fluorescence channels, in the order in which planes are stacked."""

    RED = "red"  # microtubules
    GREEN = "green"  # the protein of interest
    BLUE = "blue"  # nucleus
    YELLOW = "yellow"  # endoplasmic reticulum


EXTENSIONS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
"""Extensions of files that hold one plane each."""

# Where all planes of a field lie there in two formats, the first of these counts.
_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlanes:
    """The planes of one field as they were read.

    Attributes
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow.
    files : tuple of FileState
        The files that they were read from, as they were then; empty for planes that never lay in a file.
    notes : tuple of str
        What was done to the planes, and what is unknown.
    """

    planes: npt.NDArray[np.uint8 | np.uint16]
    files: tuple[FileState, ...] = ()
    notes: tuple[str, ...] = ()


class PlaneSource(Protocol):
    """Reads the planes of a field whose channels do not lie as four plain pictures, such as a stack of a microscope."""

    def read(self) -> FieldPlanes:
        """Read the planes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One field of view and the files of its four channels.

    A sample says where planes should be. Whether they are there, and can be read, shows when they are read: so one
    incomplete field is one failure among the answers and does not stop a batch.

    Attributes
    ----------
    id : str
        What the four file names have in common, with the folder below the searched one in front, if any.
    files : tuple of pathlib.Path
        The four planes in the order of `Channel`: red, green, blue, yellow. With a `source`, the files that it reads,
        one at least. Absolute where `find_samples` gives them, so that they stay the same files in another folder.
    source : PlaneSource, optional
        What reads the planes, where they are no four plain pictures.
    note : str
        What is to be known of how it was found; can be empty.
    problem : HpaError or None
        Why its planes can't be chosen among those that lie there. Reading such a sample raises it.
    """

    id: str
    files: tuple[Path, ...]
    source: PlaneSource | None = None
    note: str = ""
    problem: HpaError | None = None


def find_samples(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    recursive: bool = False,
) -> Iterator[Sample]:
    """Find the samples that a path means.

    Parameters
    ----------
    path : str or os.PathLike
        - a stem: ``Dataset/train/0007`` means ``Dataset/train/0007_red.png`` and its three siblings;
        - any one of the four files of a sample;
        - a folder: every sample in it, sorted by id;
        - a table in the Kaggle form (``.csv`` with a column ``Id``): its ids, in the order of the table.
    root : str or os.PathLike, optional
        Folder in which a table's ids are looked for. Default: ``train/`` beside the table, or its own folder.
    recursive : bool
        Search the folders below a folder too, in sorted order.

    Yields
    ------
    Sample
        Files are PNG, TIFF or JPEG, named ``<id>_<channel>.<extension>``, all four of one format. A channel whose file
        is missing is named as it was expected. Where the planes lie there in several formats, see `choose_planes`.

    Raises
    ------
    SampleError
        Nothing lies at `path`, a file name does not end with a channel, or a folder holds no sample. Where only some
        of the folders below it can't be listed, this comes last: what the others hold is given first.
    TableError
        The table has no column ``Id``, or can't be read.
    """
    path = Path(path).absolute()
    try:
        if path.is_dir():
            yield from _samples_in_folder(path, recursive=recursive)
        elif path.suffix.lower() == ".csv":
            yield from _samples_in_table(path, planes_folder(path) if root is None else Path(root).absolute())
        elif path.suffix.lower() in EXTENSIONS:
            yield _sample_of_file(path)
        else:
            yield _sample_of_stem(path)
    except (OSError, ValueError) as error:  # a path that the system refuses, or that names no file
        raise SampleError(f"the path can't be followed ({error})", where=path, remedy="Check the path.") from error


def count_samples(path: str | os.PathLike[str], *, recursive: bool = False) -> int:
    """Count the samples that a path means, sooner than `find_samples` gives them all.

    Parameters
    ----------
    path, recursive
        As for `find_samples`.

    Raises
    ------
    HpaError
        As for `find_samples`.
    """
    path = Path(path)
    if path.is_dir():
        unlisted: list[SampleError] = []
        return sum(len(by_stem) for _, by_stem in _listings(path, unlisted, recursive=recursive))
    return sum(1 for _ in read_columns(path, "Id")) if path.suffix.lower() == ".csv" else 1


def planes_folder(table: Path) -> Path:
    """Give the folder in which a table's planes lie: ``train/`` beside it, as in the Kaggle set, or its own."""
    below = table.parent / "train"
    return below if below.is_dir() else table.parent


def _samples_in_folder(folder: Path, *, recursive: bool) -> Iterator[Sample]:
    found = False
    unlisted: list[SampleError] = []
    for below, by_stem in _listings(folder, unlisted, recursive=recursive):
        prefix = below.relative_to(folder).as_posix()
        for stem in sorted(by_stem):
            found = True
            yield _sample(stem if prefix == "." else f"{prefix}/{stem}", below / stem, by_stem[stem])
    if unlisted:
        first, *others = unlisted
        more = f", and neither can {len(others)} more" if others else ""
        raise SampleError(f"{first.what}{more}", where=first.where, remedy=first.remedy)
    if not found:
        raise SampleError(
            "the folder holds no sample",
            where=folder,
            remedy="Planes are named <id>_red.png, <id>_green.png, <id>_blue.png and <id>_yellow.png (or .tif, .jpg)"
            + ("." if recursive else "; to search the folders below it too, ask for a recursive search."),
        )


def _samples_in_table(table: Path, root: Path) -> Iterator[Sample]:
    if not root.is_dir():
        raise SampleError("no such folder", where=root, remedy="Name the folder that holds the planes of the table.")
    listed: dict[Path, dict[str, list[str]]] = {}
    for _, (sample_id,) in read_columns(table, "Id"):
        stem = root / sample_id
        if stem.parent not in listed:
            listed[stem.parent] = _names_by_stem(stem.parent) if stem.parent.is_dir() else {}
        yield _sample(sample_id, stem, listed[stem.parent].get(stem.name, []))


def _sample_of_file(path: Path) -> Sample:
    stem, channel, _ = _split_name(path.name)
    if channel is None:
        raise SampleError(
            "the file name does not end with a channel",
            where=path,
            remedy="A plane is named <id>_red, <id>_green, <id>_blue or <id>_yellow, then .png, .tif or .jpg.",
        )
    if not path.is_file():
        raise SampleError("no such file", where=path, remedy="Check the path.")
    # The format of the file that was named is the one that is meant.
    own = [extension for extension in EXTENSIONS if _FORMATS[extension] == _FORMATS[path.suffix.lower()]]
    names = _find_names(path.with_name(stem), dict.fromkeys((path.suffix, *own)))
    return _sample(stem, path.with_name(stem), dict.fromkeys((path.name, *names)))


def _sample_of_stem(stem: Path) -> Sample:
    names = _find_names(stem, EXTENSIONS)
    if not names:
        raise SampleError(
            "no sample lies here",
            where=stem,
            remedy=f"Name a folder, a table, a plane, or what four planes such as {stem.name}_red.png share.",
        )
    return _sample(stem.name, stem, names)


def _sample(sample_id: str, stem: Path, names: Iterable[str]) -> Sample:
    names = list(names)
    chosen = choose_planes(names, stem)
    extension = os.path.splitext(names[0])[1] if names else EXTENSIONS[0]  # noqa: PTH122 - no Path for each
    if chosen.names:
        extension = os.path.splitext(next(iter(chosen.names.values())))[1]  # noqa: PTH122 - as above
    red, green, blue, yellow = (
        stem.with_name(chosen.names.get(channel, f"{stem.name}_{channel}{extension}")) for channel in Channel
    )
    return Sample(sample_id, (red, green, blue, yellow), note=chosen.note, problem=chosen.problem)


@dataclass(frozen=True, slots=True)
class ChosenPlanes:
    """The planes of a field among all files of its name.

    Attributes
    ----------
    names : dict of Channel to str
        Names of files; a channel that is not there is missing.
    note : str
        What was left out, if all planes lie there in several formats.
    problem : HpaError or None
        Why none can be chosen.
    """

    names: Mapping[Channel, str]
    note: str = ""
    problem: HpaError | None = None


def choose_planes(names: Sequence[str], where: str | os.PathLike[str]) -> ChosenPlanes:
    """Choose the planes of a field: all of one format, never one of this and one of that.

    Parameters
    ----------
    names : sequence of str
        Names of files, without folders, that differ in channel and extension alone.
    where : str or os.PathLike
        What they have in common, with its folder, for messages.

    Returns
    -------
    ChosenPlanes
        The only format in which all four planes are there; of several such the first of PNG, TIFF and JPEG, with a
        note. Nothing where the planes are spread over several formats, or a channel has two files of one format.
    """
    by_format: dict[str, dict[Channel, str]] = {}
    for name in names:
        _, channel, extension = _split_name(name)
        planes = by_format.setdefault(_FORMATS[extension], {})
        if channel is not None and planes.setdefault(channel, name) != name:
            return _refused([planes[channel], name], f"two files are its {channel} plane", where)
    if len(by_format) <= 1:
        return ChosenPlanes(next(iter(by_format.values()), {}))
    whole = [form for form in dict.fromkeys(_FORMATS.values()) if len(by_format.get(form, ())) == len(Channel)]
    if not whole:
        return _refused(sorted(names), "its planes lie there in several formats, and in none of them all", where)
    others = " and ".join(form for form in whole[1:])
    note = f"its planes lie there in {others} too: {whole[0]} was taken" if others else ""
    return ChosenPlanes(by_format[whole[0]], note)


def _refused(names: Sequence[str], what: str, where: str | os.PathLike[str]) -> ChosenPlanes:
    remedy = "Leave one file for each channel there, all of one format, or name one of the files of that format."
    return ChosenPlanes({}, problem=SampleError(f"{what} ({', '.join(names)})", where=where, remedy=remedy))


def _find_names(stem: Path, extensions: Iterable[str]) -> list[str]:
    extensions = tuple(extensions)
    candidates = (f"{stem.name}_{channel}{extension}" for extension in extensions for channel in Channel)
    names = [name for name in candidates if stem.with_name(name).is_file()]
    # Listing a folder finds names in capitals too, but takes long in a large one on a share.
    if len(names) < len(Channel) and stem.parent.is_dir():
        lower = {extension.lower() for extension in extensions}
        listed = _names_by_stem(stem.parent).get(stem.name, [])
        names += [name for name in listed if name not in names and os.path.splitext(name)[1].lower() in lower]  # noqa: PTH122
    return names


def _listings(
    folder: Path, unlisted: list[SampleError], *, recursive: bool
) -> Iterator[tuple[Path, dict[str, list[str]]]]:
    for below in _folders(folder, unlisted) if recursive else (folder,):
        try:
            by_stem = _names_by_stem(below)
        except SampleError as error:
            unlisted.append(error)
        else:
            yield below, by_stem


def _folders(folder: Path, unlisted: list[SampleError]) -> Iterator[Path]:
    def keep(error: OSError) -> None:
        unlisted.append(_unlistable(Path(error.filename), error))

    for path, below, _ in os.walk(folder, onerror=keep):
        below.sort()
        yield Path(path)


def _names_by_stem(folder: Path) -> dict[str, list[str]]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file()]
    except OSError as error:
        raise _unlistable(folder, error) from error
    return names_by_stem(names)


def names_by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Group the names of planes by what they have in common.

    Parameters
    ----------
    names : iterable of str
        Names of files, without folders; those of other files are ignored.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts = _PLANE.fullmatch(name)
        if parts is not None:
            by_stem[parts[1]].append(name)
    return by_stem


def _unlistable(folder: Path, error: OSError) -> SampleError:
    return SampleError(
        f"the folder can't be listed ({error.strerror})", where=folder, remedy="Check that you may read it."
    )


def _split_name(name: str) -> tuple[str, Channel | None, str]:
    parts = _PLANE.fullmatch(name)
    return (name, None, "") if parts is None else (parts[1], _COLOURS[parts[2].lower()], parts[3].lower())


# One match and no Path for a name: there are 400,000 of them in a folder of 100,000 fields.
_COLOURS = {channel.value: channel for channel in Channel}
_PLANE = re.compile(
    rf"(.+)_({'|'.join(_COLOURS)})({'|'.join(map(re.escape, EXTENSIONS))})", re.IGNORECASE | re.ASCII | re.DOTALL
)
