"""Packages of bioimage.io, formats 0.4 and 0.5, are followed as they describe themselves, or refused by name."""

from __future__ import annotations

import io
import json
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from export.bioimageio.package import export_bioimageio
from hpa_sdk import Predictor, Preprocessing, Sample
from hpa_sdk.cli import main
from hpa_sdk.errors import HpaError, ModelCardError, ModelFileError
from hpa_sdk.inference.package_test import run_test_tensors
from hpa_sdk.models.card_file import card_template, read_card_file
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import read_onnx
from hpa_sdk.preprocessing import Normalization
from tests.hpa_sdk.any_network.described_packages import (
    CASES,
    GAIN,
    NCHW,
    PLANES,
    SIDE,
    completed,
    package_of,
    scaled,
)
from tests.raw_model import make_raw_model
from tests.small import make_model
from tests.stand_ins import card_of as described


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_package_answers_as_it_describes_itself(tmp_path: Path, case: Any) -> None:
    interface, given, compute = case
    path = package_of(tmp_path / "pöckchen.zip", interface, given, compute)
    card = completed(path, interface)
    with Predictor.load(path, card=card, device="cpu") as predictor:
        (found,) = predictor.predict_planes(PLANES[np.newaxis])
        differences = run_test_tensors(path, predictor.card, predictor.session)
    with zipfile.ZipFile(path) as package:
        expected = np.load(io.BytesIO(package.read("out_classes.npy")))[0]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    assert [difference.tensor for difference in differences] == ["classes", "features"]
    assert all(difference.matches and difference.max_difference < 1e-4 for difference in differences)
    assert differences[0].shape == (1, 28)


def test_the_template_holds_what_the_package_says(tmp_path: Path) -> None:
    interface, given, compute = CASES["0.5, percentiles, then linear"]
    table = tomllib.loads(card_template(read_onnx(package_of(tmp_path / "a.zip", interface, given, compute))))
    assert (table["name"], table["licence"], table["citation"]) == ("Größe", "MIT", "doi:10.1234/x")
    form = table["preprocessing"]
    assert (form["size"], form["layout"], form["channels"]) == (SIDE, "nchw", ["red", "green", "blue", "yellow"])
    assert form["normalization"]["kind"] == "scale_range"
    assert (form["mean"], form["deviation"]) == ([0.25] * 4, [0.5] * 4)


def test_an_unknown_white_is_left_to_a_person(tmp_path: Path) -> None:
    given = replace(CASES["0.4, the published way"][1], limits=(None, None))
    path = package_of(tmp_path / "a.zip", NCHW, given, scaled)
    text = card_template(read_onnx(path))
    assert "multiplies by 0.003922/0.003922/0.003922/0.003922" in text
    with pytest.raises(ModelCardError, match="scale"):
        read_card_file(completed(path, NCHW))
    with Predictor.load(path, card=completed(path, NCHW, **{"scale = 0": "scale = 255"}), device="cpu") as predictor:
        assert all(found.matches for found in run_test_tensors(path, predictor.card, predictor.session))
    with pytest.raises(ModelCardError, match="of white ones, and the package"):
        Predictor.load(path, card=completed(path, NCHW, **{"scale = 0": "scale = 100"}), device="cpu")


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "size": ({"size": None}, "gives the size as it comes, and the package 48"),
    "scale": ({"scale": 200.0, "blend": tuple(map(tuple, np.eye(4).tolist()))}, ""),
    "blend": ({"blend": tuple(map(tuple, (2 * np.eye(4)).tolist()))}, "0/0/0/0 of black planes and 2/2/2/2 of white"),
    "mean": ({"mean": (0.5, 0.5, 0.5, 0.5)}, "makes -0.5/-0.5/-0.5/-0.5 of black planes"),
    "normalization": (
        {"normalization": Normalization(kind="scale_range", low=1)},
        "normalizes by scale_range over each image, percentiles 1 to 100, and the package by nothing",
    ),
}


