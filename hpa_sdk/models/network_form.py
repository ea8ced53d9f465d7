"""Describes the input and outputs of any network, and checks that its preprocessing fits them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from hpa_sdk.errors import ModelCardError
from hpa_sdk.preprocessing import Normalization, Preprocessing

LARGEST_IMAGE = 4096
"""Longest side in pixels that a card may set for the image. An untrusted card could otherwise use all memory."""

MOST_COLOURS = 64
"""Most colours of an image that a card may set."""

MAPS = ("nuclei", "cells", "boundaries")
"""What the maps of a segmentation network are: for each pixel, the probability of lying in a nucleus, in a cell, and on
the border between two cells. The last one can be left out."""

Unit = Literal["field", "cell", "pixel"]
"""What a network answers for."""

_ALL = 100  # percent
CHANNELS = ("red", "green", "blue", "yellow")
"""The channels that a network can take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensors:
    """Names and meanings of a model file's input and outputs.

    Attributes
    ----------
    input : str
        The image.
    scores : str
        One score for each class.
    embedding : str or None
        The features before the last layer. None if the file does not give them.
    scores_are : str
        ``"probabilities"``, or ``"logits"``, to which a sigmoid is applied.
    """

    input: str = "image"
    scores: str = "probabilities"
    embedding: str | None = "embedding"
    scores_are: Literal["probabilities", "logits"] = "probabilities"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that are used, in order: scores, then embedding."""
        return (self.scores,) if self.embedding is None else (self.scores, self.embedding)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCrop:
    """How the crop of one cell is made from its field.

    Attributes
    ----------
    margin : int
        Pixels around the box of the cell.
    masked : bool
        Whether everything outside the cell is black.
    """

    margin: int = 0
    masked: bool = True


def check_form(form: Preprocessing, tensors: Tensors, where: str | None) -> None:
    """Check that a preprocessing is possible, and that the names of tensors differ.

    Raises
    ------
    ModelCardError
        It is not. The message says which part.
    """
    wrong = next(_faults(form), None)
    if wrong is not None:
        raise ModelCardError(
            f"the model card's preprocessing {wrong}",
            where=where,
            remedy="Correct the card, or export the model again.",
        )
    names = (tensors.input, *tensors.outputs)
    if "" in names or len(set(names)) < len(names):
        raise ModelCardError(
            f"the model card's names of tensors are empty or equal ({', '.join(names)})",
            where=where,
            remedy="Give the names that the file uses: 'hpa inspect' lists them.",
        )


def check_unit(unit: Unit, cell: CellCrop | None, labels: tuple[str, ...], tensors: Tensors, where: str | None) -> None:
    """Check that a card says what its unit needs.

    Raises
    ------
    ModelCardError
        It does not.
    """
    if (unit == "cell") != (cell is not None):
        raise ModelCardError(
            f"the model card's unit is a {unit}, and it "
            + ("says" if cell else "does not say")
            + " how the crop of a cell is made",
            where=where,
            remedy="Give unit = 'cell' together with the table [cell], or neither of them.",
        )
    if unit == "pixel" and (labels not in {MAPS, MAPS[:-1]} or tensors.embedding is not None):
        raise ModelCardError(
            f"the model card's unit is a pixel, and its labels are {', '.join(labels)}",
            where=where,
            remedy=f"Name its maps {', '.join(MAPS)}, in this order; the last can be left out. It has no embedding.",
        )


def _faults(form: Preprocessing) -> Iterator[str]:
    colours = len(form.blend)
    if form.scale <= 0 or not (form.size is None or form.size >= 1):
        yield "has no positive size and scale"
    elif form.size is not None and form.size > LARGEST_IMAGE:
        yield f"asks for images of {form.size:,} pixels a side, more than {LARGEST_IMAGE:,}"
    if not form.channels or len(set(form.channels)) < len(form.channels) or not set(form.channels) <= set(CHANNELS):
        yield f"names the channels {', '.join(form.channels)}: not some of {', '.join(CHANNELS)}"
    if not 0 < colours <= MOST_COLOURS or any(len(row) != len(form.channels) for row in form.blend):
        yield f"needs 1 to {MOST_COLOURS} rows in its blend, of {len(form.channels)} numbers each"
    for name, given in (("mean", form.mean), ("deviation", form.deviation)):
        if given is not None and len(given) != colours:
            yield f"has {len(given)} numbers as {name} for {colours} colours"
    if form.deviation is not None and not all(number > 0 for number in form.deviation):
        yield "has a deviation that is not above 0"
    if not all(map(math.isfinite, (form.scale, *chain(*form.blend, form.mean or (), form.deviation or ())))):
        yield "has a number that is not finite"
    if form.place == "graph" and form.size is None:
        yield "leaves the size open, which a model that does the preprocessing can't"
    yield from () if form.normalization is None else _normalization_faults(form.normalization, form.place)


def _normalization_faults(normalization: Normalization, place: str) -> Iterator[str]:
    if place == "graph":
        yield "normalizes each image by its own values, which a model that does the preprocessing can't"
    if not 0 <= normalization.low < normalization.high <= _ALL:
        yield "normalizes by percentiles that are not in order between 0 and 100"
    if not 0 <= normalization.epsilon < math.inf:
        yield "normalizes with an epsilon that is not a number of 0 or more"
