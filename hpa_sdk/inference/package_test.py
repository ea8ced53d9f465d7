"""Runs the test tensors of a bioimage.io package, which show whether a model answers here as where it was made."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import ModelFileError
from hpa_sdk.inference.session import Session
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_package import read_packed_members
from hpa_sdk.models.onnx_file import OnnxFile, read_onnx
from hpa_sdk.models.package_card import form_of
from hpa_sdk.models.package_description import PackageDescription, no_counterpart, read_description
from hpa_sdk.prediction import sigmoid

RELATIVE, ABSOLUTE = 1e-3, 1e-3
"""Largest differences that count as rounding: a share of the expected number, and a number; as in bioimageio.core."""

LARGEST_TENSOR = 2**29
"""Size limit in bytes of a test tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDifference:
    """How far an output of a model is from the package's own test output.

    Attributes
    ----------
    tensor : str
        Name of the output in the ONNX file.
    shape : tuple of int
        Shape of the test output.
    max_difference : float
        Largest absolute difference. NaN if a number is not finite.
    matches : bool
        Whether no number differs by more than `ABSOLUTE` plus the share `RELATIVE` of the expected one.
    """

    tensor: str
    shape: tuple[int, ...]
    max_difference: float
    matches: bool


def run_test_tensors(path: Path, card: ModelCard, session: Session) -> tuple[TensorDifference, ...]:
    """Run the test input of a package, and compare the scores and the embedding with its test outputs.

    The input is processed as the description says, not as the card does. That both say the same is checked when the
    package is loaded with a card.

    Parameters
    ----------
    path : pathlib.Path
        A package of format 0.4 or 0.5.
    card : ModelCard
        Its card: of a predictor, ``predictor.card``.
    session : Session
        The model, opened: ``predictor.session``.

    Returns
    -------
    tuple of TensorDifference
        The scores, and the embedding if it is described, in the order of the file. Scores are compared as
        probabilities, also if the file gives logits.

    Raises
    ------
    ModelFileError
        The file is no package, has no description or no test tensors, or they can't be read or do not fit the model.
    DeviceError
        The device failed.
    """
    description = read_description(path)
    if description is None:
        raise ModelFileError(
            "this is no package with a description, and only these have test tensors",
            where=path,
            remedy="Name a bioimage.io package.",
        )
    file = read_onnx(path)
    named = {
        name: output
        for name, output in zip(file.outputs, description.outputs, strict=False)
        if name in card.tensors.outputs and output.test
    }
    if not description.input.test or card.tensors.scores not in named:
        raise ModelFileError(
            "the package has no test tensors for its input and its scores", where=path, remedy="Get it again."
        )
    asked, *expected = _read_tensors(path, [description.input.test, *(output.test for output in named.values())])
    found = dict(zip(("scores", "embedding"), session.run(_network_input(asked, card, description, file)), strict=True))
    differences = []
    for (name, output), tensor in zip(named.items(), expected, strict=True):
        names = [step.name for step in output.steps if step.name != "ensure_dtype"]
        if name == card.tensors.scores:
            wanted = sigmoid(tensor.astype(np.float64)) if card.tensors.scores_are == "logits" and not names else tensor
            given = found["scores"]
        elif names:
            raise no_counterpart(f"{names[0]} for the output {output.name}", path)
        else:
            wanted, given = tensor.reshape(len(tensor), -1), found["embedding"]
        differences.append(_compare(name, wanted, given, path))
    return tuple(differences)


def _network_input(
    asked: npt.NDArray[np.generic], card: ModelCard, description: PackageDescription, file: OnnxFile
) -> npt.NDArray[np.float32] | npt.NDArray[np.uint8]:
    if card.preprocessing.place == "graph":
        return asked.astype(np.uint8)
    form = form_of(description, file)
    if asked.ndim != len(description.input.axes):
        raise _misfit(description.input.test, asked.shape, file.path)
    channel_axis = description.input.axes.index("channel") - 1
    try:
        return np.stack([form.arithmetic(image, channel_axis) for image in asked])
    except ValueError as error:
        raise _misfit(description.input.test, asked.shape, file.path) from error


def _compare(
    name: str, expected: npt.NDArray[np.generic], found: npt.NDArray[np.float32], path: Path
) -> TensorDifference:
    if expected.shape != found.shape:
        raise _misfit(name, expected.shape, path)
    wanted = expected.astype(np.float64)
    return TensorDifference(
        tensor=name,
        shape=expected.shape,
        max_difference=float(np.abs(found - wanted).max()),
        matches=bool(np.allclose(found, wanted, rtol=RELATIVE, atol=ABSOLUTE)),
    )


def _misfit(name: str, shape: tuple[int, ...], path: Path) -> ModelFileError:
    return ModelFileError(
        f"the test tensor {name} has the shape {shape}, which does not fit the model",
        where=path,
        remedy="Get the package again.",
    )


def _read_tensors(path: Path, names: list[str]) -> list[npt.NDArray[np.generic]]:
    with path.open("rb") as file:
        members = read_packed_members(file, names, path, LARGEST_TENSOR)
    tensors = []
    for name, content in zip(names, members, strict=True):
        try:
            tensor = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ModelFileError(
                f"the test tensor {name} can't be read ({error})", where=path, remedy="Get the package again."
            ) from error
        if not isinstance(tensor, np.ndarray) or tensor.dtype.kind not in "fiub" or not tensor.size:
            raise ModelFileError(f"{name} is no tensor of numbers", where=path, remedy="Get the package again.")
        tensors.append(tensor)
    return tensors
