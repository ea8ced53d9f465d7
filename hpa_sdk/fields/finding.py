"""Finds the fields at a path: planes by colour, stacks from microscopes, and the ids of tables."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from hpa_sdk.errors import HpaError, SampleError, TableError
from hpa_sdk.fields.colour_folders import by_stem_of_colours, holds_one_colour, planes_by_colour, walk_colours
from hpa_sdk.fields.field_source import FieldSource
from hpa_sdk.fields.file_group import FileGroup, PlaneFile, group_names
from hpa_sdk.fields.listing import OME_ZARR, Folder, existing, raise_unlistable, same_name, unlistable, walk
from hpa_sdk.fields.plane_files import EXTENSIONS, FORMATS, choose_planes, names_by_stem, split_name
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.fields.scenes import STACKS
from hpa_sdk.fields.stack_samples import fields_of, samples_of
from hpa_sdk.fields.tables import is_table, read_rows
from hpa_sdk.files.file_state import escaped

_Z_FOLDER = re.compile(r"(?:.*[_-])?z[_-]?\d+", re.IGNORECASE)
_log = logging.getLogger("hpa_sdk")


def find_samples(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    recursive: bool = False,
    rules: FieldRules | None = None,
    stack_rules: FieldRules | None = None,
) -> Iterator[Sample]:
    """Find the samples at a path.

    Parameters
    ----------
    path : str or os.PathLike
        - a stem: ``Dataset/train/0007`` means ``Dataset/train/0007_red.png`` and its three siblings;
        - any one of the four files of a sample;
        - a stack (TIFF, OME-TIFF, OME-Zarr, CZI, LIF, ND2): each of its scenes;
        - a folder: every sample in it, sorted by id within each folder;
        - a table in the Kaggle form (``.csv`` with a column ``Id``): its ids, in the order of the table.
    root : str or os.PathLike, optional
        Folder that contains the planes of a table's ids. Default: ``train/`` next to the table, or the table's folder.
    recursive : bool
        Also search the folders below a folder, in sorted order. Linked folders come last, and none is listed twice.
    rules : FieldRules, optional
        How files are read: channel names, z, pixel size, pattern of names. Four plain files by colour need no rules.
        Without rules, stacks next to them are not read.
    stack_rules : FieldRules, optional
        How stacks are read without rules: the scale of training, and the channels.

    Yields
    ------
    Sample
        Files are PNG, TIFF or JPEG, named ``<id>_<channel>.<extension>``, all four of one format, in one folder or in
        one folder per colour. For a missing channel, the expected file name is given. If the planes exist in several
        formats, see `hpa_sdk.fields.plane_files.choose_planes`. Hidden files, system folders, previews and composites
        are ignored.

    Raises
    ------
    SampleError
        Nothing exists at `path`, a file name does not end with a channel, or a folder contains no sample. If only some
        of the folders below it can't be listed, this is raised last, after the samples of the others.
    TableError
        The table has no column ``Id``, or can't be read.
    """
    path = Path(path).absolute()
    try:
        path = existing(path)
        if path.is_dir() and path.suffix.lower() != OME_ZARR:
            yield from _FolderSearch(path, rules, recursive=recursive, stack_rules=stack_rules).samples()
        elif is_table(path):
            yield from _samples_in_table(path, _table_root(path, root), rules, stack_rules)
        elif split_name(path.name)[1] is not None:
            yield _sample_of_file(path, rules)
        elif path.suffix.lower() in STACKS:
            yield from _samples_of_stack(path, path.name, rules or stack_rules or FieldRules())
        elif path.suffix.lower() in EXTENSIONS:
            raise SampleError(
                "the file name does not end with a channel",
                where=path,
                remedy="A plane is named <id>_red, <id>_green, <id>_blue or <id>_yellow, then .png, .tif or .jpg.",
            )
        else:
            yield _sample_of_stem(path, rules)
    except (OSError, ValueError) as error:  # a path that the operating system refuses, or that can't be a file
        raise SampleError(f"the path can't be followed ({error})", where=path, remedy="Check the path.") from error


def count_samples(path: str | os.PathLike[str], *, recursive: bool = False, rules: FieldRules | None = None) -> int:
    """Count the samples at a path. This is faster than `find_samples`. A stack counts as one.

    Parameters
    ----------
    path, recursive, rules
        As for `find_samples`.

    Raises
    ------
    HpaError
        As for `find_samples`.
    """
    path = Path(path).absolute()
    if path.is_dir() and path.suffix.lower() != OME_ZARR:
        return _FolderSearch(path, rules, recursive=recursive).count()
    return sum(1 for _ in read_rows(path, "Id")) if is_table(path) else 1


def planes_folder(table: Path) -> Path:
    """Return the folder with a table's planes: ``train/`` next to it, as in the Kaggle set, or its own folder."""
    below = table.parent / "train"
    return below if below.is_dir() else table.parent


