"""A description of a package that has no counterpart, or is damaged, is refused by its name."""

from __future__ import annotations

import builtins
import zipfile
from pathlib import Path
from typing import Any

import pytest

from export.bioimageio.package import export_bioimageio
from hpa_sdk import Predictor, Sample
from hpa_sdk.errors import ModelFileError
from tests.hpa_sdk.any_network.described_packages import (
    NCHW,
    SIDE,
    package_of,
)
from tests.hpa_sdk.any_network.made_package import Description
from tests.stand_ins import card_of as described


def described_input(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "a", "axes": "bcyx", "shape": [1, 4, SIDE, SIDE], **changes}]}


REFUSED: dict[str, tuple[Description, str]] = {
    "z axis": (Description(changes=described_input(axes="bczyx", shape=[1, 4, 1, 9, 9])), "the axis z"),
    "index axis": (
        Description(
            version="0.5.3",
            changes={"inputs": [{"id": "a", "axes": [{"type": "batch"}, {"type": "index", "id": "i"}]}]},
        ),
        "the axis i",
    ),
    "two inputs": (Description(changes={"inputs": described_input()["inputs"] * 2}), "2 inputs"),
    "another order of axes": (Description(changes=described_input(axes="bcxy")), "the axes batch, channel, x, y"),
    "sides of two lengths": (Description(changes=described_input(shape=[1, 4, 48, 50])), "50 x 48 pixels"),
    "format 0.3": (Description(version="0.4.9", changes={"format_version": "0.3.6"}), "the format version 0.3.6"),
    "no ONNX weights": (Description(changes={"weights": {"torchscript": {"source": "a.pt"}}}), "no ONNX file"),
    "binarize": (Description(steps=[{"name": "binarize", "kwargs": {"threshold": 0.5}}]), "asks for binarize"),
    "clip": (Description(version="0.5.3", steps=[{"id": "clip", "kwargs": {"min": 0}}]), "asks for clip"),
    "float64": (
        Description(version="0.5.3", steps=[{"id": "ensure_dtype", "kwargs": {"dtype": "float64"}}]),
        "ensure_dtype with float64",
    ),
    "values of a data set": (
        Description(steps=[{"name": "scale_range", "kwargs": {"mode": "per_dataset", "axes": "xy"}}]),
        "scale_range with the mode per_dataset",
    ),
    "values of every image": (Description(version="0.5.3", steps=[{"id": "scale_range"}]), "scale_range over every"),
    "values of a batch": (
        Description(
            version="0.5.3", steps=[{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["batch", "y", "x"]}}]
        ),
        "zero_mean_unit_variance over batch, x, y",
    ),
    "values of another tensor": (
        Description(
            version="0.5.3",
            steps=[{"id": "scale_range", "kwargs": {"axes": ["y", "x"], "reference_tensor": "mask"}}],
        ),
        "scale_range over mask",
    ),
    "normalized twice": (
        Description(
            version="0.5.3",
            steps=[{"id": "scale_range", "kwargs": {"axes": ["y", "x"]}}] * 2,
        ),
        "scale_range after scale_range",
    ),
    "offset before a normalization": (
        Description(
            version="0.5.3",
            steps=[
                {
                    "id": "scale_linear",
                    "kwargs": {"axis": "channel", "gain": [1.0] * 4, "offset": [0.0, 1.0, 2.0, 3.0]},
                },
                {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"]}},
            ],
        ),
        "an offset before scale_range",
    ),
    "negative after a normalization": (
        Description(
            version="0.5.3",
            steps=[
                {"id": "scale_range", "kwargs": {"axes": ["y", "x"]}},
                {"id": "scale_linear", "kwargs": {"gain": -1.0}},
            ],
        ),
        "a gain of -1 after a normalization",
    ),
    "more outputs": (
        Description(changes={"outputs": [{"name": str(at), "axes": "bc", "shape": [1, 2]} for at in range(3)]}),
        "3 outputs; the model has 2",
    ),
    "gains along y": (
        Description(version="0.5.3", steps=[{"id": "scale_linear", "kwargs": {"axis": "y", "gain": [1.0] * 4}}]),
        "scale_linear with gain",
    ),
    "too many gains": (
        Description(steps=[{"name": "scale_linear", "kwargs": {"axes": "xy", "gain": [1.0] * 5}}]),
        "scale_linear with gain",
    ),
    "no deviation": (
        Description(steps=[{"name": "zero_mean_unit_variance", "kwargs": {"mode": "fixed", "mean": 1.0, "std": 0.0}}]),
        "fixed_zero_mean_unit_variance with std 0.0",
    ),
    "softmax": (
        Description(version="0.5.3", limits=(0.0, 1.0), output_steps=[{"id": "softmax"}]),
        "softmax for the output classes",
    ),
    "not a description": (Description(changes={"inputs": "bcyx"}), "can't be used"),
}


@pytest.mark.parametrize(("given", "message"), list(REFUSED.values()), ids=list(REFUSED))
def test_what_has_no_counterpart_is_refused_by_name(tmp_path: Path, given: Description, message: str) -> None:
    path = package_of(tmp_path / "a.zip", NCHW, given)
    with pytest.raises(ModelFileError, match=message):
        Predictor.load(path, card=described(NCHW), device="cpu")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: [", b"- 1", b"&a [*a]", b"x" * (2**20 + 1)])
def test_a_damaged_description_is_refused(tmp_path: Path, content: bytes) -> None:
    path = package_of(tmp_path / "a.zip", NCHW, Description())
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "b.zip", "w") as damaged:
        for name in whole.namelist():
            damaged.writestr(name, content if name == "rdf.yaml" else whole.read(name))
    with pytest.raises(ModelFileError, match=r"can't be used|up to 1,048,576 are read"):
        Predictor.load(tmp_path / "b.zip", card=described(NCHW), device="cpu")


def test_yaml_is_read_only_for_packages_from_elsewhere(
    tmp_path: Path, model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = package_of(tmp_path / "a.zip", NCHW, Description())
    export_bioimageio(model, fields[0].files[0].parent, tmp_path / "own.zip")
    imported = builtins.__import__

    def without_yaml(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "yaml":
            raise ImportError("no yaml")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_yaml)
    Predictor.load(tmp_path / "own.zip", device="cpu")
    with pytest.raises(ModelFileError, match=r"pip install 'hpa-sdk\[packages\]'"):
        Predictor.load(path, card=described(NCHW), device="cpu")
