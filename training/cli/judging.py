"""What evaluate and compare share: options, names of the judged data, and warnings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import click
import msgspec

from hpa_sdk.errors import count_of
from hpa_sdk.labels import Label
from hpa_sdk.models.known_data import KnownData
from hpa_sdk.prediction import Failure
from training.data.augmentation import VIEWS
from training.data.dataset import Dataset
from training.data.split import SplitName
from training.judge.fitted_fields import count_adapted_fields, count_fitted_fields
from training.judge.fitted_run import FittedRun, Part, is_data_of
from training.judge.tuning import Tuned, thresholds_for_views

Threshold = float | Literal["card"]
"""One threshold for all classes, or those of the card."""


class ThresholdType(click.ParamType[Threshold]):
    """An option that takes ``card`` or a number from 0 to 1."""

    name = "card|FLOAT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Threshold:
        """Read the option."""
        return "card" if value == "card" else click.FloatRange(0, 1).convert(value, param, ctx)


data_argument = click.argument("data", type=click.Path(path_type=Path), nargs=-1, required=True)
part_option = click.option(
    "--part",
    type=click.Choice(get_args(Part)),
    default="all",
    show_default=True,
    help="Fields to judge on; validation, of the data of the fit, is the part that the fit was not on.",
)
views_option = click.option(
    "--views",
    type=click.Choice([1, VIEWS]),
    default=1,
    show_default=True,
    help="Turns and flips of each field to average over; 1 is the field as it is, as it is served. With more, the"
    " card's thresholds are tuned anew where the data of the fit is at hand.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def thresholds_of(fitted: FittedRun, threshold: Threshold, views: int, dataset: Dataset) -> Tuned:
    """Return the 28 thresholds for the options."""
    if threshold == "card":
        return thresholds_for_views(fitted, views, dataset)
    return Tuned(thresholds=(threshold,) * len(Label), description=f"{threshold:g} for every class")


def data_name(dataset: Dataset, part: Part, split: SplitName | None) -> str:
    """Name a data set and its judged part."""
    return dataset.name if part == "all" else f"{dataset.name}, {part} part of the {split} split"


def warn_of_fitted_fields(fitted: FittedRun, dataset: Dataset, part: Part) -> None:
    """Warn if a network is judged on fields that it knows: by its fit, its adaptation, or the models before it."""
    _warn_of_earlier(fitted, dataset)
    if fitted.split is None:
        _warn_of_data(fitted, dataset, part)
        return
    if part == "validation":
        return
    if is_data_of(fitted, dataset):
        click.echo(
            f"{fitted.folder} was fitted on fields of this data: the figures are too good."
            " --part validation leaves those fields out.",
            err=True,
        )
        return
    count = count_fitted_fields(fitted, dataset)
    if count:
        click.echo(
            f"{fitted.folder} was fitted on {count:,} of these {len(dataset.samples):,} fields, by their ids and the"
            " sizes of their planes: the figures are too good.",
            err=True,
        )
        return
    _warn_of_data(fitted, dataset, part)  # the data of the fit may have been moved


def _warn_of_data(judged: FittedRun, dataset: Dataset, part: Part) -> None:
    """Warn if a network was fitted on one of the data sets; a model file does not say on which fields."""
    for source in dataset.sources:
        if {source.fingerprint, dataset.fingerprint} & set(judged.card.fitted_on):
            on = judged.card.metrics.data if judged.card.metrics else "unknown fields"
            click.echo(
                f"{judged.folder} was fitted on fields of {source.name}: its figures there are too good"
                + (f", unless {part} is the part that its card has figures of ({on})." if part != "all" else "."),
                err=True,
            )


def _warn_of_earlier(judged: FittedRun, dataset: Dataset) -> None:
    """Warn if a network is judged on fields that it was adapted to, or that the models before it know."""
    card, parent = judged.card, judged.parent
    known = card.known_data or KnownData()
    of_parent = {parent.data_fingerprint} if parent else set()
    made_from = f"{judged.folder} was fitted from {parent.name}, which was" if parent else f"{judged.folder} was"
    for source in dataset.sources:
        prints = {source.fingerprint, dataset.fingerprint}
        if prints & (of_parent | set(known.fits)):
            how = "" if prints & of_parent else " made from a model that was"
            click.echo(
                f"{made_from}{how} fitted on fields of {source.name}: the figures there are too good, unless these are"
                " fields that neither was fitted on.",
                err=True,
            )
    if count := count_adapted_fields(card.known_fields, dataset, card):
        earlier = f" ({parent.name}, or a model before it)" if parent else ""
        click.echo(
            f"{judged.folder} was adapted to {count:,} of these {len(dataset.samples):,} fields{earlier}: its figures"
            " are too good.",
            err=True,
        )
    if known.left_out:
        click.echo(
            f"{judged.folder} knows {count_of(known.left_out, 'field')} or data sets by earlier models that its card"
            " does not list: judge it on fields that no model before it has seen.",
            err=True,
        )


def report_failures(failures: Sequence[Failure]) -> None:
    """Print which fields could not be read, and why."""
    for failure in failures:
        click.echo(f"{failure.id}: {failure.error}", err=True)
    if failures:
        click.echo(f"{len(failures)} fields could not be read; the figures are on the others.", err=True)


def failures_as_json(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """Return the fields that could not be read, with the reasons."""
    return [{"id": failure.id, "error": str(failure.error)} for failure in failures]


def as_json_text(description: Mapping[str, object]) -> str:
    """Format a result as JSON."""
    return msgspec.json.format(msgspec.json.encode(description), indent=2).decode()


def print_text(text: str) -> None:
    """Print a result; in a pipe as UTF-8, where Windows would use the console's code page."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    click.echo(text)