class _FolderSearch:
    """The samples of one folder."""

    def __init__(
        self, folder: Path, rules: FieldRules | None, *, recursive: bool, stack_rules: FieldRules | None = None
    ) -> None:
        self._folder = folder
        self._rules = rules
        self._of_stacks = rules or stack_rules or FieldRules()
        self._recursive = recursive
        self._unlisted: list[OSError] = []
        self._by_colour: defaultdict[str, defaultdict[Channel, list[Folder]]] = defaultdict(lambda: defaultdict(list))
        self._stacks: list[tuple[str, str]] = []

    def samples(self) -> Iterator[Sample]:
        """Find them."""
        found = False
        for sample in self._found():
            found = True
            yield sample
        if self._stacks and found:
            _log.warning(
                "%s: not read are %d files that are no planes by colour, such as %s. To read stacks, say how: with a"
                " station file, or by the names of their channels.",
                *(escaped(str(self._folder)), len(self._stacks), escaped("".join(self._stacks[0]))),
            )
        elif self._stacks:
            for prefix, name in self._stacks:
                found = True
                yield from fields_of(self._of_stacks, _stack(self._folder / f"{prefix}{name}", f"{prefix}{name}"))
        if self._unlisted:
            raise unlistable(self._unlisted)
        if not found:
            raise SampleError(
                "the folder holds no sample",
                where=self._folder,
                remedy="Planes are named <id>_red.png, _green.png, _blue.png and _yellow.png (or .tif, .jpg)"
                + ("." if self._recursive else "; to search the folders below it too, ask for a recursive search."),
            )

    def count(self) -> int:
        """Count them."""
        if self._rules is not None:
            return sum(1 for _ in self._found())
        found = sum(len(_fields_in(folder.names)) for folder in self._folders())
        found += sum(len(by_stem_of_colours(folders)) for folders in self._by_colour.values())
        return found or len(self._stacks)

    def _found(self) -> Iterator[Sample]:
        for folder in self._folders():
            yield from self._samples_in(folder)
        for parent, folders in self._by_colour.items():
            beside = _ListedFolder(self._folder / parent).by_stem
            for stem, files, chosen in planes_by_colour(folders):
                if stem in beside:
                    names = [*beside[stem], *(f"{file.parent.name}/{file.name}" for file in files)]
                    yield _ambiguous(
                        f"{parent}{stem} (a folder for each colour)", self._folder / parent, names, "twice"
                    )
                    continue
                yield _made(f"{parent}{stem}", files, self._rules, chosen.note, chosen.problem)

    def _folders(self) -> Iterator[Folder]:
        """Yield folders that contain whole fields. Folders of one colour, and stacks without rules, are set aside."""
        for folder in walk(self._folder, recursive=self._recursive, on_error=self._unlisted.append):
            empty = not self._recursive and not any(map(_is_field_file, folder.names))
            for colour in walk_colours(folder.path) if empty else ():
                self._by_colour[""][Channel(Path(colour.path).name.lower())].append(colour)
            if holds_one_colour(folder):
                parent, _, name = folder.prefix[:-1].rpartition("/")
                self._by_colour[f"{parent}/" if parent else ""][Channel(name.lower())].append(folder)
                continue
            if self._rules is None:
                self._stacks += [(folder.prefix, name) for name in folder.names if _is_stack(name)]
            yield folder

    def _samples_in(self, folder: Folder) -> Iterator[Sample]:
        rules, place = self._rules, Path(folder.path)
        if rules is not None and rules.files.pattern is not None:
            names = [f"{folder.prefix}{name}" for name in folder.names if _is_field_file(name)]
            for group in group_names(rules, self._folder, names):
                yield from fields_of(rules, group)
            return
        by_stem = _fields_in(folder.names)
        stacks = {} if rules is None else {name: _stem_of_stack(name) for name in folder.names if _is_stack(name)}
        note = _note_on_z(folder.prefix)
        for stem in sorted({*by_stem, *stacks}):
            if stem in stacks:
                name = stem
                if stacks[name] not in by_stem:
                    yield from fields_of(self._of_stacks, _stack(place / name, folder.prefix + name))
                continue
            twins = [name for name, own in stacks.items() if own == stem]
            if twins:
                yield _ambiguous(folder.prefix + stem, place, [*by_stem[stem], *twins])
            else:
                yield _sample(folder.prefix + stem, place / stem, by_stem[stem], rules, note)


