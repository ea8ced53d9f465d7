"""Defines a field of view: its id, its files, and its planes after reading."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import HpaError
from hpa_sdk.files.file_state import FileState


class Channel(enum.StrEnum):
    """One of the four fluorescence channels, in the order in which planes are stacked."""

    RED = "red"  # microtubules
    GREEN = "green"  # the protein of interest
    BLUE = "blue"  # nucleus
    YELLOW = "yellow"  # endoplasmic reticulum


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlanes:
    """The planes of one field, as they were read.

    Attributes
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow.
    files : tuple of FileState
        The files that they were read from, with their state at that time. Empty for planes from memory.
    notes : tuple of str
        What was done to the planes, and what is unknown.
    stretched : bool
        Whether they were scaled by their own white level, so that it is the highest value of their type.
    channels : tuple of str
        What each plane was read from, as `hpa_sdk.Prediction.channels`. Empty for planes from memory.
    pixel_size : float or None
        Micrometres per pixel of the planes, if it is known.
    """

    planes: npt.NDArray[np.uint8 | np.uint16]
    files: tuple[FileState, ...] = ()
    notes: tuple[str, ...] = ()
    stretched: bool = False
    channels: tuple[str, ...] = ()
    pixel_size: float | None = None


class PlaneSource(Protocol):
    """Reads the planes of a field that is not four plain pictures, such as a stack from a microscope."""

    def read(self) -> FieldPlanes:
        """Read the planes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One field of view and the files of its four channels.

    A sample gives the expected paths of the planes. Whether they exist and can be read shows only when they are read.
    So an incomplete field is one failure among the answers and does not stop a batch.

    Attributes
    ----------
    id : str
        The common part of the four file names. Starts with the path below the searched folder, if any.
    files : tuple of pathlib.Path
        The four planes in the order of `Channel`: red, green, blue, yellow. With a `source`, the files that it reads,
        at least one. `find_samples` gives absolute paths, so that a change of the working folder has no effect.
    source : PlaneSource, optional
        Reads the planes, if they are not four plain pictures.
    note : str
        A remark on how it was found. Can be empty.
    problem : HpaError or None
        Why its planes can't be chosen from the existing files. Reading such a sample raises this error.
    """

    id: str
    files: tuple[Path, ...]
    source: PlaneSource | None = None
    note: str = ""
    problem: HpaError | None = None

    def files_of(self, channels: Collection[str]) -> tuple[Path, ...]:
        """Return the files of some channels. With a `source`, all of its files: it reads by its own rules."""
        if self.source is not None:
            return self.files
        return tuple(file for channel, file in zip(Channel, self.files, strict=True) if channel in channels)
