"""Fits a network by a plan and writes a run folder."""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import OutputError
from hpa_sdk.models.contract import RUN_RECORD
from hpa_sdk.models.model_card import ModelCard
from training.data.batches import FieldBatches
from training.data.dataset import Targets, read_datasets
from training.data.hashed_file import HashedFile
from training.data.prepared import DecodedImages, Images, ImageSource, prepare
from training.data.prepared_files import planes_sha256
from training.data.sampling import SamplingName, draw_probabilities, shared_probabilities
from training.data.split import Rows, split
from training.exported_weights import EXPORT_SUFFIX, read_parent
from training.fit.checkpoints import HISTORY, Progress, callbacks
from training.fit.devices import Devices, data_parallel
from training.fit.folded_statistics import FIELDS, unfold_statistics
from training.fit.model_card import make_card
from training.fit.plots import HISTORY_PICTURE, TRAINING_PICTURE, draw_history, draw_training_images
from training.fit.recipe import Stage
from training.fit.reference import REFERENCE_FIELDS
from training.fit.run_folder import Plan, Run, code_revision, parent_run, refuse_remains
from training.fit.stage import compile_stage
from training.fit.tensorboard import EVENTS, write_events
from training.judge.fitted_fields import count_adapted_fields
from training.network_forms import preprocessing_of
from training.networks import build_network

_log = logging.getLogger(__name__)


def fit(
    plan: Plan,
    out: Path,
    *,
    prepared: Path | None = None,
    resume: bool = False,
    devices: Devices = "one",
    checkpoint_every: int = 1,
    reference_fields: int = REFERENCE_FIELDS,
) -> ModelCard:
    """Fit a network.

    After each epoch the network is judged on the same validation fields; each checkpoint saves all that a resumed fit
    needs. The result is the weights with the lowest validation loss of the last stage, as in the study.

    Parameters
    ----------
    plan : Plan
        What to do.
    out : pathlib.Path
        The run folder.
    prepared : pathlib.Path, optional
        Folder for preprocessed images, so that each plane is decoded once. Default: each plane is decoded whenever its
        field is drawn.
    resume : bool
        Resume a stopped fit of the same plan.
    devices : str
        ``"one"``, or ``"all"`` to split each batch over all devices of the machine. The batch size must then be a
        multiple of their number, and the number of validation fields is rounded up to such a multiple.
    checkpoint_every : int
        Epochs between checkpoints: a fit that is stopped loses at most so many.
    reference_fields : int
        How many training fields the card's reference describes. 0: the card has none.

    Returns
    -------
    ModelCard
        What the run folder says of the network.

    Raises
    ------
    TableError, PlaneError, WeightsError, RunError, OutputError
        The data, the weights, the run folder or the folder of prepared images can't be used, the devices can't share a
        batch, or the loss is no number.
    """
    revision = code_revision()  # the checkout may change while this code runs
    dataset = read_datasets((*plan.data, *plan.also), white=plan.white)
    new = sum(source.fields for source in dataset.sources[: len(plan.data)])
    sizes = (new, len(dataset.samples) - new) if plan.also else (new,)
    # First, before anything is built, fetched or written: this refuses too few fields.
    training, validation = split(dataset.targets, plan.split, sizes)
    keras.utils.set_random_seed(plan.seed)
    keras.mixed_precision.set_global_policy(plan.recipe.precision)
    weights = HashedFile.read(plan.weights) if isinstance(plan.weights, Path) and plan.weights.is_file() else None
    exported = isinstance(plan.weights, Path) and plan.weights.suffix == EXPORT_SUFFIX
    parent = read_parent(Path(plan.weights), plan.network) if exported else None
    before = parent or (parent_run(Path(plan.weights), weights.sha256) if weights else None)
    if before and (known := count_adapted_fields(before.card.known_fields, dataset, before.card)):
        _log.warning(
            "%s, or a model of which it was made, was adapted to %d of these %d fields: the figures of the validation"
            " part are too good, and so may be the thresholds and the temperature. Fit from a file that was not adapted"
            " to them.",
            *(plan.weights, known, len(dataset.samples)),
        )
    begin = partial(
        Run,
        out,
        plan,
        dataset.fingerprint,
        weights_sha256=weights.sha256 if weights else None,
        planes_sha256=planes_sha256(dataset.samples),
        sizes=sizes,
        parent=before,
    )
    # An unsuitable folder is refused before weights are fetched; a new one is made afterwards.
    begun = begin(resume=resume) if _holds_run(out) else None
    with data_parallel(devices, plan.recipe.batch_size) as sharing:
        network = build_network(plan.network, weights=None if plan.weights == "none" else plan.weights)
        if weights:
            weights.check()
        preprocessing = preprocessing_of(plan.network)
        decoded = DecodedImages(dataset.samples, white=dataset.white, preprocessing=preprocessing)
        images = decoded if prepared is None else prepare(dataset, prepared, preprocessing=preprocessing)
        run = begun or begin()
        progress = Progress.read(out)
        fields = _Fields(images, dataset.targets, plan, sizes, training, validation, sharing)
        draw_training_images(fields.batches(plan.recipe.stages[-1]), out / TRAINING_PICTURE)
        if parent and not progress.state:
            unfold_statistics(network, fields.plain_draw(FIELDS))
        for number in range(len(plan.recipe.stages)):
            _fit_stage(network, plan, number, fields, progress, out, checkpoint_every)
    # A new network: in full precision and not compiled, since Keras saves a compiled one with its optimizer.
    keras.mixed_precision.set_global_policy("float32")
    fitted = build_network(plan.network)
    fitted.load_weights(out / progress.best)
    parts = training, validation
    card = make_card(
        *(fitted, plan, dataset, images, parts, revision),
        reference_fields=reference_fields,
        parent=parent,
        before=before.card if before else None,
    )
    draw_history(out / HISTORY, out / HISTORY_PICTURE)
    run.finish(fitted, card)
    progress.discard(out)
    return card


