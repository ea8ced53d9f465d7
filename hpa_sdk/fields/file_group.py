"""Groups the files in a folder into those that are read together, only by their names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from hpa_sdk.errors import PlaneError, SampleError
from hpa_sdk.fields.channels import pick_channels
from hpa_sdk.fields.listing import same_name, walk
from hpa_sdk.fields.plane_files import split_name
from hpa_sdk.fields.plane_names import ZKey, field_of, find_mixture, left_out, z_keys
from hpa_sdk.fields.rules import ChannelNames, FieldRules, fold
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.scenes import OPENERS, PICTURES, extension_of

UNSAFE = re.compile(r"[\\\x00-\x1f\x7f]|(?:^|(?<=/))\.{0,2}$")
"""What an id must not contain, because a file that is named after it could be written to another folder."""


@dataclass(frozen=True, slots=True)
class PlaneFile:
    """A file, and what its name says about its plane. A part is None if the name does not give it.

    `left_out` is the part of the name that the pattern matches outside its groups.
    """

    path: Path
    channel: str | None = None
    z: str | None = None
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files that are read together: one stack, or one file per plane.

    Attributes
    ----------
    id : str
        The name of the stack, or the common part of the file names with the time point at the end. Starts with the
        path below the searched folder.
    planes : tuple of PlaneFile
        The files, at least one.
    by_colour : bool
        Whether the names contain the colours themselves, so that the channel names in the rules do not apply.
    """

    id: str
    planes: tuple[PlaneFile, ...]
    by_colour: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(plane.path for plane in self.planes)

    @property
    def is_stack(self) -> bool:
        """Whether one file contains all channels."""
        return self.planes[0].channel is None

    def own(self, rules: FieldRules) -> FieldRules:
        """Return the rules with the channel names that occur in these file names."""
        return msgspec.structs.replace(rules, channels=ChannelNames()) if self.by_colour else rules

    def read_by(self, rules: FieldRules) -> FileGroup:
        """Return the group without the files of channels that the rules do not read; unchanged if that leaves none."""
        read = _read(self.planes, rules, by_colour=self.by_colour)
        return FileGroup(self.id, read, self.by_colour) if read else self

    def is_complete(self, rules: FieldRules) -> bool:
        """Whether each channel has all of its files, according to the names. A stack is always complete."""
        try:
            return not self._missing(rules)
        except PlaneError:
            return False

    def check(self, rules: FieldRules) -> None:
        """Check that the files make one field.

        Raises
        ------
        SampleError
            The id can't be used, two files are the same plane, the names are of several positions or have z planes
            without an order, or a channel lacks a z plane that another channel has.
        PlaneError
            A channel is missing or ambiguous.
        """
        where = self.files[0]
        if UNSAFE.search(self.id):
            raise SampleError(f"{self.id!r} can't be the name of a field", where=where, remedy="Rename the file.")
        keys = self._z_keys
        places = Counter((plane.channel, plane.z and keys[plane.z]) for plane in self.planes)
        twice = [plane.path.name for plane in self.planes if places[plane.channel, plane.z and keys[plane.z]] > 1]
        if twice:
            raise SampleError(
                f"several files are the same plane ({', '.join(twice)})",
                where=where,
                remedy="Remove all but one, or let the pattern distinguish them.",
            )
        if mixture := find_mixture([(plane.channel or "", plane.z, plane.left_out) for plane in self.planes]):
            raise SampleError(
                f"the names of its files differ in what the pattern leaves out ({mixture}): they may be of several"
                " positions or times",
                where=where,
                remedy="Let the group 'field' or 'time' of files.pattern take it in, or the group 'channel' if it"
                " belongs to the channel.",
            )
        self._check_z(rules, where)
        if missing := self._missing(rules):
            raise SampleError(
                f"planes along z are missing ({', '.join(missing)}), and other channels have them",
                where=where,
                remedy="Copy or export them again: the channels of a field need the same z planes.",
            )

    def by_channel(self) -> dict[str, list[Path]]:
        """Return the files of each channel in the order of z: numeric if all are numbers, else alphabetic."""
        keys = self._z_keys
        places = {key: at for at, key in enumerate(_in_order(set(keys.values())))}
        files: dict[str, list[Path]] = defaultdict(list)
        for plane in sorted(self.planes, key=lambda plane: -1 if plane.z is None else places[keys[plane.z]]):
            files[plane.channel or ""].append(plane.path)
        return files

    @property
    def _z_keys(self) -> dict[str, ZKey]:
        return z_keys(plane.z for plane in self.planes if plane.z is not None)

    def _check_z(self, rules: FieldRules, where: Path) -> None:
        keys = set(self._z_keys.values())
        if rules.files.z != "max" and len(keys) > 1 and not all(isinstance(key, Decimal) for key in keys):
            raise SampleError(
                f"its z planes have no order ({', '.join(sorted(map(str, keys)))})",
                where=where,
                remedy="Let the group 'z' of files.pattern take in a number only, or set files.z to 'max'.",
            )
        with_z, without_z = ({plane.channel for plane in self.planes if (plane.z is None) == no_z} for no_z in (0, 1))
        if both := sorted(map(str, with_z & without_z)):
            raise SampleError(
                f"some files of channel {both[0]!r} have a z in their names, and some have none",
                where=where,
                remedy="Remove those that are not of this field, or let the pattern distinguish them.",
            )

    def _missing(self, rules: FieldRules) -> list[str]:
        """Name the z planes that a channel lacks and another has. A channel without z in its names has one plane."""
        if self.is_stack:
            return []
        keys = self._z_keys
        names = sorted({plane.channel or "" for plane in self.planes})
        found, _ = pick_channels([*map(named, names)], self.own(rules), self.files[0])
        depths: dict[Channel, dict[ZKey, str]] = {
            channel: {keys[plane.z]: plane.z for plane in self.planes if plane.channel == names[at] and plane.z}
            for channel, at in found.items()
        }
        every: dict[ZKey, str] = {key: text for there in depths.values() for key, text in there.items()}
        return [
            f"{channel} z {every[key]}"
            for channel, there in depths.items()
            # A channel with a single z is sufficient if only that z is requested.
            if there and list(there) != _chosen(every, rules.files.z)
            for key in _in_order(every.keys() - there.keys())
        ]


