"""Packs a model file as a bioimage.io package: weights, description, test and sample tensors."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from export.bioimageio.cover import draw_cover, draw_tensor
from export.bioimageio.description import COVER, INPUT, MODEL, OUTPUT, README, describe
from export.bioimageio.readme import write_readme
from export.fields import table_or_folder
from export.unchanged import unchanged
from export.variants.variant import refuse_overwriting
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import map_file
from hpa_sdk.preprocessing import White


def export_bioimageio(
    model: Path, data: Path, out: Path, *, authors: tuple[str, ...] = (), white: White | None = None
) -> ModelCard:
    """Pack a model file as a bioimage.io package, format 0.5.

    The test output is the file's own answer for the first field of the data. Nothing in the package is compressed, so
    that a reader can use the model directly.

    Parameters
    ----------
    model : pathlib.Path
        An ONNX file of the contract, with its card.
    data : pathlib.Path
        A folder or table as `find_samples` takes it; its first field is the sample and the test.
    out : pathlib.Path
        The zip file to write, atomically.
    authors : tuple of str
        Names of the model's authors.
    white : optional
        White level of 16-bit planes.

    Returns
    -------
    ModelCard
        The model's card.

    Raises
    ------
    ModelFileError, ModelCardError
        The model is not of this contract, has no card, or is written while it is read.
    SampleError, TableError, PlaneError
        The data holds no field, or its first can't be read.
    VariantError
        The package would overwrite the model, or the format can't describe the model: its scores are not its first
        output, or its batch is fixed to more than one.
    OutputError
        The file can't be written.
    """
    with unchanged(model):
        file, card = read_model(model)
        content = bytes(map_file(model))
    refuse_overwriting(model, out)
    sample = next(find_samples(table_or_folder(data)))
    form = card.preprocessing
    planes = read_planes(sample, form.channels)
    field, levels = form.model_input(planes, white=white, where=sample.files[0])
    session = Session(content, Device("cpu"), SessionSettings(tensors=card.tensors))
    probabilities, _ = session.run(field[np.newaxis])
    shown = np.ones(len(planes), np.float32)
    shown[[list(Channel).index(Channel(channel)) for channel in form.channels]] = levels
    with atomic_write(out) as partial, zipfile.ZipFile(partial, "w") as package:
        package.writestr("rdf.yaml", msgspec.yaml.encode(describe(file, card, content, authors)))
        package.writestr(README, write_readme(card))
        package.writestr(COVER, draw_cover(planes, shown))
        layout = "nchw" if form.place == "graph" else form.layout
        package.writestr(INPUT.test, _npy(field[np.newaxis]))
        package.writestr(INPUT.sample, draw_tensor(field, layout))
        package.writestr(OUTPUT.test, _npy(probabilities))
        package.writestr(OUTPUT.sample, draw_tensor(probabilities[0]))
        package.writestr(MODEL, content)
    return card


def _npy(array: npt.NDArray[np.generic]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()
