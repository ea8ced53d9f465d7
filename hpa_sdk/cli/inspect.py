"""``hpa inspect``: what a model file says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from hpa_sdk.contract import check_contract, read_card
from hpa_sdk.model_card import ModelCard
from hpa_sdk.onnx_file import OnnxFile, read_onnx


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(model: Path, as_json: bool) -> None:
    """Print the card of MODEL, its inputs and outputs, and the operators it needs.

    Needs no runtime and no device.
    """
    file = read_onnx(model)
    card = read_card(file)
    check_contract(file, card)
    click.echo(_as_json(file, card) if as_json else _as_text(file, card))


def _as_json(file: OnnxFile, card: ModelCard) -> str:
    told = {
        "file": str(file.path),
        "bytes": file.size,
        "producer": file.producer,
        "opset": file.opset,
        "inputs": {name: str(form) for name, form in file.inputs.items()},
        "outputs": {name: str(form) for name, form in file.outputs.items()},
        "operators": file.operators,
        "card": msgspec.to_builtins(card),
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _as_text(file: OnnxFile, card: ModelCard) -> str:
    training, metrics, parity = card.training, card.metrics, card.parity
    rows = {
        "name": card.name,
        "architecture": card.architecture,
        "precision": card.precision,
        "file": f"{file.path}, {file.size / 1e6:.1f} MB, opset {file.opset}, by {file.producer}",
        "inputs": "; ".join(f"{name} {form}" for name, form in file.inputs.items()),
        "outputs": "; ".join(f"{name} {form}" for name, form in file.outputs.items()),
        "preprocessing": f"in the {card.preprocessing.place}, to {card.preprocessing.size} pixels,"
        f" {card.preprocessing.interpolation}, divided by {card.preprocessing.scale:g}",
        "training": f"recipe {training.recipe} on {training.data}, {training.steps:,} steps,"
        f" {training.fields_seen:,} fields seen, seed {training.seed}, from {training.initial_weights} weights,"
        f" {training.backend}",
        "versions": ", ".join(f"{name} {version}" for name, version in training.versions.items()),
        "code revision": training.code_revision,
        "data fingerprint": training.data_fingerprint,
        "metrics": "none"
        if metrics is None
        else f"micro F1 {metrics.micro_f1:.4f}, macro F1 {metrics.macro_f1:.4f}"
        f" on {metrics.fields} fields of {metrics.data}",
        "parity": "none"
        if parity is None
        else f"at most {parity.max_difference:.1e} from the trained network on {parity.samples} samples,"
        f" {parity.same_label_sets:.2%} same label sets",
        "created": card.created,
        "weights sha256": card.weights_sha256,
        "licence": card.licence,
        "citation": card.citation,
        "operators": ", ".join(f"{name} {count}" for name, count in file.operators.items()),
    }
    lines = [f"{name:<17} {value}" for name, value in rows.items()]
    lines += ["", f"{'label':<31} {'threshold':>9} {'F1':>7} {'support':>8}"]
    for index, (label, threshold) in enumerate(zip(card.labels, card.thresholds, strict=True)):
        f1 = None if metrics is None else metrics.class_f1[index]
        support = "" if metrics is None else metrics.support[index]
        lines.append(f"{index:>2} {label:<28} {threshold:>9.3f} {'' if f1 is None else f'{f1:.3f}':>7} {support:>8}")
    return "\n".join(lines)
