"""Reads one field by the rules of the station file, and reports what it read and how."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.channel_stack import ChannelStack, Scene
from hpa_sdk.fields.channels import Found, fill_in, pick_channels
from hpa_sdk.fields.file_group import FileGroup, named
from hpa_sdk.fields.planes import plane_errors
from hpa_sdk.fields.reading import names_of, stack_planes, unchanged
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Channel, FieldPlanes
from hpa_sdk.fields.scenes import open_scenes
from hpa_sdk.fields.trained_scale import to_trained_scale
from hpa_sdk.fields.white_level import Levels, stretch, white_notes
from hpa_sdk.files.file_state import FileState
from hpa_sdk.preprocessing import Planes

_EQUAL_SIZES = 0.01
_REPLACED = {"empty": "missing; in its place a black plane", "unused": "not taken by the model, and not read"}


@dataclass(frozen=True, slots=True)
class ChannelReading:
    """How one channel was read.

    Attributes
    ----------
    file : str
        Name of its file. Empty for a channel that the field does not have.
    description : str
        Its name in the file and the planes that were used, or its replacement.
    brightest : int
        Its highest grey level.
    """

    file: str
    description: str
    brightest: int


@dataclass(frozen=True, slots=True)
class FieldReading:
    """A field, as it was read.

    Attributes
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W), at the scale of training if that is known.
    channels : tuple of ChannelReading
        In the order of `Channel`.
    size : tuple of int
        Height and width in the files.
    pixel_size : float or None
        Micrometres per pixel in the files.
    white : tuple of float or None
        The white level in the files, if the planes were stretched by it.
    notes : tuple of str
        What was done to the planes, and what is unknown.
    files : tuple of FileState
        The files, with their state when they were read.
    origins : tuple of str
        What each channel was read from, as `hpa_sdk.Prediction.channels`.
    """

    planes: Planes
    channels: tuple[ChannelReading, ...]
    size: tuple[int, int]
    pixel_size: float | None
    white: Levels | None
    notes: tuple[str, ...]
    files: tuple[FileState, ...]
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Reads one field of a workstation. Implements `hpa_sdk.fields.samples.PlaneSource`.

    Attributes
    ----------
    rules : FieldRules
        The rules.
    group : FileGroup
        The files.
    scene : str or None
        Name of the scene of a stack; None for its only one.
    """

    rules: FieldRules
    group: FileGroup
    scene: str | None = None

    def read(self) -> FieldPlanes:
        """Read the planes, and report what was done to them.

        Raises
        ------
        PlaneError, SampleError
            As for `look`. Any other exception of a reader is converted to a `PlaneError`.
        """
        with plane_errors(self.group.files[0]):
            reading = self.look()
        notes = (*reading.notes, *white_notes(reading.white))
        trained = self.rules.trained
        return FieldPlanes(
            reading.planes,
            reading.files,
            notes,
            stretched=reading.white is not None,
            channels=reading.origins,
            pixel_size=reading.pixel_size and (trained.pixel_size if trained else reading.pixel_size),
        )

    @property
    def place(self) -> str:
        """The path of the field, and the name of its scene in the file."""
        return "\0".join([*map(str, self.group.files), self.scene or ""])

    @property
    def settings(self) -> str:
        """The reading rules as text, so that different rules give different text."""
        return repr((self.rules.files, self.rules.channels, self.rules.without, self.rules.trained))

    def look(self) -> FieldReading:
        """Read the field and report how.

        Raises
        ------
        PlaneError
            A file can't be read, a channel is missing or ambiguous, or the planes do not match each other.
        SampleError
            The files do not make a field.
        """
        where, rules = self.group.files[0], self.rules.files
        self.group.check(self.rules)
        with unchanged(self.group.files) as own, self._stacks() as stacks:
            offered = [(stack.name, stack.number) for stack in stacks]
            found, instead = pick_channels(offered, self.group.own(self.rules), where)
            chosen = {channel: stacks[at] for channel, at in found.items()}
            _check_depths(chosen, where)
            planes = fill_in({channel: _project(stack, rules.z) for channel, stack in chosen.items()}, instead)
        pixel_size = rules.pixel_size or _common_pixel_size(chosen.values(), where)
        described = {channel: (stack.path.name, _describe(stack, rules.z)) for channel, stack in chosen.items()}
        for channel, other in instead.items():
            described[channel] = ("", _REPLACED.get(other, f"missing; in its place {other}"))
        origins = {channel: f"{other} plane" for channel, other in instead.items()} | self._origins(stacks, found)
        merged = stack_planes(planes, where)
        stretched, white = stretch(merged, rules.white)
        scaled, notes = to_trained_scale(stretched, pixel_size, self.rules.trained, where)
        return FieldReading(
            planes=scaled,
            channels=tuple(ChannelReading(*described[channel], int(planes[channel].max())) for channel in Channel),
            size=(merged.shape[1], merged.shape[2]),
            pixel_size=pixel_size,
            white=white,
            notes=(
                *(f"{channel} is {described[channel][1]}" for channel, other in instead.items() if other != "unused"),
                *sorted({_describe_z(stack, rules.z) for stack in chosen.values() if stack.depth > 1}),
                *_flat_notes(chosen),
                *dict.fromkeys(note for stack in chosen.values() for note in stack.notes),
                *notes,
            ),
            files=(*own, *dict.fromkeys(file for stack in chosen.values() for file in stack.further)),
            origins=tuple(origins[channel] for channel in Channel),
        )

    def _origins(self, stacks: Sequence[ChannelStack], found: Found) -> dict[Channel, str]:
        """Name the file of each channel, or in a stack its position and name: channels can share a name."""
        if not self.group.is_stack:
            return dict(zip(found, names_of([stacks[at].path for at in found.values()]), strict=True))
        return {channel: f"channel {at} {stacks[at].name!r}" for channel, at in found.items()}

    @contextmanager
    def _stacks(self) -> Iterator[list[ChannelStack]]:
        if self.group.is_stack:
            with open_scenes(self.group.files[0], self.scene, self.rules.files.missing_chunks) as scenes:
                yield list(_one_scene(scenes, self.scene, self.group.files[0])())
            return
        with _PlaneFiles() as opened:
            rule = self.rules.files.z
            yield [opened.join(channel, files, rule) for channel, files in self.group.by_channel().items()]


