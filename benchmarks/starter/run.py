"""Writes the fitted starter as a run folder, which the export reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import keras

from benchmarks.starter.fields import Fields
from benchmarks.starter.fitting import Budget
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.contract import RUN_CARD, RUN_NETWORK, RUN_RECORD
from hpa_sdk.models.model_card import ModelCard, Training
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.prediction import Probabilities
from training.fit.run_folder import code_revision, versions
from training.fit.saving import save
from training.judge.calibration import calibrate
from training.judge.metrics import judge
from training.network_forms import LIGHT_PREPROCESSING

LICENCE = "CC BY-SA 4.0 (weights derived from pictures of the Human Protein Atlas)"

NOT_FOR = "It shows what the software does and must not be used for research, diagnosis or any conclusion on a protein."
"""What the starter must not be used for."""

_IMAGENET = "imagenet (EfficientNet-Lite0, Apache License 2.0)"
_DATA = "simulated fields (no biology), atlas_dictionary and real_cells of the Human Protein Atlas"


def write_run(
    folder: Path,
    network: keras.Model,
    thresholds: tuple[float, ...],
    fitted: Mapping[str, Fields],
    validation: Fields,
    answers: Probabilities,
    budget: Budget,
    data: Path,
) -> ModelCard:
    """Write the network, its card and the record of the run.

    Parameters
    ----------
    folder : pathlib.Path
        The run folder.
    network : keras.Model
        The fitted network.
    thresholds : tuple of float
        Of the card.
    fitted : mapping of str to Fields
        The sets that it was fitted on.
    validation : Fields
        The fields that the thresholds were tuned on.
    answers : numpy.ndarray
        The network's probabilities for these.
    budget : Budget
        Of the fit.
    data : pathlib.Path
        Folder of fields that the export compares the answers on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / RUN_NETWORK, network, network.save)
    card = ModelCard(
        name="starter",
        architecture=network.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        thresholds=thresholds,
        preprocessing=LIGHT_PREPROCESSING,
        calibration=calibrate(validation.targets, answers),
        metrics=judge(
            validation.targets,
            answers,
            thresholds=thresholds,
            data="validation part: simulated fields and collages of real_cells",
        ),
        training=Training(
            recipe="starter",
            backend=keras.backend.backend(),
            versions=versions(),
            seed=budget.seed,
            steps=budget.steps,
            fields_seen=budget.steps * budget.batch_size,
            initial_weights=_IMAGENET,
            data=_DATA,
            data_fingerprint=_fingerprint(fitted),
            code_revision=code_revision(),
        ),
        licence=LICENCE,
        warning=NOT_FOR,
    )
    record = {"data": [str(data.resolve())], "network_sha256": file_sha256(folder / RUN_NETWORK)}
    for name, text in ((RUN_RECORD, json.dumps(record, indent=2)), (RUN_CARD, card.to_json())):
        with atomic_write(folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return card


def _fingerprint(fitted: Mapping[str, Fields]) -> str:
    """Hash names and labels of the sets."""
    digest = hashlib.sha256()
    for name, fields in fitted.items():
        digest.update(name.encode() + fields.targets.tobytes())
    return digest.hexdigest()