def _holds_run(out: Path) -> bool:
    if out.exists() and not out.is_dir():
        raise OutputError("this is a file, not a folder", where=out, remedy="Name a folder to make.")
    if (out / RUN_RECORD).exists():
        return True
    refuse_remains(out)
    return False


@dataclass(frozen=True, slots=True)
class _Fields:
    images: ImageSource
    targets: Targets
    plan: Plan
    sizes: tuple[int, ...]
    training: Rows
    validation: Rows
    sharing: int

    def batches(self, stage: Stage) -> FieldBatches:
        plan = self.plan
        return FieldBatches(
            self.images,
            self.targets,
            batch_size=plan.recipe.batch_size,
            steps=plan.recipe.steps_per_epoch,
            augmentation=stage.augmentation,
            seed=plan.seed,
            probabilities=self._probabilities(self.training, plan.recipe.sampling),
        )

    def validation_draw(self) -> tuple[Images, Targets]:
        count = self.plan.recipe.validation_fields
        # A few more where the devices could not share the last batch evenly; their loss weighs as any other's.
        even = -(-count // self.sharing) * self.sharing
        rng = np.random.default_rng([self.plan.seed, count])
        drawn = rng.choice(self.validation, even, p=self._even(self.validation))
        return self.images[drawn], self.targets[drawn]

    def statistics_draw(self) -> Images | None:
        count = self.plan.recipe.statistics_fields
        return self.plain_draw(count) if count else None

    def plain_draw(self, count: int) -> Images:
        """Draw training fields without repetition, old and new ones by their shares."""
        count = min(count, len(self.training))
        rng = np.random.default_rng([self.plan.seed, count])
        return self.images[rng.choice(self.training, count, replace=False, p=self._even(self.training))]

    def _even(self, rows: Rows) -> npt.NDArray[np.float64] | None:
        return None if self.plan.share is None else self._probabilities(rows, "even")[rows]

    def _probabilities(self, rows: Rows, sampling: SamplingName) -> npt.NDArray[np.float64]:
        probabilities = np.zeros(len(self.targets))
        starts = np.cumsum(self.sizes[:-1], dtype=np.intp)
        of_source = np.searchsorted(starts, rows, side="right")
        for group in (rows[of_source == source] for source in range(len(self.sizes))):
            probabilities[group] = draw_probabilities(self.targets[group], sampling)
        return shared_probabilities(np.split(probabilities, starts), self.plan.share)


def _fit_stage(
    network: keras.Model,
    plan: Plan,
    number: int,
    fields: _Fields,
    progress: Progress,
    folder: Path,
    checkpoint_every: int,
) -> None:
    """Fit the remaining epochs of a stage; `progress` then names the best weights."""
    recipe, stage = plan.recipe, plan.recipe.stages[number]
    last_epoch = sum(before.epochs for before in recipe.stages[: number + 1])
    if progress.epochs >= last_epoch:
        return
    if progress.stage != number:
        # Loaded even if the network is still in memory, so that a resumed fit starts the stage from the same weights.
        network.load_weights(folder / progress.state)
        progress.stage, progress.best_loss = number, math.inf
    compile_stage(network, recipe, stage)
    if progress.epochs > last_epoch - stage.epochs:
        network.optimizer.build(network.trainable_variables)
        network.load_weights(folder / progress.state)
    batches = fields.batches(stage)
    with write_events(folder / EVENTS, first_epoch=progress.epochs) as events:
        network.fit(
            batches,
            shuffle=False,
            initial_epoch=progress.epochs,
            epochs=last_epoch,
            validation_data=fields.validation_draw(),
            validation_batch_size=recipe.batch_size,
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=[
                # First: the events are written before the checkpoint, so that a resumed fit does not skip an epoch.
                events,
                *callbacks(
                    progress,
                    folder,
                    every=checkpoint_every,
                    batches=batches,
                    seed=plan.seed,
                    averaged=recipe.weight_average > 0,
                    statistics=fields.statistics_draw(),
                ),
            ],
        )
