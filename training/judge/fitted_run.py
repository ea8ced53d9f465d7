"""Reads a finished run folder, and finds the fields that the network was not fitted on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import keras
import msgspec
import numpy as np

from hpa_sdk.models.contract import RUN_CARD, RUN_NETWORK, RUN_RECORD, image_shape
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import White
from training.data.dataset import Dataset
from training.data.hashed_file import HashedFile
from training.data.split import Rows, SplitName, split
from training.errors import RunError

Part = Literal["all", "training", "validation"]
"""Which fields of a data set to judge on: all, or a part of the split that the run was fitted with."""


@dataclass(frozen=True, slots=True)
class ParentRecord:
    """The network that a fit started from. What it knows is in the card of the run: `ModelCard.known_data`.

    Attributes
    ----------
    name : str
        Its name.
    data_fingerprint : str
        That of the data that it was fitted on.
    """

    name: str
    data_fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRun:
    """A finished run, or a model file that is compared with one.

    Attributes
    ----------
    folder : pathlib.Path
        The run folder, or the file.
    network : keras.Model or FileNetwork
        Input float32, images of the card's size; output float32 (N, 28): probabilities.
    card : ModelCard
        Its card, written by the fit.
    split : str or None
        The split of its data; the study's split if the record names none. None for a model file, which does not say it.
    data : tuple of pathlib.Path
        Where its data was: new data, then old data.
    sizes : tuple of int
        Numbers of new and of old fields, if they were split apart.
    white : optional
        White level of its 16-bit planes.
    tuned : bool
        Whether the card's thresholds were tuned on the validation part.
    network_sha256 : str
        SHA-256, in hexadecimal, of the file that the network was read from.
    parent : ParentRecord or None
        The network that the fit started from.
    """

    folder: Path
    network: Any
    card: ModelCard
    split: SplitName | None
    data: tuple[Path, ...]
    sizes: tuple[int, ...]
    white: White | None
    tuned: bool
    network_sha256: str
    parent: ParentRecord | None = None


@dataclass(frozen=True)
class _Thresholds:
    thresholds: str = "study"


@dataclass(frozen=True)
class _Record:
    split: SplitName = "study"
    data: tuple[str, ...] = ()
    also: tuple[str, ...] | None = None
    sizes: tuple[int, ...] = ()
    white: White | None = None
    recipe: _Thresholds = field(default_factory=_Thresholds)
    network_sha256: str | None = None
    card_sha256: str | None = None
    parent: ParentRecord | None = None


def read_run(run: Path) -> FittedRun:
    """Read a finished run folder.

    Raises
    ------
    RunError
        The folder holds no finished run, a network of another form, or another network than the fit's.
    ModelCardError
        The card can't be used.
    """
    for name in (RUN_RECORD, RUN_NETWORK, RUN_CARD):
        if not (run / name).is_file():
            raise RunError(
                f"the run holds no {name}", where=run, remedy="Name the folder of a finished python -m training fit."
            )
    content = (run / RUN_CARD).read_bytes()
    card = ModelCard.from_json(content, where=str(run / RUN_CARD))
    try:
        record = msgspec.json.decode((run / RUN_RECORD).read_bytes(), type=_Record)
    except (UnicodeDecodeError, msgspec.DecodeError) as error:
        raise RunError(f"the record can't be read ({error})", where=run / RUN_RECORD, remedy="Fit it again.") from error
    try:
        file = HashedFile.read(run / RUN_NETWORK)
        network = keras.saving.load_model(run / RUN_NETWORK, compile=False)
    except Exception as error:  # Keras passes on all errors of its layers, zipfile and h5py
        raise RunError(
            f"the network can't be read ({error})", where=run / RUN_NETWORK, remedy="Fit it again."
        ) from error
    file.check()
    # Missing in records of earlier versions, and of networks that were put there by hand.
    if record.network_sha256 not in {None, file.sha256}:
        raise RunError(
            "this is another network than the fit left here: the card and the record are not its own",
            where=run / RUN_NETWORK,
            remedy=f"Put the fit's own network back; one of your own has a {RUN_RECORD} without network_sha256.",
        )
    if record.card_sha256 not in {None, hashlib.sha256(content).hexdigest()}:
        raise RunError(
            "this is another card than the fit left here: its thresholds may be those of another network",
            where=run / RUN_CARD,
            remedy=f"Put the fit's own card back; one that you edited yourself has a {RUN_RECORD} without card_sha256.",
        )
    shapes = network.input_shape, network.output_shape
    expected = (None, *image_shape(card.preprocessing)), (None, len(card.labels))
    if shapes != expected:
        raise RunError(
            f"the network turns {shapes[0]} into {shapes[1]}, not {expected[0]} into {expected[1]}",
            where=run / RUN_NETWORK,
            remedy="Name a run of one of the networks in training.networks.",
        )
    return FittedRun(
        folder=run,
        network=network,
        card=card,
        split=record.split,
        data=tuple(Path(source) for source in (*record.data, *(record.also or ()))),
        sizes=record.sizes,
        white=record.white,
        tuned=record.recipe.thresholds == "tuned",
        network_sha256=file.sha256,
        parent=record.parent,
    )


def is_data_of(run: FittedRun, dataset: Dataset) -> bool:
    """Return whether a run was fitted on this data set: all of it, in this order, with these labels."""
    return run.card.training.data_fingerprint == dataset.fingerprint


def at_white_level_of(run: FittedRun, dataset: Dataset) -> Dataset:
    """Set the white level of the fit, unless another one is set; other data is unchanged."""
    return replace(dataset, white=run.white) if dataset.white is None and is_data_of(run, dataset) else dataset


def part_rows(dataset: Dataset, part: Part, *runs: FittedRun) -> Rows:
    """Return the rows of a part of a data set, in the order of its table, for runs with the same split.

    Model files do not say how their data was split, so a part is that of the runs.

    Raises
    ------
    RunError
        A part was requested of other data than the run was fitted on: a new split would mix fields that the network
        was fitted on with others.
    """
    if part == "all":
        return np.arange(len(dataset.samples))
    runs = tuple(run for run in runs if run.split is not None)
    if not runs:
        raise RunError(
            f"model files do not say which fields the {part} part has", remedy="Name a run, or judge --part all."
        )
    for run in runs:
        if not is_data_of(run, dataset):
            raise RunError(
                f"{dataset.name} is not the data of this fit, so it has no {part} part",
                where=run.folder,
                remedy=f"Name all of the fit's data as {RUN_RECORD} lists it, with the same tables and planes; or judge"
                " all of other data, none of which it was fitted on: --part all.",
            )
    training, validation = split(dataset.targets, runs[0].split or "study", runs[0].sizes)
    return np.sort(training if part == "training" else validation)
