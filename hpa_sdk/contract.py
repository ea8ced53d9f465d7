"""Holds a model file to the contract that training, export and this package share."""

from __future__ import annotations

from hpa_sdk.errors import ModelCardError, ModelFileError
from hpa_sdk.labels import Label
from hpa_sdk.model_card import METADATA_KEY, ModelCard
from hpa_sdk.onnx_file import OnnxFile, TensorForm
from hpa_sdk.preprocessing import Preprocessing

OPSET = 18
"""Version of the standard ONNX operators that exported files use."""

EMBEDDING_SIZE = 512
"""Width of the dense layer before the last."""

RUN_NETWORK, RUN_CARD, RUN_RECORD = "network.keras", "card.json", "run.json"
"""What a finished run folder holds for the export: the fitted network, its card, and where its data lies."""

BATCH = "N"
"""Name of the open batch dimension."""


def image_shape(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """Shape of one image: height, width, colours."""
    return preprocessing.size, preprocessing.size, len(preprocessing.blend)


def inputs(preprocessing: Preprocessing) -> dict[str, TensorForm]:
    """Give the inputs of a model with this preprocessing, by name."""
    return {"image": TensorForm("float32", (BATCH, *image_shape(preprocessing)))}


def outputs() -> dict[str, TensorForm]:
    """Give the outputs of every model, by name, in order."""
    return {
        "probabilities": TensorForm("float32", (BATCH, len(Label))),
        "embedding": TensorForm("float32", (BATCH, EMBEDDING_SIZE)),
    }


def read_card(file: OnnxFile) -> ModelCard:
    """Read the card that a model file carries.

    Raises
    ------
    ModelCardError
        The file has none, or one that can't be used.
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
    """Check that a file has the inputs and outputs that its card promises, with an open batch dimension.

    Raises
    ------
    ModelFileError
        An input or output is missing or of another form, or there is another input.
    """
    for role, found, expected in (
        ("input", file.inputs, inputs(card.preprocessing)),
        ("output", file.outputs, outputs()),
    ):
        more_inputs = role == "input" and set(found) != set(expected)
        for name, form in expected.items():
            if more_inputs or name not in found or not _fits(found[name], form):
                told = ", ".join(f"{name} {form}" for name, form in found.items())
                raise ModelFileError(
                    f"the model needs the {role} {name} {form}, and has {told}",
                    where=file.path,
                    remedy="Export it with python -m export onnx.",
                )


def _fits(found: TensorForm, expected: TensorForm) -> bool:
    open_batch = isinstance(found.shape[0] if found.shape else 0, str)
    return open_batch and found.dtype == expected.dtype and found.shape[1:] == expected.shape[1:]
