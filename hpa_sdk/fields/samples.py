"""Says what a field of view is: its id, its files, and its planes once they are read."""

from __future__ import annotations

import enum
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
    """The planes of one field as they were read.

    Attributes
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow.
    files : tuple of FileState
        The files that they were read from, as they were then; empty for planes that never lay in a file.
    notes : tuple of str
        What was done to the planes, and what is unknown.
    stretched : bool
        Whether their white level was taken from them and brought to the highest value of their type.
    """

    planes: npt.NDArray[np.uint8 | np.uint16]
    files: tuple[FileState, ...] = ()
    notes: tuple[str, ...] = ()
    stretched: bool = False


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
