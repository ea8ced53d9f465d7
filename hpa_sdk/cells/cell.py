"""Describes the cells of a field and what the model answers for each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError
from hpa_sdk.prediction import Failure, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a label image.

    Attributes
    ----------
    number : int
        Its value in the label image, from 1.
    box : tuple of int
        Top, left, bottom, right in pixels; bottom and right are the first row and column behind it.
    centre : tuple of float
        Row and column of its centroid, in pixels.
    area : int
        Number of its pixels.
    area_um2 : float or None
        Its area in square micrometres; None if the pixel size is not known.
    border : bool
        Whether it touches the border of the field, so that a part of it can be missing.
    """

    number: int
    box: tuple[int, int, int, int]
    centre: tuple[float, float]
    area: int
    area_um2: float | None
    border: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """The cells of a field.

    Attributes
    ----------
    labels : numpy.ndarray
        int32 of shape (H, W): 0 is background, another value is the number of a cell.
    cells : tuple of Cell
        The cells, by ascending number.
    pixel_size : float or None
        Micrometres per pixel of the label image, if it is known.
    source : str
        What found them: the name of the method, or the file that the label image was read from.
    notes : tuple of str
        What a reader of the answers should know of the segmentation.
    nuclei : numpy.ndarray or None
        bool of shape (H, W): where a cell's pixels belong to its nucleus. None if nuclei are not known, as of masks.
    """

    labels: npt.NDArray[np.int32]
    cells: tuple[Cell, ...]
    pixel_size: float | None
    source: str
    notes: tuple[str, ...] = ()
    nuclei: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellAnswers:
    """What the model answers for the cells of a field.

    Attributes
    ----------
    id : str
        The field's id.
    segmentation : Segmentation
        Its cells.
    answers : tuple of Prediction or Failure
        One for each cell, in the same order.
    """

    id: str
    segmentation: Segmentation
    answers: tuple[Prediction | Failure, ...]

    @property
    def failure(self) -> Failure | None:
        """Why the field has no cells; None if it has."""
        if self.segmentation.cells:
            return None
        why = "; ".join(self.segmentation.notes)
        error = PlaneError(
            f"the field has no cells{why and f' ({why})'}",
            where=self.segmentation.source,
            remedy="Look at the field, or give a mask of its cells.",
        )
        return Failure(self.id, error)