def _in_order(keys: Iterable[ZKey]) -> list[ZKey]:
    # Either all of them are numbers, or all are text: see `z_keys`.
    return sorted(keys)


def _chosen(every: Iterable[ZKey], rule: str | int) -> list[ZKey]:
    """Return the single z plane that a rule picks; none if the rule uses all planes, or there are too few."""
    ordered = _in_order(every)
    if rule == "max":
        return []
    at = len(ordered) // 2 if isinstance(rule, str) else rule
    return ordered[at : at + 1]


def named(channel: str) -> tuple[str, int | None]:
    """Return the name and number of a channel from a file name."""
    return channel, int(channel) if channel.isdecimal() else None


def group_files(rules: FieldRules, folder: Path) -> list[FileGroup]:
    """Group the files of a folder, sorted by id. No file is opened.

    Files that are not microscope files, or that do not match the pattern, are ignored.

    Raises
    ------
    SampleError
        The folder can't be listed.
    """
    paths = _files(folder, recursive=rules.files.recursive)
    return group_names(rules, folder, (path.relative_to(folder).as_posix() for path in paths))


def group_names(rules: FieldRules, folder: Path, names: Iterable[str]) -> list[FileGroup]:
    """Group files by their names below a folder, such as ``"sub/a_red.png"``, sorted by id.

    Only stacks and plane files may be given. Names that do not match the pattern are ignored.
    """
    pattern, folder = rules.pattern, folder.absolute()
    groups: dict[str, list[PlaneFile]] = defaultdict(list)
    for name in sorted(names):
        parent, slash, own_name = name.rpartition("/")
        path = Path(folder, name)
        if pattern is None:
            stem, channel, _ = split_name(own_name)
            if channel is not None:
                groups[same_name(parent + slash + stem)].append(PlaneFile(path, channel))
            elif path.suffix.lower() not in PICTURES:
                groups[name].append(PlaneFile(path))
        elif match := _match(pattern, name):
            part = match.groupdict()
            # Without the time in the id, a late or bad plane of one time point would break the answer for another.
            time = "" if part.get("time") is None else f"_t{part['time']}"
            above = part.get(_ABOVE) or "" if _ABOVE in part else parent + slash
            groups[same_name(above + field_of(match) + time)].append(
                PlaneFile(path, part["channel"] or "", part.get("z"), left_out(match))
            )
    made: list[FileGroup] = []
    for field, planes in sorted(groups.items()):
        # A field is complete without a plane that the model does not take, and does not change when it arrives.
        if read := _read(planes, rules, by_colour=pattern is None):
            made.append(FileGroup(field, read, by_colour=pattern is None and read[0].channel is not None))
    return made


def _read(planes: Iterable[PlaneFile], rules: FieldRules, *, by_colour: bool) -> tuple[PlaneFile, ...]:
    names = ChannelNames() if by_colour else rules.channels
    ignored = {fold(str(alias)) for channel in rules.unused for alias in getattr(names, channel)}
    return tuple(plane for plane in planes if plane.channel is None or fold(plane.channel) not in ignored)


_ABOVE = "hpa_above"


def _match(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """Match a pattern with the file name, or with the end of the path if the pattern contains a slash."""
    name = re.sub(r"(?i)(\.ome)?\.[^./]*$", "", name)
    if "/" not in pattern.pattern:
        return pattern.fullmatch(name.rpartition("/")[2])
    return re.compile(rf"(?P<{_ABOVE}>(?:.*/)?)(?:{pattern.pattern})", pattern.flags).fullmatch(name)


def _files(folder: Path, *, recursive: bool) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise SampleError(
            f"the folder can't be listed ({error.strerror})", where=folder, remedy="Check that you may read it."
        ) from error

    for found in walk(folder, recursive=recursive, on_error=refuse):
        for name in sorted(found.names):
            if extension_of(name) in OPENERS:
                yield Path(found.path, name)
