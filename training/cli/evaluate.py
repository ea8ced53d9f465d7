"""``python -m training evaluate``: evaluates one network on one data set, class by class."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from hpa_sdk.cli.parameters import white_option
from hpa_sdk.errors import PlaneError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.preprocessing import White
from training.cli.evaluation_folder import EVALUATION, Identity, begin_evaluation, default_folder
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
from training.data.batches import FieldBatches
from training.data.dataset import Targets, read_datasets
from training.data.prepared import DecodedImages
from training.data.steady_planes import SteadyPlanes
from training.errors import RunError
from training.fit.checkpoints import HISTORY
from training.fit.plots import HISTORY_PICTURE, TRAINING_PICTURE, draw_history, draw_training_images
from training.judge.evaluation import Evaluation, judge_fields
from training.judge.evaluation_table import evaluation_table, write_classes
from training.judge.fitted_run import Part, at_white_level_of, part_rows, read_run
from training.judge.metrics import RECALLS
from training.judge.plots import draw_label_pairs, draw_precision_recall, draw_reliability
from training.judge.predictions import predict_fields


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@data_argument
@part_option
@views_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write. Default: RUN/evaluation-<data set>, with the"
    " part and other than the usual settings in its name.",
)
@click.option("--threshold", type=ThresholdType(), default="card", show_default=True, help="Probability that counts.")
@white_option
@json_option
def evaluate(
    run: Path,
    data: tuple[Path, ...],
    part: Part,
    views: int,
    out: Path | None,
    threshold: Threshold,
    white: White | None,
    as_json: bool,
) -> None:
    """Judge the network in the folder RUN on DATA: folders with train.csv and its planes.

    Prints a table, and writes it with all figures and pictures into a folder; one that holds an evaluation of other
    data, of another network or by other settings is refused. The exit code is 0 when every field was
    judged, 1 when some could not be read (evaluation.json says why), 2 when nothing could start.
    """
    dataset = read_datasets(data, white=white)
    fitted = read_run(run)
    dataset = at_white_level_of(fitted, dataset)
    rows = part_rows(dataset, part, fitted)
    samples, truth = dataset.pick(rows), dataset.targets[rows]
    warn_of_fitted_fields(fitted, dataset, part)
    identity = Identity.of(fitted, dataset, part=part, views=views, threshold=threshold)
    out = out or default_folder(fitted, dataset, part=part, views=views, threshold=threshold)
    begin_evaluation(out, identity)
    planes = SteadyPlanes()  # the pictures show what was judged
    answers = predict_fields(fitted, samples, views=views, white=dataset.white, planes=planes)
    report_failures(answers.failures)
    tuned = thresholds_of(fitted, threshold, views, dataset)
    # The card's temperature is valid for one view.
    calibration = fitted.card.calibration if views == 1 else None
    evaluation = judge_fields(
        truth[answers.answered],
        answers.probabilities[answers.answered],
        thresholds=tuned.thresholds,
        data=data_name(dataset, part, fitted.split),
        temperature=None if calibration is None else calibration.temperature,
    )
    readable = tuple(sample for sample, answered in zip(samples, answers.answered, strict=True) if answered)
    _draw(out, evaluation)
    images = DecodedImages(readable, white=dataset.white, planes=planes, preprocessing=fitted.card.preprocessing)
    _draw_fit(out, run / HISTORY, images, truth[answers.answered])
    write_classes(evaluation, out / "classes.csv")
    text = as_json_text(
        {
            "run": str(run),
            **msgspec.to_builtins(identity),
            "thresholds": tuned.description,
            "recalls": RECALLS,
            "evaluation": evaluation,
            "failures": failures_as_json(answers.failures),
        }
    )
    # Last: this file shows that the evaluation is complete.
    with atomic_write(out / EVALUATION) as partial:
        partial.write_text(text, encoding="utf-8")
    print_text(text if as_json else f"{evaluation_table(evaluation)}\nviews: {views}; thresholds: {tuned.description}")
    click.echo(f"figures and pictures: {out}", err=True)
    click.get_current_context().exit(1 if answers.failures else 0)


def _draw(out: Path, evaluation: Evaluation) -> None:
    draw_precision_recall(evaluation, out / "precision_recall.png")
    draw_label_pairs(evaluation, out / "label_pairs.png")
    draw_reliability(evaluation, out / "reliability.png")


def _draw_fit(out: Path, history: Path, images: DecodedImages, truth: Targets) -> None:
    """Draw the history of the fit, if it left one, and fields as they look in training."""
    batches = FieldBatches(images, truth, batch_size=5, steps=10, augmentation="study", seed=0)
    (out / TRAINING_PICTURE).unlink(missing_ok=True)  # that of an earlier evaluation is not of these fields
    try:
        draw_training_images(batches, out / TRAINING_PICTURE)
    except PlaneError as error:
        click.echo(f"no picture of the fields: {error}", err=True)
    if not history.exists():
        return
    try:
        draw_history(history, out / HISTORY_PICTURE)
    except RunError as error:
        click.echo(f"no picture of the fit: {error}", err=True)