class _PlaneFiles(ExitStack):
    """Reads files of one channel each, and keeps only one of them open: a z-stack can have hundreds."""

    _file: Path | None = None
    _channel: ChannelStack

    def join(self, channel: str, files: list[Path], rule: str | int) -> ChannelStack:
        """Combine the files of a channel into one stack.

        Raises
        ------
        PlaneError
            A file is a stack, among other files of its channel, and the rule for z selects a plane by position.
        """
        parts = [self._look(file) for file in files]
        deep = [part for part in parts if part.depth > 1]
        if len(parts) > 1 and deep and rule != "max":
            raise PlaneError(
                f"its name has one z, and it holds {deep[0].depth} z planes",
                where=deep[0].path,
                remedy="Export each z plane as a file of its own, or set files.z to 'max'.",
            )
        planes = [(part.path, z) for part in parts for z in range(part.depth)]

        def read(at: int) -> Planes:
            file, z = planes[at]
            return self._look(file).read(z)

        notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
        further = tuple(dict.fromkeys(file for part in parts for file in part.further))
        pixel_size = _common_pixel_size(parts, files[0])
        return ChannelStack(*named(channel), files[0], len(planes), read, pixel_size, notes, further=further)

    def _look(self, file: Path) -> ChannelStack:
        if file != self._file:
            self.close()
            self._file = None
            self._channel = _only_channel(self.enter_context(open_scenes(file, one_plane=True)), file)
            self._file = file
        return self._channel


def _one_scene(scenes: dict[str, Scene], name: str | None, file: Path) -> Scene:
    if name is None and len(scenes) > 1:
        raise PlaneError(
            f"it holds {len(scenes)} pictures, and could not be opened when they were counted",
            where=file,
            remedy="Read it again.",
        )
    return scenes[next(iter(scenes)) if name is None else name]


def _only_channel(scenes: dict[str, Scene], file: Path) -> ChannelStack:
    channels = next(iter(scenes.values()))()
    if len(scenes) > 1 or len(channels) > 1:
        raise PlaneError(
            f"it holds {len(scenes)} pictures of {len(channels)} channels, and its name gives one channel",
            where=file,
            remedy="Export each channel as a file of its own, or leave files.pattern out for stacks.",
        )
    return channels[0]


def _common_pixel_size(stacks: Iterable[ChannelStack], where: Path) -> float | None:
    sizes = sorted(stack.pixel_size for stack in stacks if stack.pixel_size)
    if sizes and sizes[-1] / sizes[0] - 1 > _EQUAL_SIZES:
        raise PlaneError(
            f"its channels have pixels of {sizes[0]:g} um and of {sizes[-1]:g} um",
            where=where,
            remedy="Take all channels of a field with the same settings.",
        )
    return sizes[0] if sizes else None


def _check_depths(stacks: Mapping[Channel, ChannelStack], where: Path) -> None:
    """Check that an index along z means the same plane in all channels that have several planes."""
    depths = {channel: stack.depth for channel, stack in stacks.items() if stack.depth > 1}
    if len(set(depths.values())) > 1:
        raise PlaneError(
            f"its channels have differing numbers of z planes"
            f" ({', '.join(f'{channel} {depth}' for channel, depth in depths.items())})",
            where=where,
            remedy="Export the channels of a field with the same z planes.",
        )


def _flat_notes(stacks: Mapping[Channel, ChannelStack]) -> Iterator[str]:
    if any(stack.depth > 1 for stack in stacks.values()):
        flat = (channel for channel, stack in stacks.items() if stack.depth == 1)
        yield from (f"channel {channel} has one plane, taken for every z" for channel in flat)


def _project(stack: ChannelStack, z: str | int) -> Planes:
    if stack.depth == 1:
        return stack.read(0)
    if z == "max":
        return reduce(np.maximum, map(stack.read, range(stack.depth)))
    at = stack.depth // 2 if isinstance(z, str) else z
    if at >= stack.depth:
        raise PlaneError(
            f"z plane {at} is asked for, and there are {stack.depth}, counted from 0",
            where=stack.path,
            remedy="Change files.z in the station file.",
        )
    return stack.read(at)


Z_NOTE = re.compile(r"(?:maximum|plane \d+) of \d+ z planes")
"""Finds in notes what `_describe_z` writes: which z planes were taken."""


def _describe_z(stack: ChannelStack, z: str | int) -> str:
    taken = {"max": "maximum", "middle": f"plane {stack.depth // 2}"}.get(str(z), f"plane {z}")
    return f"{taken} of {stack.depth} z planes"


def _describe(stack: ChannelStack, z: str | int) -> str:
    name = repr(stack.name) if stack.name else f"channel {stack.number}"
    return name if stack.depth == 1 else f"{name}, {_describe_z(stack, z)}"
