"""Cuts one cell out of its field, with everything else black, as the model card says."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Cell
from hpa_sdk.fields.rules import Trained
from hpa_sdk.fields.trained_scale import to_trained_scale
from hpa_sdk.models.network_form import CellCrop
from hpa_sdk.patch import Patch
from hpa_sdk.preprocessing import Planes

_Labels = npt.NDArray[np.int32]
_Span = tuple[int, int]

_EQUAL = 0.01


def alone_in_field(
    planes: Planes, labels: _Labels, cell: Cell, *, pixel_size: float | None, trained: Trained | None, where: Path | str
) -> tuple[Patch, tuple[str, ...]]:
    """Return a field with one cell, for a model that answers for fields. All other pixels are black.

    If both pixel sizes are known, the field has the scale and the extent of training, as `to_trained_scale` makes them.
    Along a side that is longer than in training, it begins half an extent before the centre of the cell.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    labels : numpy.ndarray
        int32 of shape (H, W).
    cell : Cell
        The cell.
    pixel_size : float or None
        Micrometres per pixel of the planes.
    trained : Trained or None
        The fields that the model was trained on.
    where : pathlib.Path or str
        Where the planes come from, for messages.

    Returns
    -------
    patch : Patch
        The cell in its field, of the same type.
    notes : tuple of str
        What was done to the scale.

    Raises
    ------
    PlaneError
        The planes cover too little.
    """
    if pixel_size is None or trained is None:
        top, left, bottom, right = cell.box
        alone = _window(planes, labels, cell, (top, bottom), (left, right), masked=True)
        return Patch(alone, top, left, (labels.shape[0], labels.shape[1])), ()
    extent = round(trained.side * trained.pixel_size / pixel_size)
    rows, columns = (
        (0, side)
        if side <= extent * (1 + _EQUAL)
        else (round(centre) - extent // 2, round(centre) + extent - extent // 2)
        for side, centre in zip(labels.shape, cell.centre, strict=True)
    )
    window = _window(planes, labels, cell, rows, columns, masked=True)
    scaled, notes = to_trained_scale(window, pixel_size, trained, Path(where))
    return _without_black_edges(scaled), notes


def _without_black_edges(planes: Planes) -> Patch:
    height, width = planes.shape[1:]
    brightest = planes.max(axis=0)
    rows, columns = (np.flatnonzero(brightest.max(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return Patch(planes[:, :1, :1], 0, 0, (height, width))
    top, left, bottom, right = (int(edge) for edge in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1))
    return Patch(planes[:, top:bottom, left:right], top, left, (height, width))


def crop_of(
    planes: Planes,
    labels: _Labels,
    cell: Cell,
    crop: CellCrop,
    *,
    factor: float | None = None,
    resized: bool = False,
) -> Planes:
    """Return the crop of one cell, for a model that answers for cells. What lies outside the field is black.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    labels : numpy.ndarray
        int32 of shape (H, W).
    cell : Cell
        The cell.
    crop : CellCrop
        How the crop is made. The margin is in pixels of training.
    factor : float, optional
        Pixels of training per pixel of the planes. Default: 1.
    resized : bool
        Whether the crop is resized by the factor. A model that resizes every crop to one size itself needs no other.

    Returns
    -------
    numpy.ndarray
        Of the same type, of shape (4, h, w): the box of the cell with the margin.
    """
    factor = factor or 1.0
    margin = round(crop.margin / factor)
    top, left, bottom, right = cell.box
    rows, columns = (top - margin, bottom + margin), (left - margin, right + margin)
    window = _window(planes, labels, cell, rows, columns, masked=crop.masked)
    if not resized or abs(factor - 1) <= _EQUAL:
        return window
    size = tuple(max(1, round(side * factor)) for side in (window.shape[2], window.shape[1]))
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.stack([cv2.resize(plane, size, interpolation=smooth) for plane in window])


def _window(planes: Planes, labels: _Labels, cell: Cell, rows: _Span, columns: _Span, *, masked: bool) -> Planes:
    """Cut a window, which can be partly outside the field. If masked, only the cell is in it."""
    size = (rows[1] - rows[0], columns[1] - columns[0])
    top, left, bottom, right = cell.box if masked else (0, 0, *labels.shape)
    taken = np.s_[max(rows[0], top) : min(rows[1], bottom), max(columns[0], left) : min(columns[1], right)]
    part = planes[:, *taken]
    if masked:
        part = cast("Planes", part * (labels[taken] == cell.number).astype(planes.dtype))
        if part.shape[1:] == size:
            return part
    window = np.zeros((len(planes), *size), planes.dtype)
    start, first = taken[0].start - rows[0], taken[1].start - columns[0]
    window[:, start : start + part.shape[1], first : first + part.shape[2]] = part
    return window
