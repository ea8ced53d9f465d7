"""Measures how far the answers of a converted network are from the trained one's, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import keras
import msgspec
import numpy as np
from tqdm import tqdm

from export.errors import ParityError
from export.fields import table_or_folder
from hpa_sdk.errors import TableError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.models.model_card import ModelCard, Parity
from hpa_sdk.prediction import Probabilities, sigmoid
from hpa_sdk.preprocessing import White

SAMPLES = 256
"""Default number of fields of each data set for a parity figure."""

LARGEST_DIFFERENCE = {"host": 1e-5, "graph": 1e-4}
"""Largest difference of two probabilities that counts as rounding, by the place of the preprocessing.

With the preprocessing in the graph, another library resizes.
"""

LEAST_AGREEMENT = {"host": 1.0, "graph": 0.999}
"""Smallest share of the fields that must have the same label set, by the place of the preprocessing."""

_BATCH_SIZE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldParity:
    """The difference of the answers for one field.

    Attributes
    ----------
    data, id : str
        Name of the folder or table, and of the field.
    max_difference, mean_difference : float
        Of the probabilities, absolute.
    same_label_set : bool
        Whether both give the same label set at the card's thresholds.
    """

    data: str
    id: str
    max_difference: float
    mean_difference: float
    same_label_set: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """The full comparison: the content of the file next to an exported model.

    Attributes
    ----------
    weights_sha256 : str
        As in the model's card.
    largest_difference_allowed : float
        Of the probabilities, absolute.
    summary : Parity
        The figures for the card.
    fields : tuple of FieldParity
        All compared fields, in order.
    """

    weights_sha256: str
    largest_difference_allowed: float
    summary: Parity
    fields: tuple[FieldParity, ...]

    def to_json(self) -> bytes:
        """Write the report as JSON with two spaces of indentation."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def measure_parity(
    network: keras.Model,
    model: bytes,
    card: ModelCard,
    data: Sequence[Path],
    *,
    count: int = SAMPLES,
    white: White | None = None,
) -> ParityReport:
    """Compare the answers of a trained network and of the model converted from it, on the CPU.

    Parameters
    ----------
    network : keras.Model
        With the output that the card names for the scores; takes images.
    model : bytes
        The serialized ONNX model; takes images or planes, as the card says.
    card : ModelCard
        The model's card.
    data : sequence of pathlib.Path
        Folders or tables as `find_samples` takes them.
    count : int
        Number of fields of each: the first ones.
    white : optional
        White level of 16-bit planes.

    Raises
    ------
    TableError
        There are fewer fields.
    SampleError, PlaneError
        A field can't be read.
    ParityError
        The trained network does not give probabilities, one differs by more than `LARGEST_DIFFERENCE`, or label sets
        differ.
    """
    session = Session(model, Device("cpu"), SessionSettings(tensors=card.tensors))
    thresholds = np.asarray(card.thresholds, np.float32)
    fields: list[FieldParity] = []
    samples = [(source.name, sample) for source in data for sample in _first_samples(source, count)]
    for batch in _batches(samples):
        planes = [read_planes(sample, card.preprocessing.channels) for _, sample in batch]
        asked = [
            card.preprocessing.model_input(field, white=white, where=sample.files[0])[0]
            for field, (_, sample) in zip(planes, batch, strict=True)
        ]
        found = np.concatenate([session.run(field[np.newaxis])[0] for field in asked])
        images = np.stack([card.preprocessing(field, white=white) for field in planes])
        expected = network.predict_on_batch(images)[card.tensors.scores]
        if card.tensors.scores_are == "logits":
            expected = sigmoid(expected)
        _check_probabilities(expected, card.tensors.scores)
        differences = np.abs(found - expected)
        same = ((found >= thresholds) == (expected >= thresholds)).all(axis=1)
        fields += [
            FieldParity(
                data=name,
                id=sample.id,
                max_difference=float(row.max()),
                mean_difference=float(row.mean()),
                same_label_set=bool(agrees),
            )
            for (name, sample), row, agrees in zip(batch, differences, same, strict=True)
        ]
    return _accept(tuple(fields), card)


def _first_samples(data: Path, count: int) -> list[Sample]:
    samples = list(islice(find_samples(table_or_folder(data)), count))
    if len(samples) < count:
        raise TableError(
            f"there are {len(samples)} fields, and the comparison needs {count}",
            where=data,
            remedy="Name other fields with --samples FOLDER, or compare fewer with --count.",
        )
    return samples


def _batches(samples: list[tuple[str, Sample]]) -> Iterator[list[tuple[str, Sample]]]:
    starts = range(0, len(samples), _BATCH_SIZE)
    for start in tqdm(starts, desc="compare", unit="batch", disable=None):
        yield samples[start : start + _BATCH_SIZE]


def _check_probabilities(expected: Probabilities, layer: str) -> None:
    if not (expected.min() >= 0 and expected.max() <= 1):
        raise ParityError(
            f"the trained network's probabilities lie between {expected.min():.3g} and {expected.max():.3g},"
            " not between 0 and 1",
            remedy=f"Nothing was written. Give its layer '{layer}' a sigmoid: see docs/own-network.md.",
        )


def _accept(fields: tuple[FieldParity, ...], card: ModelCard) -> ParityReport:
    place = card.preprocessing.place
    summary = Parity(
        samples=len(fields),
        # NumPy's, since the built-in one ignores a NaN.
        max_difference=float(np.max([field.max_difference for field in fields])),
        mean_difference=float(np.mean([field.mean_difference for field in fields])),
        same_label_sets=float(np.mean([field.same_label_set for field in fields])),
    )
    allowed = LARGEST_DIFFERENCE[place]
    if not (summary.max_difference <= allowed and summary.same_label_sets >= LEAST_AGREEMENT[place]):
        raise ParityError(
            f"the converted network differs by up to {summary.max_difference:.1e} (allowed: {allowed:.0e})"
            f" and gives the same label set for {summary.same_label_sets:.2%} of {summary.samples} fields",
            remedy="Nothing was written. Compare the versions in constraints.txt with those installed.",
        )
    return ParityReport(
        weights_sha256=card.weights_sha256, largest_difference_allowed=allowed, summary=summary, fields=fields
    )
