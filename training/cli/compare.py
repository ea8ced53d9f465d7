"""``python -m training compare``: compares two networks side by side, as the end of the study does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from hpa_sdk.cli.parameters import white_option
from hpa_sdk.labels import Label
from hpa_sdk.models.model_card import STUDY_THRESHOLD
from hpa_sdk.preprocessing import White
from training.cli.judging import (
    Threshold,
    ThresholdType,
    as_json_text,
    data_argument,
    data_name,
    failures_as_json,
    json_option,
    part_option,
    print_text,
    report_failures,
    thresholds_of,
    views_option,
    warn_of_fitted_fields,
)
from training.data.dataset import Dataset, read_datasets
from training.data.split import Rows
from training.data.steady_planes import SteadyPlanes
from training.errors import RunError
from training.judge.comparison import (
    FIRST_FIELDS,
    ComparedData,
    ComparedField,
    ComparedNetwork,
    Comparison,
    compare_networks,
)
from training.judge.fitted_run import FittedRun, Part, at_white_level_of, part_rows
from training.judge.model_file import read_side
from training.judge.predictions import predict_fields
from training.judge.tuning import Tuned


@click.command()
@click.argument("first_run", metavar="RUN|FILE", type=click.Path(path_type=Path))
@click.argument("second_run", metavar="RUN|FILE", type=click.Path(path_type=Path))
@data_argument
@part_option
@views_option
@click.option(
    "--threshold",
    type=ThresholdType(),
    default=STUDY_THRESHOLD,
    show_default=True,
    help="Probability that counts; the default is the study's.",
)
@white_option
@json_option
def compare(
    first_run: Path,
    second_run: Path,
    data: tuple[Path, ...],
    part: Part,
    views: int,
    threshold: Threshold,
    *,
    white: White | None,
    as_json: bool,
) -> None:
    """Compare two networks on DATA: folders with train.csv and its planes.

    Each network is that of a RUN folder, or an exported model FILE. Prints the figures of both with the difference,
    second minus first, and its 95 % interval (paired bootstrap over the fields); the same for each DATA, if there are
    several; then both label sets and the truth for the first ten fields of the table, in any part.
    The exit code is 0 when every field was judged, 1 when some could not be read, 2 when nothing could
    start.
    """
    dataset = read_datasets(data, white=white)
    runs = [read_side(first_run), read_side(second_run)]
    for run in runs:
        dataset = at_white_level_of(run, dataset)
    # A part is valid for both runs only if both have the same data and the same split.
    _check_split(runs, part)
    part_of_data = part_rows(dataset, part, *runs)
    # Sorted, so that the first fields of the table come first.
    rows = np.union1d(np.arange(min(FIRST_FIELDS, len(dataset.samples))), part_of_data)
    for run in runs:
        warn_of_fitted_fields(run, dataset, part)
        if part == "validation" and threshold == "card" and run.tuned:
            click.echo(
                f"The thresholds of {run.folder} were tuned on this part: its F1 is a little too good.", err=True
            )
    tuned = [thresholds_of(run, threshold, views, dataset) for run in runs]
    planes = SteadyPlanes()
    networks = [_answer(run, dataset, rows, found, views, planes) for run, found in zip(runs, tuned, strict=True)]
    failures = {failure.id: failure for network in networks for failure in network.answers.failures}.values()
    report_failures(list(failures))
    comparison = compare_networks(
        dataset.pick(rows),
        dataset.targets[rows],
        networks,
        judged=np.isin(rows, part_of_data),
        data=data_name(dataset, part, runs[0].split or runs[1].split),
        sources=_sources(dataset, rows) if len(dataset.sources) > 1 else None,
    )
    if as_json:
        document = {
            "tables": [str(table) for table in dataset.tables],
            "data_fingerprint": dataset.fingerprint,
            "networks_sha256": [run.network_sha256 for run in runs],
            "part": part,
            "white": dataset.white,
            "views": views,
            "threshold": threshold,
            "thresholds": [found.description for found in tuned],
            "comparison": comparison,
            "failures": failures_as_json(list(failures)),
        }
        print_text(as_json_text(document))
    else:
        print_text(as_text(comparison, threshold, views, tuned))
    click.get_current_context().exit(1 if failures else 0)


def _check_split(runs: Sequence[FittedRun], part: Part) -> None:
    first, second = runs
    known = {(run.split, run.sizes) for run in runs if run.split is not None}
    if part != "all" and len(known) > 1:
        raise RunError(
            f"the runs part their data by the {first.split} and by the {second.split} split",
            where=second.folder,
            remedy="One would be judged by fields that it was fitted on. Compare them on other data, with --part all.",
        )


def _sources(dataset: Dataset, rows: Rows) -> dict[str, npt.NDArray[np.bool_]]:
    """Give for each data set its name, and which of the rows are of it."""
    ends = np.cumsum([source.fields for source in dataset.sources])
    of_source = np.searchsorted(ends, rows, side="right")
    tables = zip(dataset.sources, dataset.tables, strict=True)
    alike = Counter(source.name for source in dataset.sources)
    return {
        source.name if alike[source.name] == 1 else str(table): of_source == number
        for number, (source, table) in enumerate(tables)
    }


def _answer(
    run: FittedRun, dataset: Dataset, rows: Rows, tuned: Tuned, views: int, planes: SteadyPlanes
) -> ComparedNetwork:
    return ComparedNetwork(
        run=str(run.folder),
        architecture=run.card.architecture,
        parameters=run.network.count_params(),
        thresholds=tuned.thresholds,
        answers=predict_fields(run, dataset.pick(rows), views=views, white=dataset.white, planes=planes),
    )


def as_text(comparison: Comparison, threshold: Threshold, views: int, tuned: Sequence[Tuned]) -> str:
    """Format a comparison as text."""
    rows = [
        ("", *(network.run for network in comparison.networks)),
        ("network", *(network.architecture for network in comparison.networks)),
        ("micro F1", *(f"{network.micro_f1:.4f}" for network in comparison.networks)),
        ("macro F1", *(f"{network.macro_f1:.4f}" for network in comparison.networks)),
        ("batch F1 (above 0.5)", *(f"{network.batch_f1:.4f}" for network in comparison.networks)),
        ("binary accuracy (above 0.5)", *(f"{network.binary_accuracy:.4f}" for network in comparison.networks)),
        ("parameters", *(f"{network.parameters:,}" for network in comparison.networks)),
    ]
    width = 2 + max(len(cell) for row in rows for cell in row[1:])
    counted = "its network's threshold" if threshold == "card" else f"a probability of {threshold:g} or more"
    averaged = "" if views == 1 else f", averaged over {views} views"
    lines = [f"{comparison.fields:,} fields of {comparison.data}; a class counts from {counted}{averaged}", ""]
    lines += [f"{name:<28}" + "".join(f"{cell:>{width}}" for cell in cells) for name, *cells in rows]
    lines += ["", *_differences(comparison)]
    for source in comparison.sources:
        lines += ["", f"{source.fields:,} fields of {source.data}"]
        lines += [
            f"{name:<28}" + "".join(f"{getattr(network, figure):>{width}.4f}" for network in source.networks)
            for name, figure in (("micro F1", "micro_f1"), ("macro F1", "macro_f1"))
            if source.networks
        ]
        lines += _differences(source)
    if threshold == "card":
        named = zip(comparison.networks, tuned, strict=True)
        lines += ["", *(f"thresholds of {network.run}: {found.description}" for network, found in named)]
    lines += ["", f"The first {len(comparison.first)} fields of the table"]
    for number, field in enumerate(comparison.first, start=1):
        lines += _first(number, field, comparison)
    return "\n".join(lines)


def _differences(compared: Comparison | ComparedData) -> list[str]:
    return [
        f"{f'{one.figure}, second - first':<28}  {one.difference:+.4f}  (95 %: {one.low:+.4f} to {one.high:+.4f})"
        for one in compared.differences
    ]


def _first(number: int, field: ComparedField, comparison: Comparison) -> list[str]:
    width = max(len("truth"), *(len(network.run) for network in comparison.networks))
    sets = field.predicted or (None,) * len(comparison.networks)
    lines = [f"{number:>3}  {field.id}"]
    lines += [
        f"     {network.run:<{width}}  {'can not be read' if found is None else _names(found)}"
        for network, found in zip(comparison.networks, sets, strict=True)
    ]
    return [*lines, f"     {'truth':<{width}}  {_names(field.truth)}"]


def _names(indices: Iterable[int]) -> str:
    return "; ".join(f"{Label(index)} [{index}]" for index in indices) or "no class"
