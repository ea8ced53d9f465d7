"""Writes the card of a fitted network, with its figures, temperature, thresholds and reference."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from hpa_sdk.fields.reading import read_planes
from hpa_sdk.labels import Label
from hpa_sdk.models.known_data import KnownData
from hpa_sdk.models.model_card import STUDY_THRESHOLD, ModelCard, Training
from training.data.dataset import Dataset
from training.data.prepared import ImageSource
from training.data.split import Rows
from training.exported_weights import Parent
from training.fit.reference import REFERENCE_FIELDS, learn_reference
from training.fit.run_folder import Plan, versions
from training.judge.calibration import calibrate
from training.judge.metrics import judge
from training.judge.predictions import predict_images
from training.judge.thresholds import tune_thresholds
from training.network_forms import preprocessing_of


def make_card(
    network: keras.Model,
    plan: Plan,
    dataset: Dataset,
    images: ImageSource,
    parts: tuple[Rows, Rows],
    revision: str,
    *,
    reference_fields: int = REFERENCE_FIELDS,
    parent: Parent | None = None,
    before: ModelCard | None = None,
) -> ModelCard:
    """Judge a fitted network on the validation part, and write its card.

    Thresholds, temperature and figures are for one view of each field, as in serving, for any value of the recipe's
    `views`. Tuned thresholds and the temperature are fitted on the same fields that the figures come from, so the
    figures of a recipe with tuned thresholds are a little too good. For a paper, use
    ``python -m training evaluate`` on other data.

    Parameters
    ----------
    network : keras.Model
        The fitted network.
    plan : Plan
        What the fit did.
    dataset : Dataset
        All fields of the fit.
    images : ImageSource
        Their images.
    parts : tuple of numpy.ndarray
        Rows of the training part and of the validation part.
    revision : str
        Of the code that fitted the network, as `training.fit.run_folder.code_revision` gives it.
    reference_fields : int
        How many training fields the card's reference describes; with fewer than 20, there is none.
    parent : Parent, optional
        The exported model that the fit started from. Its thresholds stay unless they are tuned; that of a class without
        a validation field always stays. Its licence, citation and warning hold for the new network too.
    before : ModelCard, optional
        The card of the network that the fit started from, an exported model or that of a run: the new network knows
        what this one knows.
    """
    training, validation = parts
    truth = dataset.targets[validation]
    probabilities = predict_images(
        network, validation.tolist(), lambda row: images[np.array([row])][0], views=1
    ).probabilities
    form = preprocessing_of(plan.network)
    tuned = plan.recipe.thresholds == "tuned"
    thresholds = parent.card.thresholds if parent else (STUDY_THRESHOLD,) * len(Label)
    if tuned:
        found = tune_thresholds(truth, probabilities)
        judged = truth.any(axis=0) if parent else np.ones(len(Label), bool)
        thresholds = tuple(np.where(judged, found, thresholds).tolist())
    card = ModelCard(
        name=f"{network.name} on {dataset.name}",
        architecture=network.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        thresholds=thresholds,
        preprocessing=form,
        calibration=calibrate(truth, probabilities),
        metrics=judge(
            truth,
            probabilities,
            thresholds=thresholds,
            data=f"{dataset.name}, validation part of the {plan.split} split",
        ),
        reference=learn_reference(network, form, dataset, images, training, fields=reference_fields, seed=plan.seed),
        training=Training(
            recipe=plan.recipe.name,
            backend=keras.backend.backend(),
            versions=versions(),
            seed=plan.seed,
            steps=plan.recipe.steps,
            fields_seen=plan.recipe.steps * plan.recipe.batch_size,
            initial_weights=_initial_weights(plan, parent),
            data=dataset.name,
            data_fingerprint=dataset.fingerprint,
            code_revision=revision,
            pixel_size=plan.pixel_size,
            field_side=None if plan.pixel_size is None else read_planes(dataset.samples[0]).shape[1],
        ),
        known_data=known_data(dataset, before),
    )
    if parent is None:
        return card
    return replace(card, licence=parent.card.licence, citation=parent.card.citation, warning=parent.card.warning)


def known_data(dataset: Dataset, before: ModelCard | None) -> KnownData | None:
    """Return what a network knows beside its data as a whole: each table of it, and what the network before it knows.

    Parameters
    ----------
    dataset : Dataset
        The data of the fit.
    before : ModelCard or None
        The card of the network that the fit started from.
    """
    tables = [source.fingerprint for source in dataset.sources] if len(dataset.sources) > 1 else []
    if before is None:
        found = KnownData.of(tables, (), ())
    else:
        known = before.known_data or KnownData()
        adapted = before.adaptation.field_hashes if before.adaptation else b""
        fields = (adapted, known.field_hashes)
        found = KnownData.of(tables, (*before.fitted_on, *known.fits), fields, left_out=known.left_out)
    return None if found == KnownData() else found


def _initial_weights(plan: Plan, parent: Parent | None) -> str:
    if parent is not None:
        return f"{parent.card.name}, SHA-256 {parent.sha256}"
    return plan.weights.name if isinstance(plan.weights, Path) else plan.weights
