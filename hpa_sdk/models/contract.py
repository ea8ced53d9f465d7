"""Checks a model file against the contract that training, export and this package share."""

from __future__ import annotations

from pathlib import Path

from hpa_sdk.errors import ModelCardError, ModelFileError
from hpa_sdk.labels import Label
from hpa_sdk.models.checksum import check_checksum, check_weights
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.models.onnx_file import OnnxFile, TensorForm, describe_onnx, read_onnx
from hpa_sdk.preprocessing import Preprocessing

OPSET = 18
"""Version of the standard ONNX operators in exported files."""

EMBEDDING_SIZE = 512
"""Width of the dense layer before the last."""

RUN_NETWORK, RUN_CARD, RUN_RECORD = "network.keras", "card.json", "run.json"
"""Files of a finished run folder that the export needs: the fitted network, its card, and the path of its data."""

BATCH, HEIGHT, WIDTH = "N", "H", "W"
"""Names of the open dimensions."""

LARGEST_IMAGE = 4096
"""Longest side in pixels that a card may set for the image. An untrusted card could otherwise use all memory."""


def image_shape(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """Shape of one image: height, width, colours."""
    return preprocessing.size, preprocessing.size, len(preprocessing.blend)


def inputs(preprocessing: Preprocessing) -> dict[str, TensorForm]:
    """Return the inputs of a model with this preprocessing, by name.

    An image if the host does the preprocessing, planes of any size if the graph does.
    """
    if preprocessing.place == "host":
        return {"image": TensorForm("float32", (BATCH, *image_shape(preprocessing)))}
    return {"planes": TensorForm("uint8", (BATCH, len(preprocessing.channels), HEIGHT, WIDTH))}


def outputs() -> dict[str, TensorForm]:
    """Return the outputs of every model, by name, in order."""
    return {
        "probabilities": TensorForm("float32", (BATCH, len(Label))),
        "embedding": TensorForm("float32", (BATCH, EMBEDDING_SIZE)),
    }


def read_model(model: Path | ModelContent, card: ModelCard | None = None) -> tuple[OnnxFile, ModelCard]:
    """Read the metadata of a model, and check it against the contract.

    Parameters
    ----------
    model : pathlib.Path or ModelContent
        The file, or its content.
    card : ModelCard, optional
        For a file that has no card. It is checked too.

    Raises
    ------
    ModelFileError
        The file is missing, not an ONNX model, or not of this contract.
    ModelCardError
        The file has no card and none is given, or the card can't be used.
    """
    file = read_onnx(model) if isinstance(model, Path) else describe_onnx(memoryview(model.model), model.identity.where)
    card = card or read_card(file)
    card.check(str(file.path))
    check_contract(file, card)
    return file, card


def check_model(model: Path | ModelContent, card: ModelCard | None = None, *, verify: bool = False) -> ModelCard:
    """Check a model completely, and return its card.

    Parameters
    ----------
    model : pathlib.Path or ModelContent
        The file, or its content.
    card : ModelCard, optional
        For a file that has no card. It is checked too.
    verify : bool
        Read the whole file and refuse one that was changed since its export. See `hpa_sdk.models.checksum`.

    Raises
    ------
    ModelFileError
        The file is missing, not an ONNX model, not of this contract, or changed since its export.
    ModelCardError
        The file has no card and none is given, or the card can't be used.
    """
    if not verify:
        return read_model(model, card)[1]
    content = ModelContent.of(model)
    # First, so that a damaged file is reported as damaged, and not by an error that the damage causes later.
    check_checksum(memoryview(content.model), content.identity.where)
    _, card = read_model(content, card)
    check_weights(memoryview(content.model), card, content.identity.where)
    return card


def read_card(file: OnnxFile) -> ModelCard:
    """Read the card in a model file.

    Raises
    ------
    ModelCardError
        The file has no card, or a card that can't be used.
    """
    text = file.metadata.get(METADATA_KEY)
    if text is None:
        raise ModelCardError(
            "the model carries no card",
            where=file.path,
            remedy="Export it with python -m export onnx, or pass card=ModelCard(...) to Predictor.load.",
        )
    return ModelCard.from_json(text, where=str(file.path))


def check_contract(file: OnnxFile, card: ModelCard) -> None:
    """Check that a file has the inputs and outputs that its card requires, with the same open dimensions.

    Raises
    ------
    ModelFileError
        An input or output is missing or of another form, or there is an additional input.
    ModelCardError
        The card sets an image size above `LARGEST_IMAGE`.
    """
    if card.preprocessing.size > LARGEST_IMAGE:
        raise ModelCardError(
            f"the model card asks for images of {card.preprocessing.size:,} pixels a side, more than {LARGEST_IMAGE:,}",
            where=file.path,
            remedy="Export the model again with python -m export onnx.",
        )
    for role, found, expected in (
        ("input", file.inputs, inputs(card.preprocessing)),
        ("output", file.outputs, outputs()),
    ):
        more_inputs = role == "input" and set(found) != set(expected)
        for name, form in expected.items():
            if more_inputs or name not in found or not _fits(found[name], form):
                listed = ", ".join(f"{name} {form}" for name, form in found.items())
                raise ModelFileError(
                    f"the model needs the {role} {name} {form}, and has {listed}",
                    where=file.path,
                    remedy="Export it with python -m export onnx.",
                )


def _fits(found: TensorForm, expected: TensorForm) -> bool:
    return (
        found.dtype == expected.dtype
        and len(found.shape) == len(expected.shape)
        and all(
            isinstance(length, str) if isinstance(promised, str) else length == promised
            for length, promised in zip(found.shape, expected.shape, strict=True)
        )
    )
