"""Formats the card and content of a model file for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hpa_sdk.errors import count_of
from hpa_sdk.models.adaptation import Adaptation
from hpa_sdk.models.known_data import split_hashes
from hpa_sdk.models.model_card import ModelCard, Parity
from hpa_sdk.models.onnx_file import OnnxFile
from hpa_sdk.models.variant import Variant
from hpa_sdk.preprocessing import Preprocessing

_Row = tuple[str, str]

_INTACT = {
    True: "as exported: it ends in its own SHA-256",
    False: "ALTERED AFTER EXPORT: it does not give the SHA-256 that it ends in",
    None: "can't be verified: it does not end in its own SHA-256",
}
_THOUSAND = 1000
_MATCH = {True: "matches", False: "DOES NOT MATCH: altered after export", None: "not stated"}


def model_text(file: OnnxFile, card: ModelCard, *, intact: bool | None, matches: bool | None) -> str:
    """Write a model's card, what its file is made of, and whether both are as they were exported.

    Parameters
    ----------
    file : OnnxFile
        The file.
    card : ModelCard
        Its card.
    intact, matches : bool or None
        As `checksum_matches` and `weights_match` return it.

    Returns
    -------
    str
        Lines of text. Control characters from the file are escaped, so that they can't move the cursor or hide lines.
    """
    rows = [
        ("name", card.name),
        ("architecture", card.architecture),
        ("precision", card.computation),
        *_file(file),
        ("file verified", _INTACT[intact]),
        ("weights sha256", f"{card.weights_sha256} {_MATCH[matches]}".strip()),
        *_network(file, card),
        *_training(card),
        *_known_data(card),
        *_quality(card),
        *(_variant(card.variant) if card.variant else ()),
        *(_adaptation(card.adaptation) if card.adaptation else ()),
        ("created", card.created),
        ("licence", card.licence),
        ("citation", card.citation),
        *([("warning", card.warning)] if card.warning else []),
    ]
    return "\n".join([*(printable(f"{name:<17} {value}") for name, value in rows), "", *_classes(card)])


def _file(file: OnnxFile) -> Iterator[_Row]:
    yield "file", f"{file.path}, opset {file.opset}, by {file.producer or 'an unnamed program'}"
    parts = {f"{dtype} weights": size for dtype, size in file.weights.items()}
    parts["graph and card"] = file.size - sum(parts.values())
    yield "size", f"{_length(file.size)}: {', '.join(f'{_length(size)} {part}' for part, size in parts.items())}"


def _network(file: OnnxFile, card: ModelCard) -> Iterator[_Row]:
    preprocessing = card.preprocessing
    yield "inputs", "; ".join(f"{name} {form}" for name, form in file.inputs.items())
    yield "outputs", "; ".join(f"{name} {form}" for name, form in file.outputs.items())
    where = "by the caller" if preprocessing.place == "host" else "in the graph"
    resize = f"to {preprocessing.size} pixels, {preprocessing.interpolation}" if preprocessing.size else "of any size"
    yield "preprocessing", f"{where}, {resize}, divided by {preprocessing.scale:g}"
    yield "channels", ", ".join(preprocessing.channels)
    if preprocessing != replace(Preprocessing(), place=preprocessing.place):
        rows = ("(" + ", ".join(f"{share:g}" for share in row) + ")" for row in preprocessing.blend)
        yield "image", f"{preprocessing.layout}, colours {', '.join(rows)}"
    if own := preprocessing.normalization:
        parts = f"percentiles {own.low:g} to {own.high:g}" if own.kind == "scale_range" else "mean and deviation"
        yield "normalization", f"{own.kind}: {parts} of each {own.by}"
    for name, numbers in (("mean", preprocessing.mean), ("deviation", preprocessing.deviation)):
        if numbers is not None:
            yield name, ", ".join(f"{number:g}" for number in numbers)
    yield "answers", f"{len(card.labels)} classes of {card.scheme}, for each {card.unit}, as {card.tensors.scores_are}"
    yield "operators", ", ".join(f"{name} {count}" for name, count in file.operators.items())


def _training(card: ModelCard) -> Iterator[_Row]:
    training = card.training
    if training.steps is None or training.fields_seen is None:
        yield "training", f"on {training.data}; the rest is not stated"
        return
    length = f"{training.steps:,} steps, {training.fields_seen:,} fields seen"
    start = f"seed {training.seed}, from {training.initial_weights} weights"
    yield "training", f"recipe {training.recipe} on {training.data}, {length}, {start}, {training.backend}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in training.versions.items())
    yield "code revision", training.code_revision
    yield "data fingerprint", training.data_fingerprint


def _quality(card: ModelCard) -> Iterator[_Row]:
    if metrics := card.metrics:
        scores = f"micro F1 {metrics.micro_f1:.4f}, macro F1 {metrics.macro_f1:.4f}"
        yield "metrics", f"{scores} on {metrics.fields:,} fields of {metrics.data}"
    if calibration := card.calibration:
        errors = f"calibration error {calibration.error_before:.3f} before, {calibration.error_after:.3f} after"
        yield "calibration", f"temperature {calibration.temperature:.3f} on {calibration.fields:,} fields, {errors}"
    else:
        yield "calibration", "no temperature; --calibrated is refused"
    if reference := card.reference:
        parts = [name for name in ("limits", "spread") if getattr(reference, name) is not None]
        yield "reference", f"{' and '.join(parts) or 'nothing'} of {reference.fields:,} fields of {reference.data}"
        if outdated := reference.limits and reference.limits.outdated():
            yield "", f"its limits of {', '.join(outdated)} are not used: their definition has changed since"
    if parity := card.parity:
        yield "parity", f"with the trained network on {parity.samples:,} fields: {_differences(parity)}"


def _differences(found: Parity | Variant) -> str:
    largest, mean = f"{found.max_difference:.1e}", f"{found.mean_difference:.1e}"
    return f"{found.same_label_sets:.2%} same label sets, probabilities differ by {largest} at most, {mean} on average"


def _variant(variant: Variant) -> Iterator[_Row]:
    yield "made of", f"the fp32 file with weights sha256 {variant.parent_sha256}"
    yield "agreement", f"with that file on {variant.fields:,} fields of {variant.data}: {_differences(variant)}"
    for name, found, parent in (
        ("micro F1", variant.micro_f1, variant.parent_micro_f1),
        ("macro F1", variant.macro_f1, variant.parent_macro_f1),
    ):
        if found is not None and parent is not None:
            yield f"{name} of both", f"{found:.4f}, and {parent:.4f} of that file ({found - parent:+.4f})"
    yield "gates", "all passed" if not variant.shortfalls else f"{len(variant.shortfalls)} not passed"
    for shortfall in variant.shortfalls:
        yield "", f"written although {shortfall}"
    for name, value in variant.settings.items():
        yield "setting", f"{name}: {value}"


def _adaptation(adaptation: Adaptation) -> Iterator[_Row]:
    fields = f"{adaptation.fields:,} fields of {adaptation.data} (labels {adaptation.data_fingerprint})"
    yield "adapted", f"from {adaptation.parent}, sha256 {adaptation.parent_sha256}, to {fields}"
    for change in adaptation.changes:
        yield "changed", change
    for figure in adaptation.figures:
        interval = f"95 % of the difference {figure.low:+.3f} to {figure.high:+.3f}"
        yield "held out", f"{figure.figure} {figure.before:.3f} before, {figure.after:.3f} after, {interval}"
    if adaptation.forced:
        yield "forced", "not all of it is better than the parent by more than chance"


def _known_data(card: ModelCard) -> Iterator[_Row]:
    known = card.known_data
    if known is None:
        return
    for fingerprint in known.tables:
        yield "table of the fit", fingerprint
    for fingerprint in known.fits:
        yield "fitted before", f"on data {fingerprint}"
    if fields := len(split_hashes(known.field_hashes)):
        yield "adapted before", f"to {count_of(fields, 'field')}"
    if known.left_out:
        yield "", f"and {known.left_out:,} further fields or data sets that the card does not list"


def _classes(card: ModelCard) -> Iterator[str]:
    yield f"{'label':<31} {'threshold':>9} {'F1':>7} {'support':>8}"
    for index, (label, threshold) in enumerate(zip(card.labels, card.thresholds, strict=True)):
        f1 = None if card.metrics is None else card.metrics.class_f1[index]
        support = "" if card.metrics is None else card.metrics.support[index]
        yield f"{index:>2} {label:<28} {threshold:>9.3f} {'' if f1 is None else f'{f1:.3f}':>7} {support:>8}"


def _length(size: float) -> str:
    for unit in ("bytes", "kB"):
        if size < _THOUSAND:
            return f"{size:.3g} {unit}"
        size /= _THOUSAND
    return f"{size:.1f} MB"


def printable(line: str) -> str:
    """Return a line with escapes for what would control the terminal."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in line)