def _fields_in(names: Iterable[str]) -> dict[str, list[str]]:
    return names_by_stem(names)


def _is_stack(name: str) -> bool:
    return name.lower().endswith(STACKS) and split_name(name)[1] is None


def _is_field_file(name: str) -> bool:
    return name.lower().endswith((*STACKS, *EXTENSIONS))


def _stem_of_stack(name: str) -> str:
    return same_name(re.sub(r"(?i)(\.ome)?\.[^.]*$", "", name))


def _note_on_z(prefix: str) -> str:
    name = prefix[:-1].rpartition("/")[2]
    if not _Z_FOLDER.fullmatch(name):
        return ""
    return f"its folder is named like a z plane ({name}): each z plane is answered as a field of its own"


def _ambiguous(sample_id: str, place: Path, names: Sequence[str], how: str = "as planes and as a stack") -> Sample:
    problem = SampleError(
        f"the field lies there {how} ({', '.join(sorted(names))})",
        where=place,
        remedy="Leave one of them there, or name the file that is meant.",
    )
    return Sample(sample_id, (place / names[0],), problem=problem)


def _samples_of_stack(path: Path, sample_id: str, rules: FieldRules) -> list[Sample]:
    if not path.exists():
        raise SampleError("no such file", where=path, remedy="Check the path.")
    return samples_of(rules, _stack(path, sample_id))


def _stack(path: Path, sample_id: str) -> FileGroup:
    return FileGroup(sample_id, (PlaneFile(path),))


def _table_root(table: Path, root: str | os.PathLike[str] | None) -> Path:
    return planes_folder(table) if root is None else existing(Path(root).absolute())


def _samples_in_table(
    table: Path, root: Path, rules: FieldRules | None, stack_rules: FieldRules | None
) -> Iterator[Sample]:
    if not root.is_dir():
        raise SampleError("no such folder", where=root, remedy="Name the folder that holds the planes of the table.")
    folders: dict[Path, _ListedFolder] = {}
    for row in read_rows(table, "Id"):
        (sample_id,) = row.values
        try:
            if row.problem is not None:
                raise row.problem
            samples = _samples_of_row(sample_id, root, folders, rules, stack_rules)
        except TableError as problem:
            yield Sample(f"{table.name} line {row.line}", (table,), problem=problem)
        except (HpaError, OSError, ValueError) as error:
            # A name that the operating system refuses, or a folder that can't be listed.
            what = error.what if isinstance(error, HpaError) else f"its files can't be looked for ({error})"
            remedy = error.remedy if isinstance(error, HpaError) else "Check its id in the table."
            yield Sample(sample_id, (table,), problem=SampleError(what, where=table, remedy=remedy))
        else:
            for sample in samples:
                yield replace(sample, note="; ".join(filter(None, [row.note, sample.note]))) if row.note else sample


class _ListedFolder:
    """The files of a folder that the ids of a table refer to."""

    def __init__(self, folder: Path) -> None:
        there = walk(folder, recursive=False, on_error=raise_unlistable) if folder.is_dir() else ()
        self.names = [name for found in there for name in found.names]
        self.by_stem = _fields_in(self.names)

    @cached_property
    def without_zeros(self) -> dict[str, str]:
        """Names of fields that are numbers, by the same names without leading zeros."""
        return {name.lstrip("0"): name for name in self.by_stem if name.isdecimal()}


