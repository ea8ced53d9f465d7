"""``hpa inspect``: the card and content of a model file, and whether the file was altered after export."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from hpa_sdk.cli.model_text import model_text
from hpa_sdk.cli.parameters import ModelPath, card_option
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.package_test import TensorDifference, run_test_tensors
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.models.card_file import as_card
from hpa_sdk.models.checksum import checksum_matches, weights_match
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelContent


@click.command()
@click.argument("model", type=ModelPath())
@card_option
@click.option("--test", is_flag=True, help="Also run the test tensors of a bioimage.io package, on the CPU.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(model: Path, card: Path | None, test: bool, as_json: bool) -> None:
    """Print the card of MODEL, what the file is made of, and whether it was altered after it was exported.

    Needs no runtime and no device, except with --test. The exit code is 0, or 1 where the file was altered or gives
    other answers than its test tensors, or 2 where it is no model that this package runs.
    """
    content = ModelContent.read(model)
    intact = checksum_matches(memoryview(content.model))
    if intact is False:
        # Printed before anything is read: the change may have made the file unreadable.
        click.echo(f"{model}: the file was altered after it was exported.", err=True)
    file, used = read_model(content, as_card(card))
    matches = weights_match(memoryview(content.model), used)
    differences = _test(model, used, content) if test else ()
    if as_json:
        summary = {
            "file": str(file.path),
            "bytes": file.size,
            "weights": file.weights,
            "file_intact": intact,
            "weights_match": matches,
            "producer": file.producer,
            "opset": file.opset,
            "inputs": {name: str(form) for name, form in file.inputs.items()},
            "outputs": {name: str(form) for name, form in file.outputs.items()},
            "operators": file.operators,
            "card": msgspec.to_builtins(used),
            **({"test_tensors": msgspec.to_builtins(differences)} if test else {}),
        }
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        click.echo(model_text(file, used, intact=intact, matches=matches))
        for found in differences:
            verdict = "as expected" if found.matches else "NOT AS EXPECTED"
            click.echo(f"test of {found.tensor}: {verdict}, differs by {found.max_difference:.1e} at most")
    if False in {intact, matches, *(found.matches for found in differences)}:
        click.get_current_context().exit(1)


def _test(model: Path, card: ModelCard, content: ModelContent) -> tuple[TensorDifference, ...]:
    session = Session(content, Device("cpu"), SessionSettings(precision=card.precision, tensors=card.tensors))
    try:
        return run_test_tensors(model, card, session)
    finally:
        session.close()
