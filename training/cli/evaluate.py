"""``python -m training evaluate``: how good one network is on one data set, class by class."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import click
import msgspec

from hpa_sdk.errors import OutputError
from hpa_sdk.labels import Label
from hpa_sdk.prediction import Failure
from hpa_sdk.samples import Sample
from hpa_sdk.whole_file import whole_file
from training.augmentation import VIEWS
from training.batches import FieldBatches
from training.dataset import Dataset, Targets, read_dataset
from training.errors import RunError
from training.evaluation import Evaluation, FittedRun, Part, judge_fields, part_rows, predict_fields, read_run
from training.fit_pictures import draw_history, draw_training_images
from training.metrics import RECALLS, Averages
from training.pictures import draw_label_pairs, draw_precision_recall, draw_reliability
from training.prepared import DecodedImages
from training.split import SplitName

Threshold = float | Literal["card"]
"""One threshold for all classes, or those of the card."""

_COLUMNS = ("support", "predicted", "precision", "recall", "f1", "average_precision", "threshold")


class ThresholdType(click.ParamType[Threshold]):
    """An option that takes ``card`` or a number from 0 to 1."""

    name = "card|FLOAT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Threshold:
        """Read the option."""
        return "card" if value == "card" else click.FloatRange(0, 1).convert(value, param, ctx)


part_option = click.option(
    "--part",
    type=click.Choice(get_args(Part)),
    default="all",
    show_default=True,
    help="Fields to judge on; validation is the part that the fit of such data was not on.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@part_option
@click.option(
    "--views",
    type=click.IntRange(1, VIEWS),
    default=1,
    show_default=True,
    help="Turns and flips of each field to average over; 1 is the field as it is.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write. Default: RUN/evaluation-<data set>.")
@click.option("--threshold", type=ThresholdType(), default="card", show_default=True, help="Probability that counts.")
@json_option
def evaluate(
    run: Path, data: Path, part: Part, views: int, out: Path | None, threshold: Threshold, as_json: bool
) -> None:
    """Judge the network in the folder RUN on DATA, a folder with train.csv and its planes.

    Prints a table, and writes it with all figures and pictures into a folder. The exit code is 0 when every field was
    judged, 1 when some could not be read (evaluation.json says why), 2 when nothing could start.
    """
    dataset = read_dataset(data)
    fitted = read_run(run)
    rows = part_rows(dataset, part, fitted.split)
    samples, truth = dataset.pick(rows), dataset.targets[rows]
    warn_of_fitted_fields(fitted, dataset, part)
    out = _make_folder(out or run / "-".join(["evaluation", dataset.name, *([] if part == "all" else [part])]))
    answers = predict_fields(fitted, samples, views=views)
    report_failures(answers.failures)
    evaluation = judge_fields(
        truth[answers.answered],
        answers.probabilities[answers.answered],
        thresholds=thresholds_of(fitted, threshold),
        data=data_name(dataset, part, fitted.split),
        temperature=None if fitted.card.calibration is None else fitted.card.calibration.temperature,
    )
    told = {
        "run": str(run),
        "views": views,
        "threshold": threshold,
        "recalls": RECALLS,
        "evaluation": evaluation,
        "failures": failures_as_json(answers.failures),
    }
    text = msgspec.json.format(msgspec.json.encode(told), indent=2).decode()
    readable = tuple(sample for sample, answered in zip(samples, answers.answered, strict=True) if answered)
    _draw(out, evaluation)
    _draw_fit(out, run / "history.csv", readable, truth[answers.answered])
    _write(out, evaluation, text)
    print_text(text if as_json else as_table(evaluation))
    click.echo(f"figures and pictures: {out}", err=True)
    click.get_current_context().exit(1 if answers.failures else 0)


def thresholds_of(fitted: FittedRun, threshold: Threshold) -> tuple[float, ...]:
    """Give the 28 thresholds that an option means."""
    return fitted.card.thresholds if threshold == "card" else (threshold,) * len(Label)


def data_name(dataset: Dataset, part: Part, split: SplitName) -> str:
    """Name a data set and the part of it that is judged on."""
    return dataset.name if part == "all" else f"{dataset.name}, {part} part of the {split} split"


def warn_of_fitted_fields(fitted: FittedRun, dataset: Dataset, part: Part) -> None:
    """Say so where a network is judged by fields that it was fitted on."""
    if part != "validation" and fitted.card.training.data_fingerprint == dataset.fingerprint:
        click.echo(
            f"{fitted.folder} was fitted on fields of this data: the figures are too good."
            " --part validation leaves those fields out.",
            err=True,
        )


def report_failures(failures: Sequence[Failure]) -> None:
    """Say which fields could not be read, and why."""
    for failure in failures:
        click.echo(f"{failure.id}: {failure.error}", err=True)
    if failures:
        click.echo(f"{len(failures)} fields could not be read; the figures are on the others.", err=True)


def failures_as_json(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """Give the fields that could not be read, with the reasons."""
    return [{"id": failure.id, "error": str(failure.error)} for failure in failures]


def print_text(text: str) -> None:
    """Print a result; in a pipe as UTF-8, where Windows would use the console's code page."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    click.echo(text)


