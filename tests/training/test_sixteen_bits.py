"""With a white level, fitting and judging treat 16-bit planes as they treat 8-bit planes."""

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.small import DEEP_WHITE, copy_at_16_bits
from tests.training.small_fit import answers_of, build_small_network
from training.__main__ import main
from training.data.dataset import read_dataset
from training.data.prepared import fields_to_prepare, prepare
from training.fit.fit import fit
from training.fit.recipe import read_recipe
from training.fit.run_folder import Plan
from training.simulation import simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def of_8_bits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "8 bits"
    simulate(folder, count=12, seed=1, size=64, workers=1)
    return folder


@pytest.fixture(scope="module")
def deep(of_8_bits: Path) -> Path:
    return copy_at_16_bits(of_8_bits, of_8_bits.parent / "16 bits ä")


def fitted(data: Path, out: Path, white: float | None, *, prepared: bool) -> Path:
    recipe = read_recipe("study").adjusted("vgg16", epochs=1, steps_per_epoch=2, validation_fields=4)
    plan = Plan(network="vgg16", recipe=recipe, data=(data,), weights="none", white=white)
    with patch("training.fit.fit.build_network", build_small_network):
        fit(plan, out, prepared=out.parent / f"{out.name} images" if prepared else None)
    return out


@pytest.fixture(scope="module", params=[True, False], ids=["prepared", "decoded"])
def runs(request: pytest.FixtureRequest, of_8_bits: Path, deep: Path) -> tuple[Path, Path]:
    """The fit of the fields of 8 bits, and that of the same of 16."""
    folder = of_8_bits.parent / ("prepared" if request.param else "decoded")
    shallow = fitted(of_8_bits, folder / "shallow", None, prepared=request.param)
    return shallow, fitted(deep, folder / "deep", DEEP_WHITE, prepared=request.param)


def training(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def json_of(*arguments: object) -> Any:
    result = training(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_prepared_images_equal_8_bits_one_file_per_white_level(of_8_bits: Path, deep: Path, tmp_path: Path) -> None:
    rows = np.arange(12)
    expected = prepare(read_dataset(of_8_bits), tmp_path / "8")[rows]
    np.testing.assert_allclose(
        prepare(read_dataset(deep, white=DEEP_WHITE), tmp_path / "16")[rows], expected, atol=2e-5
    )
    assert fields_to_prepare(read_dataset(deep, white=int(DEEP_WHITE)), tmp_path / "16") == 0
    halved = prepare(read_dataset(deep, white=2 * DEEP_WHITE), tmp_path / "16")[rows]
    np.testing.assert_allclose(halved, expected / 2, atol=2e-5)


def test_a_fit_comes_to_the_network_of_8_bits(runs: tuple[Path, Path], of_8_bits: Path) -> None:
    shallow, run = runs
    np.testing.assert_allclose(answers_of(run, of_8_bits), answers_of(shallow, of_8_bits), atol=1e-4)
    assert json.loads((run / "run.json").read_bytes())["white"] == DEEP_WHITE


@pytest.mark.parametrize("runs", [True], indirect=True)
def test_a_fit_is_judged_at_the_white_level(runs: tuple[Path, Path], of_8_bits: Path, deep: Path) -> None:
    shallow, run = runs
    expected = json_of("evaluate", shallow, of_8_bits, "--part", "validation")["evaluation"]
    for level in (["--white", DEEP_WHITE], []):  # Of its own data a run knows the level.
        found = json_of("evaluate", run, deep, "--part", "validation", *level)["evaluation"]
        assert found["micro"] == pytest.approx(expected["micro"], abs=1e-3)
    assert (run / f"evaluation-{deep.name}-validation" / "training_images.png").is_file()


@pytest.mark.parametrize("runs", [True], indirect=True)
def test_two_fits_are_compared_at_the_white_level(runs: tuple[Path, Path], of_8_bits: Path, deep: Path) -> None:
    shallow, run = runs
    expected = json_of("compare", shallow, run, of_8_bits)["comparison"]
    found = json_of("compare", shallow, run, deep)["comparison"]
    for network, as_8_bits in zip(found["networks"], expected["networks"], strict=True):
        assert network["micro_f1"] == pytest.approx(as_8_bits["micro_f1"], abs=1e-3)
    assert [field["predicted"] for field in found["first"]] == [field["predicted"] for field in expected["first"]]


@pytest.mark.parametrize("runs", [True], indirect=True)
def test_fields_of_the_fit_are_known_at_any_white_level(runs: tuple[Path, Path], deep: Path) -> None:
    for level in (DEEP_WHITE, "percentile"):
        result = training("evaluate", runs[1], deep, "--white", level)
        assert (result.exit_code, "was fitted on fields of this data" in result.stderr) == (0, True), result.output


@pytest.mark.parametrize("runs", [True], indirect=True)
def test_other_data_has_no_white_level_until_it_is_given(runs: tuple[Path, Path], deep: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(deep, other)
    lines = (other / "train.csv").read_text(encoding="utf-8").splitlines()
    (other / "train.csv").write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    for command in (["evaluate", runs[1]], ["compare", *runs]):
        result = training(*command, other)
        assert (result.exit_code, "--white" in result.stderr) == (2, True), result.output


def test_a_fit_resumes_only_with_its_own_white_level(deep: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    plan = Plan(network="vgg16", recipe=read_recipe("study").adjusted("vgg16"), data=(deep,), weights="none")
    record = plan.record() | {"white": DEEP_WHITE, "data_fingerprint": read_dataset(deep, white=DEEP_WHITE).fingerprint}
    (out / "run.json").write_text(json.dumps(record), encoding="utf-8")
    options = ["--network", "vgg16", "--weights", "none", "--resume", "--white", "4000"]
    result = training("fit", deep, "--out", out, *options)
    assert (result.exit_code, "another white" in result.stderr) == (2, True), result.output


def test_a_missing_white_level_names_field_and_option(deep: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    result = training("prepare", deep, "--folder", images)
    assert result.exit_code == 2
    assert "--white" in result.stderr
    assert str(deep) in result.stderr.replace("\n", "")
    assert not [file for file in images.glob("*.npy") if file.name.count(".") == 1]
    assert training("prepare", deep, "--folder", images, "--white", DEEP_WHITE).exit_code == 0
    for command in ("fit", "prepare", "evaluate", "compare"):
        assert "--white" in training(command, "--help").stdout
