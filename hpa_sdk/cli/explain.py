"""``hpa explain``: which parts of a field the network uses for a label."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click
from tqdm import tqdm

from hpa_sdk.cli.parameters import ModelPath, card_option, device_option, white_option
from hpa_sdk.errors import HpaError, SettingError, count_of
from hpa_sdk.explain.occlusion import Grid, cover_and_ask
from hpa_sdk.explain.overlay import Explained, write_maps, write_overlay
from hpa_sdk.fields.sources import FoundField, find_fields
from hpa_sdk.fields.trained_scale import rules_for, stack_rules_of
from hpa_sdk.files.file_state import escaped
from hpa_sdk.labels import AnyLabel
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White

FIELDS = 20
"""Maximum number of fields in one picture."""

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", required=True, type=_FILE, help="PNG file to write.")
@click.option("--label", "names", multiple=True, help="HPA name of a label. Default: those that are predicted.")
@click.option("--save-map", type=_FILE, help="TIFF file to write, float32 at the size of the planes.")
@click.option("--window", type=click.IntRange(min=1), help="Side in pixels. Default: an eighth of the field.")
@click.option("--stride", type=click.IntRange(min=1), help="Pixels between windows. Default: half a window.")
@card_option
@device_option
@white_option
def explain(
    model: Path,
    paths: tuple[str, ...],
    output: Path,
    names: tuple[str, ...],
    save_map: Path | None,
    window: int | None,
    stride: int | None,
    card: Path | None,
    device: str,
    white: White | None,
) -> None:
    """Show where in the fields that PATH... name the network looks for a label.

    The protein is covered window by window, and the map shows how far the label's log-odds fall. The network runs once
    for each window. The exit code is 0, or 1 when some fields failed, or 2 when nothing could be drawn.
    """
    predictor = Predictor.load(model, card=card, device=device, white=white)
    labels = [predictor.card.label_scheme.from_name(name) for name in names]
    rules, stack_rules = rules_for(predictor.card, None, white), stack_rules_of(predictor.card)
    found = list(find_fields(paths, recursive=False, root=None, rules=rules, stack_rules=stack_rules))
    if len(found) > FIELDS:
        raise SettingError(
            f"{len(found):,} fields are more than the {FIELDS} that one picture shows",
            remedy="Name the fields that you want to look at.",
        )
    explained: list[Explained] = []
    failures: list[Failure] = []
    for field in found:
        try:
            explained.append(_explain(predictor, field, labels, window, stride))
        except HpaError as error:
            failures.append(Failure(field.id, error))
            click.echo(f"{field.id}: {error}", err=True)
    if not explained:
        raise failures[0].error
    write_overlay(explained, output)
    if save_map is not None:
        write_maps(explained, save_map)
    if failures:
        click.get_current_context().exit(1)


def _explain(
    predictor: Predictor,
    field: FoundField | Failure,
    labels: Sequence[AnyLabel],
    window: int | None,
    stride: int | None,
) -> Explained:
    if isinstance(field, Failure):
        raise field.error
    read = field.read(predictor.card.preprocessing.channels)
    for note in read.notes:
        click.echo(f"{field.id}: {escaped(note)}", err=True)
    planes = read.planes
    grid = Grid.over(planes, window=window, stride=stride)
    click.echo(f"{field.id}: {count_of(len(grid), 'window')} of {grid.window} pixels every {grid.stride}", err=True)
    began, estimated = time.monotonic(), False
    with tqdm(total=len(grid), unit=" windows", disable=None) as bar:

        def progress(done: int) -> None:
            nonlocal estimated
            if not estimated:
                seconds = (time.monotonic() - began) / done * len(grid)
                bar.clear()
                click.echo(f"{field.id}: about {seconds:.0f} s, by the first {count_of(done, 'window')}", err=True)
                estimated = True
            bar.update(done)

        # The white level of a stretched field was applied before it was cropped or padded.
        white: White | None = "dtype" if read.stretched else None
        found = cover_and_ask(predictor, planes, grid, labels=labels, white=white, progress=progress)
        return Explained(field.id, planes, found)
