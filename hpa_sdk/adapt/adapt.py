"""Adapts a model file: learns from reviewed fields, and writes what is better than the old model as a new file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from threadpoolctl import threadpool_limits

from hpa_sdk.adapt.adapted_file import Parent, write_adapted
from hpa_sdk.adapt.choice import (
    LEAST_FOR_LAYER,
    LEAST_JUDGED,
    LEAST_REFITTED,
    LEAST_SHARPER,
    Fields,
    candidates,
    choose,
    is_learned,
    judge_new_class,
    judge_temperature,
    learn,
)
from hpa_sdk.adapt.errors import AdaptationError
from hpa_sdk.adapt.last_layer import LastLayer, LastLayerError, find_last_layer
from hpa_sdk.adapt.outcome import Outcome
from hpa_sdk.adapt.reviewed import ReviewedFields, read_reviewed, table_of
from hpa_sdk.errors import ModelFileError, OutputError, count_of
from hpa_sdk.fields.exported_files import stated_scheme
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.labels import LabelScheme
from hpa_sdk.models.contract import check_pictures
from hpa_sdk.models.known_data import KnownData, split_hashes
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.prediction import log_odds, sigmoid
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White

LEAST_FIELDS = 10
"""Fewest reviewed fields to adapt to."""

_log = logging.getLogger("hpa_sdk")
_LARGEST_DIFFERENCE = {"fp32": 1e-3, "fp16": 1e-2, "int8": 1e-3}
_NEW_THRESHOLD = 0.5
_FOR_CELLS = "Adapted to single cells, each alone in its field: use it with hpa cells, and not for whole fields."


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """What was adapted.

    Attributes
    ----------
    card : ModelCard
        The card inside the new file.
    left_out : tuple of str
        Why fields of the table were not used, one sentence each.
    not_refitted : str
        Why the last layer could not be refitted; empty if it could.
    """

    card: ModelCard
    left_out: tuple[str, ...]
    not_refitted: str


def adapt(
    model: Path,
    reviewed: Path,
    out: Path,
    *,
    card: ModelCard | None = None,
    device: str = "auto",
    white: White | None = None,
    rules: FieldRules | None = None,
    new_classes: Sequence[str] = (),
    scheme: str | None = None,
    name: str | None = None,
    force: bool = False,
    single_cells: bool = False,
) -> Adapted:
    """Adapt a model file to reviewed fields.

    Thresholds, temperature and last layer are learned from the fields, and judged in nested cross-validation. What is
    better than the old model by more than chance is written.

    Parameters
    ----------
    model : pathlib.Path
        A model file, fp32 or fp16.
    reviewed : pathlib.Path
        A folder with ``train.csv``, or a table: columns ``Id`` and ``Target``, and the planes beside it.
    out : pathlib.Path
        The file to write, atomically.
    card : ModelCard, optional
        For a file that has no card.
    device, white : optional
        As for `Predictor.load`.
    rules : FieldRules, optional
        How stacks are read.
    new_classes : sequence of str
        Names of classes that the model does not have; in the table, their numbers follow those of the model.
    scheme : str, optional
        Name of the label scheme with the new classes. Default: the model's, followed by ``-own``.
    name : str, optional
        Name of the new model. Default: that of the old one, followed by ``adapted``.
    force : bool
        Write the best change even if it is not better than the old model by more than chance; the card says so.
    single_cells : bool
        Whether each picture is of one cell: cut out as the model card says, for a model that answers for cells; alone
        in its field, for a model that answers for fields. The card of the latter then warns of whole fields.

    Raises
    ------
    AdaptationError
        The fields are too few or all alike, the model can't be adapted or was adapted to some of them, or nothing is
        better than the old model.
    OutputError
        The file exists, or can't be written.
    SettingError
        The model answers for single cells, and the pictures are whole fields.
    HpaError
        The model, its card, the table or the planes can't be used.
    """
    if out.exists():
        raise OutputError("the file exists", where=out, remedy="Name a new file with -o, or delete this one.")
    predictor = Predictor.load(model, card=card, device=device, white=white, quality=False)
    with predictor:
        parent = _read_parent(model, predictor)
        if parent.card.unit == "cell":
            check_pictures(parent.card, model, single_cells=single_cells)
        labels = _extended(predictor.card, new_classes, scheme, reviewed)
        fields = read_reviewed(reviewed, predictor, labels, rules=rules)
    new = len(labels) - len(parent.card.labels)
    _check_unknown(parent.card, fields, reviewed)
    _check_fields(fields, reviewed, new, labels)
    layer, not_refitted = _last_layer(parent, fields)
    if layer is None and new:
        raise AdaptationError("a new class needs a new last layer", where=model, remedy=not_refitted)
    with threadpool_limits(1):  # the matrices are small: threads would wait for each other
        outcome = _learned(parent.card, fields, layer, labels, force=force)
    if not not_refitted and len(fields.truth) < LEAST_FOR_LAYER:
        not_refitted = (
            f"the last layer of the model's classes is refitted from {LEAST_FOR_LAYER} fields on, and there are"
            f" {len(fields.truth)}."
        )
    warning = _FOR_CELLS if single_cells and parent.card.unit == "field" else ""
    written = write_adapted(out, parent, fields, layer, outcome, labels=labels, name=name, warning=warning)
    return Adapted(card=written, left_out=fields.left_out, not_refitted=not_refitted)


def _read_parent(model: Path, predictor: Predictor) -> Parent:
    content = ModelContent.read(model)
    card = predictor.card
    if content.identity.sha256 != predictor.model.sha256:
        raise ModelFileError("the file was changed while it was read", where=model, remedy="Run again.")
    if content.description is not None or len(content.model) != model.stat().st_size:
        raise AdaptationError("this is a package", where=model, remedy="Unpack it and name its .onnx file.")
    if card.winograd:
        raise AdaptationError(
            "this is the variant for fewer multiplications, whose weights depend on each other",
            where=model,
            remedy="Adapt the fp32 file that it was made of, then make the variant: python -m export winograd.",
        )
    return Parent(path=model, sha256=predictor.model.sha256, model=onnx.load_from_string(content.model), card=card)


def _extended(card: ModelCard, new_classes: Sequence[str], scheme: str | None, reviewed: Path) -> LabelScheme:
    """Return the classes of the new model: those of the old one, then those of the command or of the fields' scheme."""
    stated, old = stated_scheme(table_of(reviewed)), len(card.labels)
    new_classes = new_classes or (() if stated is None else stated.names[old:])
    extended = card.label_scheme
    if new_classes:
        name = scheme or (stated.name if stated is not None and len(stated) > old else None)
        extended = LabelScheme(name or f"{card.scheme.removesuffix('-own')}-own", (*card.labels, *new_classes))
        extended.check()
    if stated is not None and stated.names not in {card.labels, extended.names}:
        raise AdaptationError(
            f"the fields have labels of {stated.name}, and the model those of {card.scheme}",
            where=reviewed,
            remedy="Adapt a model of that scheme.",
        )
    return extended


