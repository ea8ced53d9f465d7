"""Turns a field that was found into the input of a model, and keeps what its prediction has to say of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hpa_sdk.fields.sources import FoundField
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.models.known_data import field_hash
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import Image, Planes, Preprocessing, White
from hpa_sdk.quality.limits import LEAST_FIELDS, Limits
from hpa_sdk.quality.quality import Quality, judge

ModelField = Image | npt.NDArray[np.uint8]
"""The input of a model for one field, without the batch dimension: an image or planes."""

WHOLE_FIELD = "the model answers for single cells, and the whole picture was taken as the crop of one cell"
"""The note of an answer of such a model for a picture that was not cut into cells."""

ADAPTED_TO = "the model was adapted to this field, so the answer does not show how good the model is"
"""The note of an answer for a field that the model, or one of which it was made, was adapted to with its labels."""

_log = logging.getLogger("hpa_sdk")


@dataclass(frozen=True, slots=True)
class PreparedField:
    """A field that is ready to run.

    Attributes
    ----------
    id : str
        The sample's id.
    inputs : tuple of numpy.ndarray
        The input of each model.
    white, files, notes, channels, quality
        As the attributes of a `Prediction`.
    """

    id: str
    inputs: tuple[ModelField, ...]
    white: npt.NDArray[np.float32]
    files: tuple[FileState, ...]
    notes: tuple[str, ...]
    channels: tuple[str, ...]
    quality: Quality | None


def prepare(found: FoundField, cards: Sequence[ModelCard], white: White | None, *, quality: bool) -> PreparedField:
    """Read a field, judge its quality if asked to, and preprocess it for each model. Each note is logged once.

    What depends on the model otherwise, such as the limits of quality, is that of the first.

    Raises
    ------
    PlaneError
        It can't be read, or has 16 bits and no white level is known.
    """
    card = cards[0]
    read = found.read(card.preprocessing.channels)
    log_notes(read.notes)
    # Their white level was applied before they were cropped or padded. It is now the highest value of their type.
    white = "dtype" if read.stretched else white
    field, levels = card.preprocessing.model_input(read.planes, white=white, where=found.where)
    inputs: dict[Preprocessing, ModelField] = {card.preprocessing: field}
    for form in (other.preprocessing for other in cards[1:]):
        if form not in inputs:
            inputs[form], _ = form.model_input(read.planes, white=white, where=found.where)
    notes = (*read.notes, *_of_models(read.planes, cards))
    judged = judge_field(read.planes, levels, card) if quality else None
    given = tuple(inputs[each.preprocessing] for each in cards)
    return PreparedField(found.id, given, levels, read.files, notes, read.channels, judged)


def _of_models(planes: Planes, cards: Sequence[ModelCard]) -> Iterator[str]:
    """Yield what a reader should know of the models that answer for these planes."""
    if cards[0].unit == "cell":
        yield WHOLE_FIELD
    for card in cards:
        known = card.known_fields
        if known and field_hash(planes, card.preprocessing.channels) in known:
            yield ADAPTED_TO
            return


# Limits of whole fields say nothing of crops of cells: only what needs no limit is flagged.
_NO_LIMITS = Limits(data="", fields=LEAST_FIELDS)
_OF_CROPS = "the limits of the reference: they are of crops of cells, so the field was compared with those that ship"


def judge_field(
    planes: Planes, levels: npt.NDArray[np.float32], card: ModelCard, *, whole: bool = False, scale_problem: str = ""
) -> Quality:
    """Judge the quality of planes.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    levels : numpy.ndarray
        The grey level that counts as 1, of each plane that the model takes.
    card : ModelCard
        The model card.
    whole : bool
        Whether they are a whole field even if the model answers for cells, whose limits say nothing of fields.
    scale_problem : str
        As for `hpa_sdk.quality.measures.measure`.
    """
    limits = card.reference and card.reference.limits
    of_crops = whole and card.unit == "cell" and limits is not None
    if card.unit == "cell":
        limits = None if whole else limits or _NO_LIMITS
    judged = judge(
        card.preprocessing.taken(planes),
        card.preprocessing.channels,
        white=None if planes.dtype == np.uint8 else levels,
        limits=limits or None,
        scale_problem=scale_problem,
    )
    return replace(judged, left_out=(*judged.left_out, _OF_CROPS)) if of_crops else judged


def log_notes(notes: tuple[str, ...]) -> None:
    """Log notes, each once in a process."""
    for note in notes:
        _log_once(note)


@lru_cache(maxsize=256)
def _log_once(note: str) -> None:
    _log.warning("%s", escaped(note))