@pytest.mark.parametrize(("changes", "message"), list(CONTRADICTIONS.values()), ids=list(CONTRADICTIONS))
def test_a_card_that_contradicts_the_package_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    interface = replace(NCHW, open_sides=True)
    _, given, compute = CASES["0.4, the published way"]
    path = package_of(tmp_path / "a.zip", interface, given, compute)
    card = described(interface)
    wrong = replace(card, preprocessing=replace(card.preprocessing, **changes))
    if not message:  # the scale is the white level of 8-bit planes: another one says the same of white
        Predictor.load(path, card=wrong, device="cpu")
        return
    with pytest.raises(ModelCardError, match=message):
        Predictor.load(path, card=wrong, device="cpu")


def test_planes_of_other_weights_are_refused_before_a_normalization(tmp_path: Path) -> None:
    interface, given, compute = CASES["0.4, percentiles"]
    path = package_of(tmp_path / "a.zip", interface, given, compute)
    card = read_card_file(completed(path, interface))
    blend = tuple(map(tuple, np.diag([1.0, 1.0, 1.0, 2.0]).tolist()))
    with pytest.raises(ModelCardError, match="weighs the planes in another way"):
        Predictor.load(path, card=replace(card, preprocessing=replace(card.preprocessing, blend=blend)), device="cpu")


def test_scores_of_another_kind_are_refused(tmp_path: Path) -> None:
    _, given, compute = CASES["0.4, the published way"]
    path = package_of(tmp_path / "a.zip", NCHW, given, compute)
    with pytest.raises(ModelCardError, match="the scores are logits, and the package that they are probabilities"):
        Predictor.load(path, card=described(replace(NCHW, logits=True)), device="cpu")


class TestTensors:
    """The test tensors of a package."""

    @pytest.mark.parametrize("maker", [make_model, make_raw_model])
    def test_our_own_packages_match(self, tmp_path: Path, fields: list[Sample], maker: Callable[..., Path]) -> None:
        export_bioimageio(maker(tmp_path / "a.onnx"), fields[0].files[0].parent, tmp_path / "a.zip")
        with Predictor.load(tmp_path / "a.zip", device="cpu") as predictor:
            (found,) = run_test_tensors(tmp_path / "a.zip", predictor.card, predictor.session)
        assert (found.tensor, found.shape, found.matches) == ("probabilities", (1, 28), True)
        assert found.max_difference < 1e-6

    def test_other_answers_do_not_match(self, tmp_path: Path) -> None:
        def changed(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return image * GAIN * 0.7

        _, given, _ = CASES["0.4, the published way"]
        path = package_of(tmp_path / "a.zip", NCHW, given, changed)
        with Predictor.load(path, card=described(NCHW), device="cpu") as predictor:
            found = run_test_tensors(path, predictor.card, predictor.session)
        assert [difference.matches for difference in found] == [False, False]
        assert all(difference.max_difference > 1e-3 for difference in found)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("in.npy", None, "holds no file in.npy"),
            ("in.npy", b"no array", "in.npy can't be read"),
            ("out_classes.npy", np.zeros((1, 3), np.float32), r"classes has the shape \(1, 3\)"),
            ("in.npy", np.zeros((4, 4), np.float32), r"in.npy has the shape \(4, 4\)"),
            ("in.npy", np.array(["text"]), "no tensor of numbers"),
        ],
    )
    def test_a_damaged_one_is_reported(self, tmp_path: Path, name: str, content: Any, message: str) -> None:
        path = package_of(tmp_path / "a.zip", *CASES["0.4, the published way"])
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "b.zip", "w") as damaged:
            for member in whole.namelist():
                data = whole.read(member)
                if member == name and isinstance(content, np.ndarray):
                    buffer = io.BytesIO()
                    np.save(buffer, content)
                    data = buffer.getvalue()
                elif member == name:
                    data = content
                if data is not None:
                    damaged.writestr(member, data)
        predictor = Predictor.load(tmp_path / "b.zip", card=described(NCHW), device="cpu")
        with pytest.raises(HpaError, match=message):
            run_test_tensors(tmp_path / "b.zip", predictor.card, predictor.session)

    def test_a_file_that_is_no_package_has_none(self, model: Path) -> None:
        with Predictor.load(model, device="cpu") as predictor, pytest.raises(ModelFileError, match="no package"):
            run_test_tensors(model, predictor.card, predictor.session)