def _check_unknown(card: ModelCard, fields: ReviewedFields, reviewed: Path) -> None:
    """Refuse fields that the model knows already: cross-validation can't hold them out of it."""
    known = card.known_data or KnownData()
    if fields.as_fitted in {*card.fitted_on, *known.fits}:
        made = "" if fields.as_fitted in card.fitted_on else "made from a model that was "
        raise AdaptationError(
            f"{card.name} was {made}fitted on these fields, so it can't be judged on them",
            where=reviewed,
            remedy="Adapt it to fields of your microscope that it was not fitted on.",
        )
    _check_unadapted(card, fields, reviewed)
    if known.left_out:
        _log.warning(
            "%s knows %s or data sets by earlier models that its card does not list. If some of them are among these"
            " fields, the figures are too good.",
            *(card.name, count_of(known.left_out, "field")),
        )


def _check_unadapted(card: ModelCard, fields: ReviewedFields, reviewed: Path) -> None:
    found = sum(one in card.known_fields for one in fields.hashes)
    if not found:
        return
    made = card.adaptation
    if made is None or not split_hashes(made.field_hashes).intersection(fields.hashes):
        raise AdaptationError(
            f"{card.name} was made from a model that was adapted to {found} of these {len(fields.hashes)} fields, so it"
            " can't be judged on them",
            where=reviewed,
            remedy="Adapt this file to other fields only.",
        )
    raise AdaptationError(
        f"{card.name} was adapted to {found} of these {len(fields.hashes)} fields, so it can't be judged on them",
        where=reviewed,
        remedy=f"Adapt {made.parent} (SHA-256 {made.parent_sha256}), from which it was made, to all of the fields;"
        " or adapt this file to other fields only.",
    )


