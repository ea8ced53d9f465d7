"""Finds the thresholds for the mean of several views; the card's thresholds are for one view."""

from __future__ import annotations

from dataclasses import dataclass

from hpa_sdk.errors import HpaError
from training.data.dataset import Dataset, read_datasets
from training.judge.fitted_run import FittedRun, is_data_of, part_rows
from training.judge.predictions import predict_fields
from training.judge.thresholds import tune_thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """Thresholds and their source.

    Attributes
    ----------
    thresholds : tuple of float
        28, as in `ModelCard`.
    description : str
        Their source, in words.
    """

    thresholds: tuple[float, ...]
    description: str


def thresholds_for_views(run: FittedRun, views: int, dataset: Dataset) -> Tuned:
    """Return the thresholds of a run for the mean of this number of views.

    The card's are for one view, as in serving. If they were tuned, those for more views are tuned in the same way: on
    the validation part of the fit's data, if that is the given data or is still where the fit read it.

    Parameters
    ----------
    run : FittedRun
        The network.
    views : int
        Views of each field that are averaged.
    dataset : Dataset
        The given data.
    """
    if views == 1:
        return Tuned(thresholds=run.card.thresholds, description="the card's")
    if run.split is None:
        return Tuned(thresholds=run.card.thresholds, description="the card's, for one view: a file can't be tuned anew")
    if not run.tuned:
        return Tuned(thresholds=run.card.thresholds, description="the card's, which were tuned for no number of views")
    fitted_on = _data_of(run, dataset)
    if fitted_on is None:
        description = f"the card's, tuned for one view and not for {views}: the data of the fit is not at hand"
        return Tuned(thresholds=run.card.thresholds, description=description)
    rows = part_rows(fitted_on, "validation", run)
    answers = predict_fields(run, fitted_on.pick(rows), views=views, white=fitted_on.white)
    truth = fitted_on.targets[rows]
    thresholds = tune_thresholds(truth[answers.answered], answers.probabilities[answers.answered])
    return Tuned(
        thresholds=thresholds, description=f"tuned anew for {views} views on the validation part of {fitted_on.name}"
    )


def _data_of(run: FittedRun, dataset: Dataset) -> Dataset | None:
    if is_data_of(run, dataset):
        return dataset
    try:
        fitted_on = read_datasets(run.data, white=run.white) if run.data else None
    except HpaError:  # moved or changed since: the data is unknown
        return None
    return fitted_on if fitted_on is not None and is_data_of(run, fitted_on) else None