class TestNormalization:
    """An image can be normalized by its own values."""

    @pytest.mark.parametrize("by", ["colour", "image"])
    @pytest.mark.parametrize("kind", ["scale_range", "zero_mean_unit_variance"])
    def test_the_values_are_the_image_s_own(self, kind: Any, by: Any) -> None:
        blend = ((1.0, 0.0), (0.0, 1.0))
        form = Preprocessing(channels=("green", "blue"), blend=blend, size=None)
        own = replace(form, normalization=Normalization(kind=kind, by=by, low=2, high=98))
        image, axes = form(PLANES).astype(np.float64), (0, 1) if by == "colour" else None
        start, end = np.percentile(image, (2, 98), axis=axes)
        if kind == "zero_mean_unit_variance":
            start, end = image.mean(axis=axes), image.mean(axis=axes) + image.std(axis=axes)
        np.testing.assert_allclose(own(PLANES), (image - start) / (end - start), atol=1e-4)
        after = replace(own, mean=(0.5, 0.25), deviation=(2.0, 4.0))
        np.testing.assert_allclose(after(PLANES), (own(PLANES) - [0.5, 0.25]) / [2.0, 4.0], atol=1e-5)
        assert np.isfinite(own(np.zeros((4, 20, 20), np.uint8))).all()

    def test_a_card_keeps_it(self) -> None:
        form = Preprocessing(normalization=Normalization(kind="scale_range", low=1.0, by="colour"))
        card = ModelCard(name="a", architecture="b", preprocessing=form)
        assert ModelCard.from_json(card.to_json()).preprocessing == form
        assert '"schema_version": "2.0"' in card.to_json()
        plain = replace(card, preprocessing=Preprocessing())
        assert "normalization" not in plain.to_json()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"low": 50, "high": 50}, "percentiles that are not in order"),
            ({"high": 101}, "percentiles that are not in order"),
            ({"epsilon": -1.0}, "epsilon"),
        ],
    )
    def test_numbers_that_make_no_sense_are_refused(self, changes: Any, message: str) -> None:
        form = Preprocessing(normalization=Normalization(kind="scale_range", **changes))
        with pytest.raises(ModelCardError, match=message):
            ModelCard(name="a", architecture="b", preprocessing=form).check()

    def test_a_model_can_t_do_it_itself(self) -> None:
        form = Preprocessing(normalization=Normalization(kind="scale_range"), place="graph")
        with pytest.raises(ModelCardError, match="normalizes each image by its own values"):
            ModelCard(name="a", architecture="b", preprocessing=form).check()


def test_inspect_runs_the_test_tensors(tmp_path: Path) -> None:
    interface, given, compute = CASES["0.5, percentiles, then linear"]
    path = package_of(tmp_path / "a.zip", interface, given, compute)
    card = completed(path, interface)
    command = ["inspect", str(path), "--card", str(card), "--test"]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "test of classes: as expected, differs by" in done.stdout
    assert "test of features: as expected, differs by" in done.stdout
    assert "scale_range: percentiles" in done.stdout
    with zipfile.ZipFile(path) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    expected = np.load(io.BytesIO(parts["out_classes.npy"]))
    changed = io.BytesIO()
    np.save(changed, 1 - expected)
    parts["out_classes.npy"] = changed.getvalue()
    with zipfile.ZipFile(path, "w") as package:
        for name, content in parts.items():
            package.writestr(name, content)
    done = CliRunner().invoke(main, [*command, "--json"], catch_exceptions=False)
    assert done.exit_code == 1
    assert [found["matches"] for found in json.loads(done.stdout)["test_tensors"]] == [False, True]
