"""Assembles the planes of a field from the frames of an acquisition as they arrive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from useq import AcquireImage, MDAEvent

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.channel_stack import check_type
from hpa_sdk.fields.channels import Instead, fill_in, pick_channels
from hpa_sdk.fields.file_group import UNSAFE
from hpa_sdk.fields.planes import check_size
from hpa_sdk.fields.reading import stack_planes
from hpa_sdk.fields.samples import Channel, FieldPlanes
from hpa_sdk.fields.trained_scale import to_trained_scale
from hpa_sdk.fields.white_level import stretch, white_notes
from hpa_sdk.preprocessing import Planes
from hpa_sdk.workstation.station import Station

FieldKey = tuple[tuple[str, Hashable], ...]
"""What identifies a field: the indices of an event without those of channel and z; with its position if these are
the same for several positions."""

_Offered = tuple[str, int | None]
"""Name and number of a channel of the acquisition."""

_GREY = 2  # dimensions of a grey frame
_EQUAL_SIZES = 0.01


def field_key(event: MDAEvent) -> FieldKey:
    """Return the field of an event, by its indices."""
    return tuple(sorted((str(axis), at) for axis, at in event.index.items() if axis not in {"c", "z"}))


def position_key(event: MDAEvent) -> FieldKey:
    """Return the field of an event, by its indices and its position: name and coordinates."""
    return (*field_key(event), ("position", _position(event)))


class AcquiredField:
    """One field of an acquisition: the frames that are planned for it, and the planes that arrived.

    Frames along z are projected as they arrive, so that a field holds at most one plane per channel. Once it is
    complete, it is a `hpa_sdk.fields.samples.PlaneSource`.

    Attributes
    ----------
    id : str
        The field's id.
    stem : str
        The id without the suffix that distinguishes repeated acquisitions.
    settled : bool
        Whether further frames are ignored: it was passed to the predictor, or given up.

    Parameters
    ----------
    stem, times_taken
        The parts of the id.
    station : Station
        The rules.
    fault : str
        Why its planned frames can't be distinguished from those of another field; empty if they can.
    """

    def __init__(self, stem: str, station: Station, *, times_taken: int = 0, fault: str = "") -> None:
        self.id = f"{stem}-{times_taken + 1}" if times_taken else stem
        self.stem = stem
        self.settled = False
        self._station = station
        self._fault = fault
        self._planned: dict[_Offered, set[int | None]] = {}
        self._came: dict[_Offered, set[int | None]] = {}
        self._depths: dict[_Offered, set[float]] = defaultdict(set)
        self._planes: dict[_Offered, Planes] = {}
        self._found: dict[Channel, _Offered] = {}
        self._instead: Instead = {}
        self._pixel_size: float | None = None

    def plan(self, event: MDAEvent) -> None:
        """Plan a frame."""
        channel, z = _channel_of(event), event.index.get("z")
        self._planned.setdefault(channel, set()).add(z)
        if z is None and event.z_pos is not None:
            self._depths[channel].add(event.z_pos)

    def check(self) -> None:
        """Check that the planned frames make a field by the rules of the station file.

        Raises
        ------
        PlaneError
            A channel is missing or ambiguous, has too few z planes, or other ones than the others; or an event can
            belong to several positions or depths.
        """
        if self._fault:
            raise PlaneError(self._fault, where=self.id, remedy="Give the events of each position their own index p.")
        offered = list(self._planned)
        found, self._instead = pick_channels(offered, self._station, Path(self.id))
        self._found = {channel: offered[at] for channel, at in found.items()}
        self._check_depths()
        for channel in self._found.values():
            self._wanted_z(channel)

    def uses(self, event: MDAEvent) -> bool:
        """Return whether a frame belongs to one of the four channels, as far as is known."""
        return not self._found or _channel_of(event) in self._found.values()

    def add(self, frame: npt.NDArray[Any], event: MDAEvent, pixel_size: float | None) -> None:
        """Add a frame; a frame of another channel than the four is ignored.

        Parameters
        ----------
        frame : numpy.ndarray
            uint8 or uint16 of shape (H, W). Copied, because a camera may write its next frame into the same memory.
        event : useq.MDAEvent
            The event of the frame.
        pixel_size : float or None
            Micrometres per pixel, from the core.

        Raises
        ------
        PlaneError
            The frame is not such an array, is one too many, or has another pixel size than those before; or the plan is
            not valid for a field.
        """
        if not self._found:
            self.check()
        channel, z = _channel_of(event), event.index.get("z")
        if channel not in self._found.values():
            return
        self._take_pixel_size(pixel_size)
        came = self._came.setdefault(channel, set())
        if z not in self._planned[channel] - came:
            raise PlaneError(
                f"channel {channel[0]!r} has more frames than planned",
                where=self.id,
                remedy="Take each channel with one camera, and plan all frames of a field at once.",
            )
        self._check_frame(frame)
        came.add(z)
        if z in self._wanted_z(channel):
            before = self._planes.get(channel)
            self._planes[channel] = np.array(frame) if before is None else np.maximum(before, frame)

    @property
    def complete(self) -> bool:
        """Whether all frames of the four channels arrived."""
        return bool(self._found) and not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """The channels that lack a frame, with our name and that of the acquisition."""
        return tuple(
            f"{channel} ({offered[0]!r})"
            for channel, offered in self._found.items()
            if self._came.get(offered) != self._planned[offered]
        )

    def incomplete_error(self) -> PlaneError:
        """Create the error of a field that is given up."""
        return PlaneError(
            f"frames are missing: {', '.join(self.missing)}",
            where=self.id,
            remedy="Look in pymmcore-plus's log for frames that failed; a cancelled acquisition lacks its last frames,"
            " and one that takes a channel everywhere before the next needs more 'incomplete' fields.",
        )

    def read(self) -> FieldPlanes:
        """Return the planes at the scale of training, with notes on what was done to them.

        Raises
        ------
        PlaneError
            The channels differ in size or depth, or the field is too small for the scale of training.
        """
        where = Path(self.id)
        planes = fill_in({channel: self._planes[offered] for channel, offered in self._found.items()}, self._instead)
        merged = stack_planes(planes, where)
        stretched, white = stretch(merged, self._station.files.white)
        scaled, scale_notes = to_trained_scale(stretched, self._pixel_size, self._station.trained, where)
        depths = {channel: len(self._planned[offered]) for channel, offered in self._found.items()}
        deepest = max(depths.values())
        several = len({z for offered in self._found.values() for z in self._planned[offered]}) > 1
        flat = [channel for channel, depth in depths.items() if several and depth == 1]
        notes = (
            *(
                f"{channel} is missing; in its place: {other}"
                for channel, other in self._instead.items()
                if other != "unused"
            ),
            *([f"z {self._station.files.z} of {deepest} z planes"] if deepest > 1 else []),
            *(f"channel {channel} has one plane, taken for every z" for channel in flat),
            *white_notes(white),
            *scale_notes,
        )
        return FieldPlanes(scaled, notes=notes)

    def release(self) -> None:
        """Release the planes from memory."""
        self._planes.clear()

    def _take_pixel_size(self, pixel_size: float | None) -> None:
        size, before = self._station.files.pixel_size or pixel_size or None, self._pixel_size
        if size and before and max(size, before) / min(size, before) - 1 > _EQUAL_SIZES:
            raise PlaneError(
                f"its frames have pixels of {before:g} um and of {size:g} um",
                where=self.id,
                remedy="Take all frames of a field with the same objective and binning.",
            )
        self._pixel_size = before or size

    def _check_depths(self) -> None:
        """Check that the z positions are the same in all channels."""
        for channel in self._found.values():
            if len(self._depths[channel]) > 1:
                raise PlaneError(
                    f"channel {channel[0]!r} is planned at {len(self._depths[channel])} z positions without an index z",
                    where=self.id,
                    remedy="Give the events of a z-stack an index z, and those of several times an index t.",
                )
        deep = {channel: planned for channel in self._found.values() if len(planned := self._planned[channel]) > 1}
        if len({frozenset(planned) for planned in deep.values()}) > 1:
            listed = ", ".join(f"{name!r} {len(planned)}" for (name, _), planned in deep.items())
            raise PlaneError(
                f"its channels have differing numbers of z planes, or others ({listed})",
                where=self.id,
                remedy="Plan the same z planes for all channels that have several.",
            )

    def _wanted_z(self, channel: _Offered) -> set[int | None]:
        planned, rule = self._planned[channel], self._station.files.z
        every = sorted({z for offered in self._found.values() for z in self._planned[offered] if z is not None})
        if rule == "max" or len(every) < 2 or planned == {None}:  # noqa: PLR2004
            return set(planned)
        at = len(every) // 2 if isinstance(rule, str) else rule
        if at >= len(every):
            raise PlaneError(
                f"z plane {at} is asked for, and channel {channel[0]!r} has {len(planned)}, counted from 0",
                where=self.id,
                remedy="Change files.z in the station file.",
            )
        if every[at] not in planned:
            raise PlaneError(
                f"channel {channel[0]!r} is planned at z {', '.join(map(str, planned))} only, and z {every[at]} is"
                " taken of the others",
                where=self.id,
                remedy="Take the channel at this z too, or change files.z in the station file.",
            )
        return {every[at]}

    def _check_frame(self, frame: npt.NDArray[Any]) -> None:
        where = Path(self.id)
        check_type(frame.dtype, where)
        if frame.ndim != _GREY:
            raise PlaneError(
                f"a frame has the shape {frame.shape}, not (H, W)", where=where, remedy="Set the camera to grey."
            )
        check_size(frame.shape[1], frame.shape[0], where)
        for other in self._planes.values():
            if (other.shape, other.dtype) != (frame.shape, frame.dtype):
                raise PlaneError(
                    f"its frames differ in size or depth ({_form(other)} and {_form(frame)})",
                    where=where,
                    remedy="Take all frames of a field with the same camera, binning and region.",
                )


def plan_fields(
    events: Iterable[MDAEvent], station: Station, *, run: str, times_taken: Callable[[FieldKey, str], int]
) -> dict[FieldKey, AcquiredField]:
    """Create the fields that events will take frames of.

    Events with the same indices except channel and z are one field; if they have several positions, as events made by
    hand without an index p, each position is one, and its key is a `position_key`.

    Parameters
    ----------
    events : iterable of useq.MDAEvent
        All events of their fields.
        station : Station
        The rules.
    run : str
        Prefix of the ids.
    times_taken : callable
        Returns how often a field, by its key and the stem of its id, was taken before; its id gets a suffix by that.
    """
    # Other events focus, or are specific to their engine.
    taken = [event for event in events if isinstance(event.action, (AcquireImage, type(None)))]
    positions: dict[FieldKey, list[_Position]] = defaultdict(list)
    for event in taken:
        positions[field_key(event)].append(_position(event))
    several = {key for key, found in positions.items() if any(len(known) > 1 for known in _known(found))}
    fields: dict[FieldKey, AcquiredField] = {}
    stems: set[str] = set()
    for event in taken:
        indices = field_key(event)
        key = position_key(event) if indices in several else indices
        if key not in fields:
            stem = f"{run}/{_name_of(event, with_coordinates=indices in several)}"
            while stem in stems:
                stem += "_"
            stems.add(stem)
            fault = _fault(event, positions[indices]) if indices in several else ""
            fields[key] = AcquiredField(stem, station, times_taken=times_taken(key, stem), fault=fault)
        fields[key].plan(event)
    return fields


_Position = tuple[str | None, float | None, float | None]


def _position(event: MDAEvent) -> _Position:
    return event.pos_name or None, event.x_pos, event.y_pos


def _known(positions: Iterable[_Position]) -> list[set[Hashable]]:
    """Return the names, and the coordinates along x and y, that positions have."""
    return [{one for one in column if one is not None} for column in zip(*positions, strict=True)]


def _fault(event: MDAEvent, positions: Iterable[_Position]) -> str:
    lacks = any(own is None and known for own, known in zip(_position(event), _known(positions), strict=True))
    return "events of two positions have the same indices, and this one does not say of which it is" * lacks


def _name_of(event: MDAEvent, *, with_coordinates: bool) -> str:
    name, *coordinates = _position(event)
    parts = [UNSAFE.sub("_", name.replace("/", "_"))] if name else []
    if with_coordinates:
        parts += [f"{axis}{at:g}" for axis, at in zip("xy", coordinates, strict=True) if at is not None]
    indices = [f"{axis}{at:03}" for axis, at in field_key(event)]
    return "_".join([*parts, *(indices or ["field"])])


def _channel_of(event: MDAEvent) -> _Offered:
    return (event.channel.config if event.channel else ""), event.index.get("c")


def _form(frame: npt.NDArray[Any]) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]} {frame.dtype}"