def _check_fields(fields: ReviewedFields, reviewed: Path, new: int, labels: LabelScheme) -> None:
    count = len(fields.truth)
    if count < LEAST_FIELDS:
        first = f" The first that is not used: {fields.left_out[0]}" if fields.left_out else ""
        raise AdaptationError(
            f"there are {count_of(count, 'reviewed field')} that can be used, and {LEAST_FIELDS} are needed",
            where=reviewed,
            remedy=f"Review more fields.{first}",
        )
    if (fields.truth == fields.truth[0]).all():
        raise AdaptationError(
            f"all {count} fields have the same labels, so there is nothing to learn from",
            where=reviewed,
            remedy="Review fields of other classes too.",
        )
    known = fields.truth[:, : len(labels) - new].sum(axis=0)
    if (np.minimum(known, count - known) < LEAST_JUDGED).all():
        raise AdaptationError(
            f"no class of the model is in {LEAST_JUDGED} fields or more and lacking in as many",
            where=reviewed,
            remedy="Review several fields of the same classes.",
        )
    for label in range(len(labels) - new, len(labels)):
        having = int(fields.truth[:, label].sum())
        if not LEAST_REFITTED <= having <= count - LEAST_REFITTED:
            raise AdaptationError(
                f"the new class {labels.names[label]} is in {having} of {count} fields",
                where=reviewed,
                remedy=f"Review at least {LEAST_REFITTED} fields that have it, and as many that do not.",
            )


def _last_layer(parent: Parent, fields: ReviewedFields) -> tuple[LastLayer | None, str]:
    """Return the last layer, and why there is none that can be refitted."""
    try:
        layer = find_last_layer(parent.model, parent.card.tensors)
    except LastLayerError as error:
        if parent.card.precision == "int8":
            raise AdaptationError(
                error.what,
                where=parent.path,
                remedy="Adapt the fp32 file that it was made of, then quantize the result: python -m export quantize.",
            ) from error
        return None, str(error)
    if fields.embeddings.shape[1] == len(layer.weights):
        given = sigmoid(fields.embeddings @ layer.weights + layer.bias)
        difference = float(np.abs(given - fields.probabilities).max())
        if difference <= _LARGEST_DIFFERENCE[parent.card.precision]:
            return layer, ""
        what = f"its answers differ by {difference:.1e} from those that the layer gives for the embedding"
    else:
        what = f"the embedding has {fields.embeddings.shape[1]} numbers, and the layer takes {len(layer.weights)}"
    return None, f"the last layer of this model can't be refitted: {what}."


def _learned(
    card: ModelCard, reviewed: ReviewedFields, layer: LastLayer | None, labels: LabelScheme, *, force: bool
) -> Outcome:
    fields = _fields(card, reviewed, layer, labels)
    ways = candidates(fields)
    way = choose(ways, force=force)
    held_out = (way or ways[0]).logits
    new = {labels.names[label]: judge_new_class(fields, held_out, int(label)) for label in fields.new_classes}
    learned = learn(fields, np.arange(0) if way is None else way.refitted)
    if way is None:
        learned.thresholds[: fields.old_classes] = fields.thresholds[: fields.old_classes]
    old = 1.0 if learned.step is not None or card.calibration is None else card.calibration.temperature
    temperature, sharper = judge_temperature(fields.truth, held_out, old)
    outcome = Outcome(
        fields=fields,
        learned=learned,
        way=way,
        held_out=way or ways[0],
        new_classes=new,
        temperature=temperature if is_learned(sharper, LEAST_SHARPER) else None,
        forced=force and (way is None or not way.better or not all(map(is_learned, new.values()))),
    )
    unlearned = [name for name, change in new.items() if not is_learned(change)]
    if unlearned and not force:
        raise AdaptationError(
            f"the order that the new class {unlearned[0]} gets in cross-validation is not better than chance",
            remedy="Nothing was written. Review more fields of it, or --force the file; its card then says so.",
        )
    if outcome.empty:
        found = "; ".join(str(way) for way in ways)
        few = layer is not None and len(fields.truth) < LEAST_FOR_LAYER
        also = f" (from {LEAST_FOR_LAYER} on, the last layer is refitted too)" if few else ""
        raise AdaptationError(
            f"on {len(fields.truth)} fields nothing is better than the old model by more than chance ({found})",
            remedy=f"Nothing was written: keep the model, or review more fields{also}. --force writes the best change"
            " anyway, and its card says so.",
        )
    return outcome


def _fields(card: ModelCard, reviewed: ReviewedFields, layer: LastLayer | None, labels: LabelScheme) -> Fields:
    old = len(card.labels)
    if layer is None:
        logits = log_odds(reviewed.probabilities)
    else:
        logits = reviewed.embeddings.astype(np.float64) @ layer.weights + layer.bias
    # Before it is learned, a new class is as likely in each field as in all of them.
    rate = reviewed.truth[:, old:].mean(axis=0)
    prior = np.broadcast_to(log_odds(rate), (len(logits), len(labels) - old))
    thresholds = np.array([*card.thresholds, *[_NEW_THRESHOLD] * (len(labels) - old)])
    return Fields(
        truth=reviewed.truth,
        logits=np.concatenate([logits, prior], axis=1),
        embeddings=None if layer is None else reviewed.embeddings,
        thresholds=log_odds(thresholds),
        old_classes=old,
    )
