"""Puts the planes of a field together from the frames of an acquisition, as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from useq import AcquireImage, MDAEvent

from hpa_sdk.errors import PlaneError
from hpa_sdk.planes import Planes, check_size, stack_planes
from hpa_sdk.samples import Channel, FieldPlanes
from hpa_sdk.workstation.channel_stack import check_type
from hpa_sdk.workstation.channels import Instead, fill_in, pick_channels
from hpa_sdk.workstation.file_group import UNSAFE
from hpa_sdk.workstation.station import Station
from hpa_sdk.workstation.trained_scale import to_trained_scale
from hpa_sdk.workstation.white_level import stretch, white_notes

FieldKey = tuple[tuple[str, int], ...]
"""What tells fields apart: the indices of an event without those of channel and z."""

_Offered = tuple[str, int | None]
"""Name and number of a channel of the acquisition."""

_GREY = 2  # dimensions of a grey frame


def field_key(event: MDAEvent) -> FieldKey:
    """Say which field an event belongs to."""
    return tuple(sorted((str(axis), at) for axis, at in event.index.items() if axis not in {"c", "z"}))


class AcquiredField:
    """One field of an acquisition: the frames that are planned for it, and the planes that came.

    Frames along z are projected as they come, so that a field holds one plane a channel at most. A
    `hpa_sdk.samples.PlaneSource` once it is complete.

    Attributes
    ----------
    id : str
        The field's id.
    settled : bool
        Whether no more frames count: it was handed to the predictor, or given up.
    """

    def __init__(self, name: str, station: Station) -> None:
        self.id = name
        self.settled = False
        self._station = station
        self._planned: dict[_Offered, set[int]] = {}
        self._came: dict[_Offered, set[int]] = {}
        self._planes: dict[_Offered, Planes] = {}
        self._found: dict[Channel, _Offered] = {}
        self._instead: Instead = {}
        self._pixel_size: float | None = None

    def plan(self, event: MDAEvent) -> None:
        """Plan a frame."""
        self._planned.setdefault(_channel_of(event), set()).add(_z_of(event))

    def check(self) -> None:
        """Check that the planned frames make a field by the rules of the station file.

        Raises
        ------
        PlaneError
            A channel is missing or ambiguous, or has too few z planes.
        """
        offered = list(self._planned)
        found, self._instead = pick_channels(offered, self._station, Path(self.id))
        self._found = {channel: offered[at] for channel, at in found.items()}
        for channel in self._found.values():
            self._wanted_z(channel)

    def add(self, frame: npt.NDArray[Any], event: MDAEvent, pixel_size: float | None) -> None:
        """Add a frame; one of a channel that is none of the four is ignored.

        Parameters
        ----------
        frame : numpy.ndarray
            uint8 or uint16 of shape (H, W). Not copied and not changed.
        event : useq.MDAEvent
            What it was taken by.
        pixel_size : float or None
            Micrometres a pixel by the core.

        Raises
        ------
        PlaneError
            The frame is no such array or one too many, or the plan is none for a field.
        """
        if not self._found:
            self.check()
            self._pixel_size = self._station.files.pixel_size or pixel_size or None
        channel, z = _channel_of(event), _z_of(event)
        if channel not in self._found.values():
            return
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
            self._planes[channel] = frame if before is None else np.maximum(before, frame)

    @property
    def complete(self) -> bool:
        """Whether all frames of the four channels came."""
        return bool(self._found) and not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """The channels that lack a frame, by our name and the acquisition's."""
        return tuple(
            f"{channel} ({offered[0]!r})"
            for channel, offered in self._found.items()
            if self._came.get(offered) != self._planned[offered]
        )

    def incomplete_error(self) -> PlaneError:
        """Make the error of a field that is given up."""
        return PlaneError(
            f"frames are missing: {', '.join(self.missing)}",
            where=self.id,
            remedy="Look in pymmcore-plus's log for frames that failed; a cancelled acquisition lacks its last frames,"
            " and one that takes a channel everywhere before the next needs more 'incomplete' fields.",
        )

    def read(self) -> FieldPlanes:
        """Give the planes at the scale of training, and what was done to them.

        Raises
        ------
        PlaneError
            The channels differ in size or depth, or the field is too small for the scale of training.
        """
        where = Path(self.id)
        planes = fill_in({channel: self._planes[offered] for channel, offered in self._found.items()}, self._instead)
        merged = stack_planes([planes[channel] for channel in Channel], where)
        stretched, white = stretch(merged, self._station.files.white)
        scaled, scale_notes = to_trained_scale(stretched, self._pixel_size, self._station.trained, where)
        depths = {len(self._planned[offered]) for offered in self._found.values()} - {1}
        notes = (
            *(f"{channel} is missing; in its place: {other}" for channel, other in self._instead.items()),
            *(f"z {self._station.files.z} of {depth} z planes" for depth in sorted(depths)),
            *white_notes(white),
            *scale_notes,
        )
        return FieldPlanes(scaled, notes=notes)

    def release(self) -> None:
        """Let go of the planes."""
        self._planes.clear()

    def _wanted_z(self, channel: _Offered) -> set[int]:
        planned, rule = sorted(self._planned[channel]), self._station.files.z
        if rule == "max" or len(planned) == 1:
            return set(planned)
        at = len(planned) // 2 if isinstance(rule, str) else rule
        if at >= len(planned):
            raise PlaneError(
                f"z plane {at} is asked for, and channel {channel[0]!r} has {len(planned)}, counted from 0",
                where=self.id,
                remedy="Change files.z in the station file.",
            )
        return {planned[at]}

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
    events: Iterable[MDAEvent], station: Station, *, run: str, times_taken: Callable[[FieldKey], int]
) -> dict[FieldKey, AcquiredField]:
    """Make the fields that events will take frames of.

    Parameters
    ----------
    events : iterable of useq.MDAEvent
        All events of the fields that they belong to.
    station : Station
        The rules.
    run : str
        What ids start with.
    times_taken : callable
        Tells how often a field was taken before; its id tells that apart.
    """
    fields: dict[FieldKey, AcquiredField] = {}
    for event in events:
        if not isinstance(event.action, (AcquireImage, type(None))):
            continue  # it focuses, or does what only its engine knows
        key = field_key(event)
        if key not in fields:
            place = UNSAFE.sub("_", f"{event.pos_name.replace('/', '_')}_") if event.pos_name else ""
            indices = "_".join(f"{axis}{at:03}" for axis, at in key) or "field"
            again = f"-{times + 1}" if (times := times_taken(key)) else ""
            fields[key] = AcquiredField(f"{run}/{place}{indices}{again}", station)
        fields[key].plan(event)
    return fields


def _channel_of(event: MDAEvent) -> _Offered:
    return (event.channel.config if event.channel else ""), event.index.get("c")


def _z_of(event: MDAEvent) -> int:
    return event.index.get("z", 0)


def _form(frame: npt.NDArray[Any]) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]} {frame.dtype}"
