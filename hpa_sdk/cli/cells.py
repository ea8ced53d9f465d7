"""``hpa cells``: label sets for each cell of fields."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import click
from tqdm import tqdm

from hpa_sdk.batch.cell_run import CellEngine, CellRun, open_cell_run, summary_path
from hpa_sdk.batch.discovery import count_aside, find_all
from hpa_sdk.batch.fingerprint import Comparison
from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.exports import CROP_SIDE, CellExports, open_exports
from hpa_sdk.cells.predict import check_settings
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.cells.writers import FORMS
from hpa_sdk.cli.parameters import (
    RAY_CELLS,
    ModelPath,
    Threshold,
    card_option,
    device_option,
    engine_option,
    loader_of,
    resume_options,
    runtime_option,
    search_options,
    speed_options,
    white_option,
)
from hpa_sdk.cli.reading_options import reading_options, rules_from, white_for
from hpa_sdk.cli.standard_streams import is_stream
from hpa_sdk.errors import PlaneError, SettingError, count_of
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.trained_scale import whole_field_rules
from hpa_sdk.models.card_file import as_card
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import White
from hpa_sdk.quality.reference import as_reference

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File of cells to write.")
@click.option("--format", "form", type=click.Choice(sorted(FORMS)), help="Default: by the output's extension.")
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Folder of label images, one for each field, by its id. Default: cells are found by thresholds.",
)
@click.option(
    "--segmenter", type=ModelPath(), help="Network that finds the cells: an ONNX file whose card has unit 'pixel'."
)
@click.option("--label-images", type=_FOLDER, help="Folder for the label image of each field, as OME-TIFF.")
@click.option("--geojson", type=_FOLDER, help="Folder for the cells of each field, as QuPath imports them.")
@click.option(
    "--crops", type=_FOLDER, help="Folder for a crop of each cell and channel, as SubCellPortable reads them."
)
@click.option("--crop-size", type=click.IntRange(min=16), default=CROP_SIDE, show_default=True, help="In pixels.")
@click.option("--masked-crops", is_flag=True, help="What is outside the cell is black in its crop.")
@click.option("--h5ad", type=click.Path(path_type=Path), help="AnnData file to write of a Parquet output.")
@card_option
@device_option
@click.option("--threshold", type=Threshold(), default="card", show_default=True, help="Probability that counts.")
@white_option
@click.option("--calibrated", is_flag=True, help="Apply the card's temperature to probabilities and thresholds.")
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="File of 'hpa reference': fields are compared with those. Default: the model's own, or the limits that ship;"
    " for a model for cells always these.",
)
@click.option("--quality/--no-quality", default=True, help="Measure the quality of fields. Default: yes.")
@search_options
@reading_options
@speed_options
@runtime_option
@engine_option
@click.option("--verify", is_flag=True, help="Refuse a MODEL that was altered after it was exported.")
@resume_options
def cells(
    model: Path,
    paths: tuple[str, ...],
    output: Path,
    form: str | None,
    masks: Path | None,
    segmenter: Path | None,
    label_images: Path | None,
    geojson: Path | None,
    crops: Path | None,
    crop_size: int,
    masked_crops: bool,
    h5ad: Path | None,
    card: Path | None,
    device: str,
    threshold: float | Literal["card"],
    white: White | None,
    calibrated: bool,
    reference: Path | None,
    quality: bool,
    recursive: bool,
    root: Path | None,
    batch_size: int | None,
    threads: int | None,
    runtime_options: tuple[tuple[str, str], ...],
    engine: str,
    verify: bool,
    resume: bool,
    compare: Comparison,
    **reading: Any,
) -> None:
    """Say in which organelles the protein sits in each cell of the fields that PATH... name.

    The cells of a field are found by thresholds and a watershed, by a network (--segmenter), or they are those of label
    images (--masks). A MODEL that answers for fields sees each cell alone in its field, all else black; a MODEL that
    answers for cells sees the crop that its card describes.

    cells.csv has a row for each cell, cells.fields.csv (of cells.parquet: cells.parquet.fields.csv) says how many cells
    of a field show each label, with a 95 % interval, and cells.csv.provenance.json how they were made. The exit code is
    0 when every cell was answered, 1 when a field or a cell failed or a field has no cells, 2 when nothing could start.
    """
    form = _checked_form(output, form, masks, segmenter, h5ad)
    rules = rules_from(**reading)
    white = white_for(white, rules)
    limits = as_reference(reference, quality=quality)
    predictor: CellEngine = loader_of(engine, RAY_CELLS)(
        model,
        card=as_card(card),
        device=device,
        threshold=threshold,
        white=white,
        batch_size=batch_size,
        threads=threads,
        runtime_options=dict(runtime_options),
        verify=verify,
        quality=quality,
        calibrated=calibrated,
        reference=limits,
    )
    check_settings(predictor.card, predictor.others, limits)  # before a file is opened
    # On a cluster each actor opens the network itself; here it is only asked what it depends on.
    finder = _segmenter(predictor, rules, masks, segmenter, device="cpu" if engine == "ray" else predictor.device)
    whole, stacks, _ = whole_field_rules(predictor.card, rules, white, finder.channels)
    without_files = 0
    found = find_all(paths, recursive=recursive, root=root, rules=whole, stack_rules=stacks)
    with (
        open_cell_run(
            output,
            form,
            predictor=predictor,
            segmenter=finder,
            rules=rules,
            resume=compare if resume else None,
            # The options name a station file, which can change: the rules themselves are recorded too.
            request=click.get_current_context().params
            | {"rules": rules and rules.to_plain(), "cells found by": repr(finder)},
            log=partial(click.echo, err=True),
        ) as run,
        open_exports(
            label_images=label_images, geojson=geojson, crops=crops, crop_side=crop_size, masked=masked_crops
        ) as exports,
        tqdm(run.answers(exports.remember(found)), unit=" fields", disable=None) as bar,
    ):
        if not bar.disable:
            count_aside(paths, partial(setattr, bar, "total"), recursive=recursive, root=root, rules=whole)
        for answer in bar:
            without_files += not _export(exports, answer)
    if h5ad is not None and run.cells == run.failed_cells:
        click.echo(f"{h5ad} was not written: no cell was answered.", err=True)
    elif h5ad is not None:
        from hpa_sdk.cells.anndata_file import write_h5ad  # noqa: PLC0415 - only what is asked for

        write_h5ad(h5ad, output, model={"name": predictor.card.name, "sha256": predictor.model.sha256})
    _summarize(run, output)
    if without_files:
        click.get_current_context().exit(1)


def _checked_form(output: Path, form: str | None, masks: Path | None, network: Path | None, h5ad: Path | None) -> str:
    if is_stream(output):
        raise click.UsageError("hpa cells writes several files: name one with -o.")
    if masks is not None and network is not None:
        raise click.UsageError("--masks and --segmenter both say where the cells are: give one of them.")
    form = form or output.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise click.UsageError(f"{output.name} does not give the output format: name it with --format.")
    if h5ad is not None and form != "parquet":
        raise click.UsageError("--h5ad needs the embeddings, which only Parquet has: name an output cells.parquet.")
    return form


def _export(exports: CellExports, answer: CellAnswers | Failure) -> bool:
    """Log what failed in a field, and write its files for other programs. Return whether they could be written."""
    for failure in [answer] if isinstance(answer, Failure) else answer.answers:
        if isinstance(failure, Failure):
            click.echo(f"{failure.id}: {failure.error}", err=True)
    try:
        exports.write(answer)
    except (PlaneError, SettingError) as error:
        click.echo(f"{answer.id} has no files for other programs: {error}", err=True)
        return False
    return True


def _segmenter(
    predictor: CellEngine, rules: FieldRules | None, masks: Path | None, network: Path | None, *, device: str
) -> Segmenter:
    if masks is not None:
        from hpa_sdk.cells.masks import MaskFolder  # noqa: PLC0415 - only what is asked for

        return MaskFolder(masks)
    if network is not None:
        from hpa_sdk.cells.network import NetworkSegmenter  # noqa: PLC0415 - as above

        return NetworkSegmenter.load(network, device=device, white=predictor.white)
    from hpa_sdk.cells.classical import ClassicalSegmenter  # noqa: PLC0415 - as above

    return ClassicalSegmenter.of_model(predictor.card, rules, predictor.white)


def _summarize(run: CellRun, output: Path) -> None:
    click.echo(f"{count_of(run.cells, 'cell')} of {count_of(run.fields, 'field')}: {summary_path(output)}", err=True)
    if run.warned:
        has = "has" if run.warned == 1 else "have"
        click.echo(f"{count_of(run.warned, 'field')} {has} warnings: see the column warnings.", err=True)
    if run.failed or run.failed_cells:
        click.echo(
            f"{count_of(run.failed, 'field')} failed or without cells, and {count_of(run.failed_cells, 'cell')} failed;"
            " the output says why.",
            err=True,
        )
        click.get_current_context().exit(1)
