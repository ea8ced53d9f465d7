"""Reads a field, finds its cells, and turns each of them into the input of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Segmentation
from hpa_sdk.cells.one_cell import alone_in_field, crop_of
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.errors import HpaError, PlaneError
from hpa_sdk.fields.rules import Trained
from hpa_sdk.fields.samples import Channel, FieldPlanes
from hpa_sdk.fields.sources import FoundField
from hpa_sdk.fields.trained_scale import UNKNOWN_SCALE, to_trained_scale
from hpa_sdk.inference.prepared_field import PreparedField, judge_field, log_notes
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import Planes, White
from hpa_sdk.quality.quality import Quality

_ALONE = "the model answers for fields, and saw the cell alone in its field: all other pixels were black"


@dataclass(frozen=True, slots=True)
class CutField:
    """A field and its cells.

    Attributes
    ----------
    id, where : str
        The field's id, and its path for messages.
    read : FieldPlanes
        Its planes.
    segmentation : Segmentation
        Its cells.
    white : tuple of float
        The grey level that counts as 1 in red, green, blue and yellow, for 16-bit planes.
    pixel_size : float or None
        Micrometres per pixel.
    trained : Trained or None
        The fields that the model was trained on.
    quality : Quality or None
        That of the field.
    """

    id: str
    where: str
    read: FieldPlanes
    segmentation: Segmentation
    white: tuple[float, ...]
    pixel_size: float | None
    trained: Trained | None
    quality: Quality | None


@dataclass(frozen=True, slots=True)
class PreparedCell:
    """A cell that is ready to run. Its quality is that of the field, and takes no part in the run."""

    prepared: PreparedField
    quality: Quality | None


def read_cells(
    found: FoundField | Failure,
    *,
    card: ModelCard,
    segmenter: Segmenter,
    white: White | None,
    trained: Trained | None,
    pixel_size: float | None,
    quality: bool,
) -> CutField | Failure:
    """Read a field, judge its quality if asked to, and find its cells.

    Parameters
    ----------
    found : FoundField or Failure
        The field.
    card : ModelCard
        The model's.
    segmenter : Segmenter
        Finds the cells.
    white : optional
        As for `hpa_sdk.Predictor.load`.
    trained : Trained or None
        The fields that the model was trained on.
    pixel_size : float or None
        Micrometres per pixel of fields whose files do not give it.
    quality : bool
        Whether to judge the quality.

    Returns
    -------
    CutField or Failure
        A failure if the field can't be read or its cells can't be found.
    """
    if isinstance(found, Failure):
        return found
    try:
        form = card.preprocessing
        read = found.read({*form.channels, *segmenter.channels})
        white = "dtype" if read.stretched else white
        levels = form.white_levels(read.planes, white=white, where=found.where)
        size = read.pixel_size or pixel_size
        judged = _judge(read.planes, levels, card, size, trained, found.where) if quality else None
        planes = _of_four(read.planes, card, segmenter, found.where)
        segmentation = segmenter.segment(planes, id=found.id, pixel_size=size)
    except HpaError as error:
        return Failure(found.id, error)
    log_notes(read.notes)
    return CutField(found.id, str(found.where), read, segmentation, _of_all(levels, card), size, trained, judged)


def _judge(
    planes: Planes,
    levels: npt.NDArray[np.float32],
    card: ModelCard,
    pixel_size: float | None,
    trained: Trained | None,
    where: Path | str,
) -> Quality:
    """Judge a field at the scale of training, so that the size of nuclei is compared with that of training."""
    if pixel_size is None:
        return judge_field(planes, levels, card, whole=True)
    try:
        seen, _ = to_trained_scale(planes, pixel_size, trained, Path(where))
    except PlaneError as error:  # a model for cells can answer all the same
        return judge_field(planes, levels, card, whole=True, scale_problem=error.what)
    return judge_field(seen, levels, card, whole=True)


def cut(field: CutField, at: int, card: ModelCard) -> PreparedCell | Failure:
    """Turn the cell at a position into the input of the model."""
    cell, labels = field.segmentation.cells[at], field.segmentation.labels
    name = f"{field.id}:{cell.number}"
    notes = tuple(note for note in field.read.notes if note != UNKNOWN_SCALE)
    try:
        if card.cell is not None:
            factor = field.pixel_size / field.trained.pixel_size if field.pixel_size and field.trained else None
            resized = card.preprocessing.size is None
            planes = crop_of(field.read.planes, labels, cell, card.cell, factor=factor, resized=resized)
            image, levels = card.preprocessing.model_input(planes, white=field.white, where=name)
        else:
            patch, scale_notes = alone_in_field(
                field.read.planes,
                labels,
                cell,
                pixel_size=field.pixel_size,
                trained=field.trained,
                where=field.where,
            )
            notes = (*notes, *scale_notes, _ALONE)
            image, levels = card.preprocessing.patch_input(patch, white=field.white, where=name)
    except HpaError as error:
        return Failure(name, error)
    read = field.read
    return PreparedCell(PreparedField(name, (image,), levels, read.files, notes, read.channels, None), field.quality)


def _of_four(planes: Planes, card: ModelCard, segmenter: Segmenter, where: Path | str) -> Planes:
    """Return all four planes: an array can hold only those that the model takes."""
    if len(planes) == len(Channel):
        return planes
    missing = [name for name in segmenter.channels if name not in card.preprocessing.channels]
    if missing:
        raise PlaneError(
            f"cells are found in the {missing[0]} plane, and the array has only those that the model takes",
            where=where,
            remedy="Give all four planes, or masks of the cells.",
        )
    four = np.zeros((len(Channel), *planes.shape[1:]), planes.dtype)
    four[[_PLACES[name] for name in card.preprocessing.channels]] = planes
    return four


def _of_all(levels: npt.NDArray[np.float32], card: ModelCard) -> tuple[float, ...]:
    """Return white levels of all four planes; of those that the model does not take, no level is used."""
    known = dict(zip(card.preprocessing.channels, levels.tolist(), strict=True))
    return tuple(known.get(channel.value, 1.0) for channel in Channel)


_PLACES = {channel.value: place for place, channel in enumerate(Channel)}
