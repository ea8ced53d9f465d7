"""Reads a finished run folder for the export."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import keras
import msgspec

from export.errors import RunFolderError
from export.unchanged import unchanged
from hpa_sdk.models.contract import RUN_CARD, RUN_NETWORK, RUN_RECORD, image_shape
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.preprocessing import White

_FLAT = 2  # dimensions of a batch of embeddings


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A finished run.

    Attributes
    ----------
    network : keras.Model
        Input and outputs float32, as its card says: for the study an image (N, 299, 299, 3), probabilities (N, 28) and
        an embedding (N, 512).
    card : ModelCard
        Its card, written by the fit.
    data : pathlib.Path
        Where the data of the fit was; the first of several sources.
    white : optional
        White level of its 16-bit planes.
    """

    network: keras.Model
    card: ModelCard
    data: Path
    white: White | None


@dataclass(frozen=True)
class _Record:
    data: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    white: White | None = None
    network_sha256: str | None = None
    card_sha256: str | None = None


def read_fitted(run: Path) -> FittedNetwork:
    """Read a finished run.

    Raises
    ------
    RunFolderError
        The folder holds no finished run, another network than the fit's, or one with another input or other last
        layers.
    ModelFileError
        The network was written while it was read.
    ModelCardError
        The run's card can't be used.
    """
    for name in (RUN_RECORD, RUN_NETWORK, RUN_CARD):
        if not (run / name).is_file():
            raise RunFolderError(
                f"the run holds no {name}", where=run, remedy="Name the folder of a finished python -m training fit."
            )
    content = (run / RUN_CARD).read_bytes()
    card = ModelCard.from_json(content, where=str(run / RUN_CARD))
    try:
        record = msgspec.json.decode((run / RUN_RECORD).read_bytes(), type=_Record)
    except msgspec.DecodeError as error:
        raise RunFolderError(
            f"the record of the run can't be read ({error})", where=run / RUN_RECORD, remedy="Fit it again."
        ) from error
    with unchanged(run / RUN_NETWORK):
        try:
            sha256 = file_sha256(run / RUN_NETWORK)
            model = keras.saving.load_model(run / RUN_NETWORK, compile=False)
        except Exception as error:  # Keras passes on all errors of its layers, zipfile and h5py
            raise RunFolderError(
                f"the network can't be read ({error})", where=run / RUN_NETWORK, remedy="Fit it again."
            ) from error
    # Missing in records of earlier versions, and of networks that were put there by hand.
    if record.network_sha256 not in {None, sha256}:
        raise RunFolderError(
            "this is another network than the fit left here: the card and the record are not its own",
            where=run / RUN_NETWORK,
            remedy=f"Put the fit's own network back; one of your own has a {RUN_RECORD} without network_sha256.",
        )
    if record.card_sha256 not in {None, hashlib.sha256(content).hexdigest()}:
        raise RunFolderError(
            "this is another card than the fit left here: its thresholds may be those of another network",
            where=run / RUN_CARD,
            remedy=f"Put the fit's own card back; one that you edited yourself has a {RUN_RECORD} without card_sha256.",
        )
    return FittedNetwork(_with_embedding(model, card, run), card, Path(record.data[0]), record.white)


def _with_embedding(model: keras.Model, card: ModelCard, run: Path) -> keras.Model:
    layers = {layer.name: layer for layer in model.layers}
    tensors = card.tensors
    expected = dict.fromkeys(tensors.outputs, (None, "any width")) | {tensors.scores: (None, len(card.labels))}
    shapes = {name: tuple(layers[name].output.shape) for name in expected if name in layers}
    fits = shapes.get(tensors.scores) == expected[tensors.scores] and all(
        len(shapes.get(name, ())) == _FLAT for name in tensors.outputs
    )
    if not fits or model.input_shape != (None, *image_shape(card.preprocessing)):
        raise RunFolderError(
            f"the network takes {model.input_shape} and ends in {shapes}, not in {expected}",
            where=run / RUN_NETWORK,
            remedy="Let it end in layers of these names and shapes: see docs/own-network.md.",
        )
    if model.output is not layers[tensors.scores].output:
        raise RunFolderError(
            f"the network has layers after its layer '{tensors.scores}'",
            where=run / RUN_NETWORK,
            remedy="Let that layer be the last, with a sigmoid of its own as activation: see docs/own-network.md.",
        )
    return keras.Model(model.input, {name: layers[name].output for name in expected})
