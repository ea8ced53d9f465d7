"""Writes the adapted model file: the parent with another last layer and a card that says what changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from hpa_sdk.adapt.choice import Fields
from hpa_sdk.adapt.errors import AdaptationError
from hpa_sdk.adapt.last_layer import LastLayer
from hpa_sdk.adapt.outcome import Outcome
from hpa_sdk.adapt.regression import Step
from hpa_sdk.adapt.reviewed import ReviewedFields
from hpa_sdk.adapt.temperature import calibration_error
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import LabelScheme
from hpa_sdk.models.adaptation import Adaptation
from hpa_sdk.models.checksum import CHECKSUM_KEY, add_checksum
from hpa_sdk.models.known_data import split_hashes
from hpa_sdk.models.model_card import METADATA_KEY, Calibration, Metrics, ModelCard
from hpa_sdk.models.onnx_file import graph_sha256
from hpa_sdk.prediction import sigmoid

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parent:
    """The file that is adapted.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    sha256 : str
        Its SHA-256, in hexadecimal.
    model : onnx.ModelProto
        Its content, which is changed.
    card : ModelCard
        Its card.
    """

    path: Path
    sha256: str
    model: onnx.ModelProto
    card: ModelCard


def write_adapted(
    out: Path,
    parent: Parent,
    reviewed: ReviewedFields,
    layer: LastLayer | None,
    outcome: Outcome,
    *,
    labels: LabelScheme,
    name: str | None,
    warning: str = "",
) -> ModelCard:
    """Write the adapted file with its card and checksum, atomically.

    Parameters
    ----------
    out : pathlib.Path
        The file to write.
    parent : Parent
        The file that was adapted. Its model is changed.
    reviewed : ReviewedFields
        The fields that were learned from.
    layer : LastLayer, optional
        The last layer of the parent's model.
    outcome : Outcome
        What was learned.
    labels : LabelScheme
        The classes of the new file.
    name : str, optional
        Its name.
    warning : str
        What the file must not be used for, beside what the parent must not.

    Raises
    ------
    AdaptationError
        The new graph is not a valid ONNX model.
    OutputError
        The file can't be written.
    """
    step = outcome.learned.step
    if layer is not None and step is not None:
        layer.replace(*_stepped(layer, step, outcome.fields))
    metadata = [entry for entry in parent.model.metadata_props if entry.key not in {METADATA_KEY, CHECKSUM_KEY}]
    del parent.model.metadata_props[:]
    card = _card(parent, reviewed, outcome, labels, name)
    if warning not in card.warning:  # a file that is adapted again has it already
        card = replace(card, warning=f"{card.warning} {warning}".strip())
    card = replace(card, weights_sha256=graph_sha256(parent.model.SerializeToString(deterministic=True)))
    parent.model.metadata_props.extend([*metadata, onnx.StringStringEntryProto(key=METADATA_KEY, value=card.to_json())])
    try:
        onnx.checker.check_model(parent.model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise AdaptationError(
            f"the adapted graph is no valid ONNX model ({error})",
            where=parent.path,
            remedy="Nothing was written. Update the package onnx.",
        ) from error
    with atomic_write(out) as partial:
        partial.write_bytes(add_checksum(parent.model.SerializeToString(deterministic=True)))
    return card


def _stepped(layer: LastLayer, step: Step, fields: Fields) -> tuple[Numbers, Numbers]:
    """Return the new weights and bias; a new class starts from its share of the fields."""
    old = fields.old_classes
    weights, bias = step.weights.copy(), step.bias.copy()
    weights[:, :old] += layer.weights
    bias[:old] += layer.bias
    bias[old:] += fields.logits[0, old:]
    return weights, bias


def _card(
    parent: Parent, reviewed: ReviewedFields, outcome: Outcome, labels: LabelScheme, name: str | None
) -> ModelCard:
    card, answers = parent.card, outcome.changes_answers
    known = split_hashes(card.adaptation.field_hashes if card.adaptation else b"")
    return replace(
        card,
        name=name or f"{card.name} adapted",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        scheme=labels.name,
        labels=labels.names,
        thresholds=_thresholds(card, outcome),
        # What was measured with the old layer and the old thresholds does not hold any more.
        metrics=_metrics(reviewed, outcome) if answers else card.metrics,
        parity=None if answers else card.parity,
        variant=None if answers else card.variant,
        calibration=_calibration(card, outcome),
        adaptation=Adaptation(
            parent=card.name,
            parent_sha256=parent.sha256,
            data=reviewed.name,
            data_fingerprint=reviewed.fingerprint,
            fields=len(reviewed.truth),
            changes=tuple(outcome.changes()),
            new_labels=tuple(outcome.new_classes),
            figures=tuple(outcome.figures()),
            forced=outcome.forced,
            field_hashes=b"".join(sorted(known.union(reviewed.hashes))),
        ),
    )


def _thresholds(card: ModelCard, outcome: Outcome) -> tuple[float, ...]:
    old = [*card.thresholds, *[None] * len(outcome.new_classes)]
    moved = outcome.learned.thresholds != outcome.fields.thresholds
    tuned = sigmoid(outcome.learned.thresholds).tolist()
    return tuple(
        new if differs or before is None else before for before, new, differs in zip(old, tuned, moved, strict=True)
    )


def _metrics(reviewed: ReviewedFields, outcome: Outcome) -> Metrics:
    truth, predicted = reviewed.truth, outcome.predicted
    hits, support = (truth & predicted).sum(axis=0), truth.sum(axis=0)
    f1 = 2 * hits / np.maximum(support + predicted.sum(axis=0), 1)
    return Metrics(
        data=f"{reviewed.name}, each field by a model that was not fitted on it",
        fields=len(truth),
        micro_f1=float(2 * hits.sum() / (support.sum() + predicted.sum())),
        macro_f1=float(f1[support > 0].mean()),
        class_f1=tuple(float(f1[at]) if support[at] else None for at in range(len(support))),
        support=tuple(support.tolist()),
    )


def _calibration(card: ModelCard, outcome: Outcome) -> Calibration | None:
    temperature = outcome.temperature
    if temperature is None:  # that of the parent is of its own last layer
        return card.calibration if outcome.learned.step is None else None
    truth, logits = outcome.fields.truth, outcome.held_out.logits
    return Calibration(
        temperature=temperature,
        fields=len(truth),
        error_before=calibration_error(truth, sigmoid(logits)),
        error_after=calibration_error(truth, sigmoid(logits / temperature)),
    )
