"""Adapts reading to a model: its channels, and the scale of its training, so that cells have the same size as there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeVar, cast

import cv2
import msgspec
import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.planes import MIN_SIDE
from hpa_sdk.fields.rules import FieldRules, Trained
from hpa_sdk.fields.samples import Channel
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import Planes, White

_DETAIL = 1.5  # pixels larger than those of training by this factor lack detail that the network looks for
_WHOLE = 0.99
_RESIZED, _LARGER, _SMALLER = "resized by ", "the field is larger than ", "the field is smaller than "
UNKNOWN_SCALE = "the pixel size of the model's training is unknown, so nothing is rescaled"
"""The note of a field that is read without the scale of training."""


Rules = TypeVar("Rules", bound=FieldRules)


def for_model(card: ModelCard, rules: Rules) -> Rules:
    """Return the rules with what a model needs: its training scale, unless they have their own, and its channels.

    Channels that the model does not take are not read.
    """
    trained = msgspec.structs.replace(rules, trained=rules.trained or _trained_of(card))
    return trained.ignoring([channel for channel in Channel if channel not in card.preprocessing.channels])


def rules_for(card: ModelCard, rules: Rules | None, white: White | None) -> Rules | None:
    """Return rules that match a model and a white level.

    Parameters
    ----------
    card : ModelCard
        Has the training scale, for rules that have none, and the channels.
    rules : FieldRules or None
        None if files are read without rules.
    white : optional
        The predictor's setting. If it is ``"percentile"``, the rules apply it before planes are cropped or padded.
    """
    if rules is None:
        return None
    if white == "percentile" and rules.files.white is None:
        rules = msgspec.structs.replace(rules, files=msgspec.structs.replace(rules.files, white=white))
    return for_model(card, rules)


def stack_rules_of(card: ModelCard) -> FieldRules:
    """Return the rules for stacks that are read without the user's rules."""
    return for_model(card, FieldRules())


def whole_field_rules(
    card: ModelCard, rules: FieldRules | None, white: White | None, channels: Collection[str] = ()
) -> tuple[FieldRules | None, FieldRules, Trained | None]:
    """Return rules that read whole fields at their own scale, for cells, which are brought to that of training later.

    Parameters
    ----------
    card, rules, white
        As for `rules_for`.
    channels : collection of str
        Further channels to read, beside those of the model.

    Returns
    -------
    rules : FieldRules or None
        None if files are read without rules.
    stack_rules : FieldRules
        For stacks that are read without rules.
    trained : Trained or None
        The fields that the model was trained on.
    """
    given = rules_for(card, rules, white)
    stacks = stack_rules_of(card)
    read = [msgspec.structs.replace(each, trained=None).reading(channels) for each in (given or stacks, stacks)]
    return None if given is None else read[0], read[1], (given or stacks).trained


def _trained_of(card: ModelCard) -> Trained | None:
    pixel_size, side = card.training.pixel_size, card.training.field_side
    return None if pixel_size is None or side is None else Trained(pixel_size=pixel_size, side=side)


def to_trained_scale(
    planes: Planes, pixel_size: float | None, trained: Trained | None, where: Path
) -> tuple[Planes, tuple[str, ...]]:
    """Bring planes to the pixel size and the extent of the fields that a model was trained on.

    A network sees every field resized to 299 pixels, whatever its extent: cells in a field twice as wide would appear
    half as large as in training. So the planes are cropped around their centre to the extent of training, resized to
    its pixel size (area average if that is coarser, as for the training planes; bilinear if it is finer), and padded
    with black if they cover less. The network does not see what is cropped: split fields that are much larger than
    those of training into several at the microscope. Nothing is stretched to fill a frame.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    pixel_size : float or None
        Micrometres per pixel.
    trained : Trained or None
        The fields that the model was trained on.
    where : pathlib.Path
        Where the planes come from, for messages.

    Returns
    -------
    planes : numpy.ndarray
        Of the same type, of shape (4, side, side). Unchanged if `pixel_size` or `trained` is unknown.
    notes : tuple of str
        What was done, or why nothing was done.

    Raises
    ------
    PlaneError
        The planes cover too little for a picture at the scale of training.
    """
    if trained is None:
        return planes, (UNKNOWN_SCALE,)
    if pixel_size is None:
        return planes, ("the pixel size is unknown, so nothing is rescaled: give files.pixel_size",)
    factor = pixel_size / trained.pixel_size
    heights, widths = (_cut(side, trained.side / factor) for side in planes.shape[1:])
    cut = planes[:, heights, widths]
    height, width = (min(round(side * factor), trained.side) for side in cut.shape[1:])
    if min(height, width, *cut.shape[1:]) < MIN_SIDE:
        raise PlaneError(
            f"at {pixel_size:g} um a pixel the field spans {planes.shape[2] * pixel_size:.3g} um; the model was trained"
            f" on {trained.side * trained.pixel_size:.4g} um",
            where=where,
            remedy="Check the pixel size; files.pixel_size of the station file overrides what files say.",
        )
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    framed = np.zeros((len(planes), trained.side, trained.side), planes.dtype)
    top, left = (trained.side - height) // 2, (trained.side - width) // 2
    for plane, frame in zip(cut, framed, strict=True):
        frame[top : top + height, left : left + width] = cv2.resize(plane, (width, height), interpolation=smooth)
    return cast("Planes", framed), _notes(planes, cut, height * width / trained.side**2, factor)


def _cut(side: int, wanted: float) -> slice:
    cropped = min(side, max(1, round(wanted)))
    start = (side - cropped) // 2
    return slice(start, start + cropped)


def _notes(planes: Planes, cut: Planes, filled: float, factor: float) -> tuple[str, ...]:
    seen = cut.size / planes.size
    notes = [f"{_RESIZED}{factor:.3g} to the pixel size of training"] if abs(factor - 1) > 1 - _WHOLE else []
    if seen < _WHOLE:
        notes.append(f"{_LARGER}those of training: its centre, {seen:.0%} of it, is seen")
    if filled < _WHOLE:
        notes.append(f"{_SMALLER}those of training: it fills {filled:.0%}, the rest is black")
    if factor > _DETAIL:
        notes.append("its pixels are coarser than those of training: detail is missing")
    return tuple(notes)


def scale_notes(notes: Iterable[str]) -> frozenset[str]:
    """Return those notes of a field that say how it was brought to the scale of training; empty if it was not."""
    return frozenset(note for note in notes if note.startswith((_RESIZED, _LARGER, _SMALLER)))