def _samples_of_row(
    sample_id: str,
    root: Path,
    folders: dict[Path, _ListedFolder],
    rules: FieldRules | None,
    stack_rules: FieldRules | None,
) -> list[Sample]:
    stem = existing(root / sample_id)
    folder, name = stem.parent, same_name(stem.name)
    there = folders.get(folder) or folders.setdefault(folder, _ListedFolder(folder))
    names = there.by_stem.get(name, [])
    stacks = [] if names and rules is None else _stacks_named(name, there.names)
    if names and stacks:
        return [_ambiguous(sample_id, folder, [*names, *stacks])]
    if len(stacks) == 1:
        return _samples_of_stack(folder / stacks[0], sample_id, rules or stack_rules or FieldRules())
    if stacks:
        return [_ambiguous(sample_id, folder, stacks)]
    meant = None if names or not name.isdecimal() else there.without_zeros.get(name.lstrip("0"))
    if meant is not None:
        raise SampleError(
            f"no file of {name!r} lies there, but there are some of {meant!r}: a spreadsheet cuts leading zeros",
            where=folder,
            remedy="Write the ids in full, and give their column the format of text in the spreadsheet.",
        )
    return [_sample(same_name(sample_id), folder / name, names, rules)]


def _stacks_named(name: str, names: Iterable[str]) -> list[str]:
    return [other for other in names if _is_stack(other) and name in {same_name(other), _stem_of_stack(other)}]


def _sample_of_file(path: Path, rules: FieldRules | None) -> Sample:
    stem, _, extension = split_name(path.name)
    if not path.is_file():
        raise SampleError("no such file", where=path, remedy="Check the path.")
    # The format of the given file decides.
    own = [other for other in EXTENSIONS if FORMATS[other] == FORMATS[extension]]
    names = _find_names(path.with_name(stem), dict.fromkeys((path.suffix, *own)))
    return _sample(same_name(stem), path.with_name(stem), dict.fromkeys((path.name, *names)), rules)


def _sample_of_stem(stem: Path, rules: FieldRules | None) -> Sample:
    names = _find_names(stem, EXTENSIONS)
    if not names:
        raise SampleError(
            "no sample lies here",
            where=stem,
            remedy=f"Name a folder, a table, a stack, a plane, or what four planes such as {stem.name}_red.png share.",
        )
    return _sample(same_name(stem.name), stem, names, rules)


def _sample(sample_id: str, stem: Path, names: Iterable[str], rules: FieldRules | None, note: str = "") -> Sample:
    names = list(names)
    chosen = choose_planes(names, stem)
    known = next(iter(chosen.names.values()), names[0] if names else "")
    extension = os.path.splitext(known)[1] or EXTENSIONS[0]  # noqa: PTH122 - faster than a Path for each
    files = [stem.with_name(chosen.names.get(channel, f"{stem.name}_{channel}{extension}")) for channel in Channel]
    return _made(sample_id, files, rules, "; ".join(filter(None, (chosen.note, note))), chosen.problem)


def _made(
    sample_id: str, files: Sequence[Path], rules: FieldRules | None, note: str, problem: HpaError | None
) -> Sample:
    if rules is None or problem is not None:
        return Sample(sample_id, tuple(files), note=note, problem=problem)
    planes = [PlaneFile(file, channel) for channel, file in zip(Channel, files, strict=True) if file.exists()]
    group = FileGroup(sample_id, tuple(planes) or (PlaneFile(files[0], Channel.RED),), by_colour=True)
    return Sample(sample_id, group.files, FieldSource(rules, group), note)


def _find_names(stem: Path, extensions: Iterable[str]) -> list[str]:
    extensions = tuple(extensions)
    candidates = (f"{stem.name}_{channel}{extension}" for extension in extensions for channel in Channel)
    names = [name for name in candidates if stem.with_name(name).is_file()]
    # Listing a folder also finds names in capitals or other forms of accents, but is slow in a large one on a share.
    if len(names) < len(Channel) and stem.parent.is_dir():
        lower = {extension.lower() for extension in extensions}
        for folder in walk(stem.parent, recursive=False, on_error=raise_unlistable):
            listed = _fields_in(folder.names).get(same_name(stem.name), [])
            names += [name for name in listed if name not in names and split_name(name)[2] in lower]
    return names
