"""``hpa bench``: how fast a model answers on this machine, and what limits it."""

from __future__ import annotations

import json
from pathlib import Path

import click
from tqdm import tqdm

from hpa_sdk.bench.baselines import open_baseline
from hpa_sdk.bench.report import as_json, measure
from hpa_sdk.bench.text import as_text
from hpa_sdk.cli.parameters import ModelPath, card_option, device_option, runtime_option, white_option
from hpa_sdk.models.card_file import as_card
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White

_AGAINST = "study-loop, openvino, no-quality, another model file, or MODULE:ARGUMENT; measured in turn with this one."


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--against", metavar="OTHER", help=_AGAINST)
@card_option
@device_option
@white_option
@click.option("--batch-size", type=click.IntRange(min=1), help="Fields a run. Default: what suits the device.")
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use. Default: all that the process may use.")
@runtime_option
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns of each measurement.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), default=4.0, show_default=True, help="A turn.")
@click.option("--fields", type=click.IntRange(min=1), default=64, show_default=True, help="Most fields to read.")
@click.option("--quality/--no-quality", default=True, help="Measure the quality of fields too. Default: yes.")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
def bench(
    model: Path,
    paths: tuple[str, ...],
    against: str | None,
    card: Path | None,
    device: str,
    white: White | None,
    batch_size: int | None,
    threads: int | None,
    runtime_options: tuple[tuple[str, str], ...],
    rounds: int,
    seconds: float,
    fields: int,
    quality: bool,
    as_json_: bool,
) -> None:
    """Measure how fast MODEL answers the fields that PATH... name.

    Two MLPerf scenarios: one field at a time, and as many per second as possible; both start from the files. Each part
    is also measured alone, which shows the limit. The fields are read once before, so that the disk has no influence.
    """
    predictor = Predictor.load(
        model,
        card=as_card(card),
        device=device,
        white=white,
        batch_size=batch_size,
        threads=threads,
        runtime_options=dict(runtime_options),
        quality=quality,
    )
    baseline = None if against is None else open_baseline(against, predictor, white=white, threads=threads)
    with tqdm(disable=None, unit=" turns", leave=False) as progress:
        figures = measure(
            predictor, paths, baseline, model=model, white=white, rounds=rounds, seconds=seconds, fields=fields,
            progress=progress,
        )  # fmt: skip
    click.echo(json.dumps(as_json(figures), indent=2) if as_json_ else as_text(figures))