def as_table(evaluation: Evaluation) -> str:
    """Write an evaluation for people."""
    header = ("support", "predicted", "precision", "recall", "F1", "average precision", "threshold")
    lines = [f"{evaluation.fields:,} fields of {evaluation.data}", "", _line("class", header)]
    lines += [
        _line(
            f"{index:>2} {figures.label}",
            (
                f"{figures.support:,}",
                f"{figures.predicted:,}",
                *map(_digits, (figures.precision, figures.recall, figures.f1, figures.average_precision)),
                f"{figures.threshold:.3f}",
            ),
        )
        for index, figures in enumerate(evaluation.classes)
    ]
    occurring = len(Label) - len(evaluation.without_field)
    lines += [
        "",
        _line("micro, all decisions", ("", "", *_averages(evaluation.micro), "")),
        _line(f"macro, {occurring} classes", ("", "", *_averages(evaluation.macro), "")),
        "",
        f"batch F1 of the study (above 0.5)  {evaluation.batch_f1:.4f}",
        f"binary accuracy (above 0.5)        {evaluation.binary_accuracy:.4f}",
    ]
    lines += [
        f"calibration error                  {found.error:.4f} at temperature {found.temperature:.3f}"
        for found in evaluation.reliability
    ]
    if evaluation.without_field:
        lines += ["", f"No field has, so not judged: {'; '.join(evaluation.without_field)}"]
    return "\n".join(line.rstrip() for line in lines)


def _line(name: str, cells: Sequence[str]) -> str:
    widths = (8, 10, 10, 8, 8, 18, 10)
    return f"{name:<32}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _averages(averages: Averages) -> list[str]:
    return [_digits(value) for value in (averages.precision, averages.recall, averages.f1, averages.average_precision)]


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _make_folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder can't be made ({error.strerror})", where=out, remedy="Name another one with --out."
        ) from error
    return out


def _write(out: Path, evaluation: Evaluation, text: str) -> None:
    """Write the table of classes, then the JSON, which tells that all is there."""
    with whole_file(out / "classes.csv") as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["index", "label", *_COLUMNS])
        for index, figures in enumerate(evaluation.classes):
            values = (getattr(figures, column) for column in _COLUMNS)
            rows.writerow([index, figures.label, *("" if value is None else value for value in values)])
    with whole_file(out / "evaluation.json") as partial:
        partial.write_text(text, encoding="utf-8")


def _draw(out: Path, evaluation: Evaluation) -> None:
    draw_precision_recall(evaluation, out / "precision_recall.png")
    draw_label_pairs(evaluation, out / "label_pairs.png")
    draw_reliability(evaluation, out / "reliability.png")


def _draw_fit(out: Path, history: Path, samples: tuple[Sample, ...], truth: Targets) -> None:
    """Draw how the fit went, where it left a history, and what such fields look like in training."""
    batches = FieldBatches(DecodedImages(samples), truth, batch_size=5, steps=10, augmentation="study", seed=0)
    draw_training_images(batches, out / "training_images.png")
    if not history.exists():
        return
    try:
        draw_history(history, out / "history.png")
    except RunError as error:
        click.echo(f"no picture of the fit: {error}", err=True)
