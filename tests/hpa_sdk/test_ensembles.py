"""Views and models of an ensemble are averaged in log-odds, and nothing of a single model passes for one."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from click.testing import Result as Invoked
from pyarrow import parquet

from hpa_sdk import Failure, Predictor, Sample, read_planes
from hpa_sdk.cli import main
from hpa_sdk.errors import DeviceError, ModelFileError, SettingError
from hpa_sdk.inference.session import Session
from hpa_sdk.models.model_card import METADATA_KEY, Calibration, ModelCard
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.results.results_file import read_results
from tests.small import CARD, build_model, random_planes

SYMMETRIES = [(turns, mirrored) for mirrored in (False, True) for turns in range(4)]


def write_model(path: Path, seed: int, card: ModelCard = CARD) -> Path:
    """A network with a weight for every pixel, which every view changes."""
    model = build_model(seed, every_pixel=True)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [write_model(tmp_path / f"seed-{seed}.onnx", seed) for seed in (3, 4)]


def run(*arguments: object) -> Invoked:
    return CliRunner().invoke(main, ["predict", *map(str, arguments), "--device", "cpu"])


def mean_of(answers: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    p = np.array([answer.probabilities for answer in answers], float)
    return 1 / (1 + np.exp(-np.log(p / (1 - p)).mean(axis=0))), p.std(axis=0)


def symmetric(planes: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(planes[..., ::-1] if mirrored else planes, turns, (1, 2)) for turns, mirrored in SYMMETRIES]


@pytest.mark.parametrize("views", [4, 8])
def test_views_are_those_of_turned_planes(models: list[Path], fields: list[Sample], views: int) -> None:
    planes = read_planes(fields[0])
    plain = Predictor.load(models[0], device="cpu").predict_planes(symmetric(planes)[:views])
    (answer,) = Predictor.load(models[0], device="cpu", views=views).predict_planes([planes])  # type: ignore[arg-type]
    mean, deviations = mean_of(plain)
    assert deviations.min() > 1e-4
    np.testing.assert_allclose(answer.probabilities, mean, atol=2e-6)
    np.testing.assert_allclose(answer.deviations, deviations, atol=2e-6)
    assert answer.disagreement == pytest.approx(deviations.mean(), abs=1e-6)
    np.testing.assert_array_equal(answer.embedding, plain[0].embedding)
    assert f"the mean of {views} views" in answer.notes


def test_models_are_averaged_in_log_odds(models: list[Path], fields: list[Sample]) -> None:
    single = [Predictor.load(model, device="cpu").predict(fields) for model in models]
    with Predictor.load(models, device="cpu") as ensemble:
        for answer, *alone in zip(ensemble.predict(fields), *single, strict=True):
            mean, deviations = mean_of(alone)
            np.testing.assert_allclose(answer.probabilities, mean, atol=1e-6)
            np.testing.assert_allclose(answer.deviations, deviations, atol=1e-6)
            np.testing.assert_array_equal(answer.embedding, alone[0].embedding)
            assert "the mean of 2 models: small, small" in answer.notes
            assert alone[0].disagreement is None
        assert [other.sha256 for other, _ in ensemble.others] == [file_sha256(models[1])]
    with pytest.raises(SettingError, match="closed"):
        ensemble.predict(fields)


def test_thresholds_are_averaged_too(tmp_path: Path) -> None:
    cards = [replace(CARD, thresholds=(threshold,) * 28) for threshold in (0.2, 0.5)]
    models = [write_model(tmp_path / f"{at}.onnx", at, card) for at, card in enumerate(cards)]
    # The odds are 1/4 and 1; their geometric mean is 1/2.
    assert Predictor.load(models, device="cpu").thresholds.tolist() == pytest.approx([1 / 3] * 28)
    assert Predictor.load(models, device="cpu", threshold=0.3).thresholds.tolist() == pytest.approx([0.3] * 28)
    assert Predictor.load([models[0]] * 2, device="cpu").thresholds.tolist() == pytest.approx([0.2] * 28, abs=1e-8)


def test_each_model_has_its_temperature(tmp_path: Path, fields: list[Sample]) -> None:
    cards = [
        replace(CARD, calibration=Calibration(temperature=t, fields=9, error_before=0.1, error_after=0.0))
        for t in (2.0, 4.0)
    ]
    models = [write_model(tmp_path / f"{at}.onnx", at, card) for at, card in enumerate(cards)]
    single = [Predictor.load(model, device="cpu", calibrated=True).predict(fields) for model in models]
    ensemble = Predictor.load(models, device="cpu", calibrated=True).predict(fields)
    per_call = Predictor.load(models, device="cpu").predict(fields, calibrated=True)
    for answer, called, *alone in zip(ensemble, per_call, *single, strict=True):
        mean, _ = mean_of(alone)
        np.testing.assert_allclose(answer.probabilities, mean, atol=1e-6)
        np.testing.assert_array_equal(answer.probabilities, called.probabilities)
        assert "probabilities are calibrated with the temperatures 2 and 4" in answer.notes


def test_many_fields_come_as_one_by_one(models: list[Path], fields: list[Sample]) -> None:
    (fields[2].files[0]).write_bytes(b"no picture")
    predictor = Predictor.load(models, device="cpu", views=4, batch_size=3, threads=2)
    alone = {at: predictor.predict(field)[0].probabilities for at, field in enumerate(fields) if at != 2}
    answers = list(predictor.stream(fields * 12))
    assert len(answers) == 12 * len(fields)
    for at, answer in enumerate(answers):
        assert isinstance(answer, Failure) == (at % len(fields) == 2)
        if not isinstance(answer, Failure):
            np.testing.assert_allclose(answer.probabilities, alone[at % len(fields)], atol=1e-6)


def test_planes_that_are_no_square_can_be_turned(models: list[Path]) -> None:
    planes = random_planes(np.random.default_rng(0))[:, :40]
    (answer,) = Predictor.load(models[0], device="cpu", views=8).predict_planes([planes])
    plain = Predictor.load(models[0], device="cpu").predict_planes(symmetric(planes))
    np.testing.assert_allclose(answer.probabilities, mean_of(plain)[0], atol=2e-6)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scheme": "own", "labels": tuple(f"class {at}" for at in range(28))}, "classes of own"),
        ({"training": replace(CARD.training, pixel_size=0.08, field_side=512)}, "another pixel size"),
    ],
)
def test_models_of_another_kind_are_refused(
    models: list[Path], tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    other = write_model(tmp_path / "other.onnx", 5, replace(CARD, **change))
    with pytest.raises(SettingError, match=problem) as refused:
        Predictor.load([models[0], other], device="cpu")
    assert refused.value.where == str(other)


def test_models_that_are_open_are_closed_if_another_fails(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = onnx.load(models[1])
    broken.graph.node[-1].op_type = "NoOperatorOfThisName"
    onnx.save(broken, tmp_path / "broken.onnx")
    opened: list[Session] = []

    def warm_up(session: Session) -> None:
        opened.append(session)

    monkeypatch.setattr(Session, "warm_up", warm_up)
    with pytest.raises(ModelFileError, match="can't open the model"):
        Predictor.load([*models, tmp_path / "broken.onnx"], device="cpu")
    assert len(opened) == 2
    for session in opened:
        with pytest.raises(SettingError, match="the model was closed"):
            session.run([session.empty_field()])


def test_a_model_that_fails_to_warm_up_is_closed(models: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Session] = []

    def warm_up(session: Session) -> None:
        opened.append(session)
        if len(opened) == 2:
            raise DeviceError("out of memory", remedy="Take a smaller batch.")

    monkeypatch.setattr(Session, "warm_up", warm_up)
    with pytest.raises(DeviceError, match="out of memory"):
        Predictor.load(models, device="cpu")
    for session in opened:
        with pytest.raises(SettingError, match="the model was closed"):
            session.run([session.empty_field()])


def test_what_does_not_fit_is_refused(models: list[Path]) -> None:
    with pytest.raises(SettingError, match="views=3"):
        Predictor.load(models[0], device="cpu", views=3)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="0 models"):
        Predictor.load([], device="cpu")
    with pytest.raises(SettingError, match="do not fit"):
        Predictor.load(models, device="cpu", sha256=file_sha256(models[0]))
    with pytest.raises(ModelFileError, match="SHA-256"):
        Predictor.load(models, device="cpu", sha256=[file_sha256(models[0])] * 2)
    Predictor.load(models, device="cpu", sha256=list(map(file_sha256, models)))


def test_cells_are_for_one_model(models: list[Path], fields: list[Sample]) -> None:
    with pytest.raises(SettingError, match="cells are predicted by one model"):
        Predictor.load(models, device="cpu").cells(fields)


def test_a_resumed_run_repeats_for_other_members(models: list[Path], fields: list[Sample], tmp_path: Path) -> None:
    out, folder = tmp_path / "out.jsonl", fields[0].files[0].parent
    seen: list[bytes] = []
    for more in ([], ["--views", 8], ["--with", models[1]], ["--with", models[1], "--views", 8]):
        done = run(models[0], folder, "-o", out, "--resume", *more)
        assert done.exit_code == 0, done.stderr
        # What a single model or other members answered counts for none of the fields.
        assert ("0 answers stood in the ledger; 5 fields had changed" in done.stderr) == bool(more)
        assert ("every field is predicted again" in done.stderr) == bool(more)
        seen.append(out.read_bytes())
        again = run(models[0], folder, "-o", out, "--resume", *more)
        assert f"{len(fields)} answers stood in the ledger" in again.stderr
        assert out.read_bytes() == seen[-1]
    assert len(set(seen)) == 4


def test_every_form_has_the_disagreement(models: list[Path], fields: list[Sample], tmp_path: Path) -> None:
    folder = fields[0].files[0].parent
    expected = Predictor.load(models, device="cpu", views=4).predict(folder)
    for form in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"out.{form}"
        assert run(models[0], folder, "-o", out, "--with", models[1], "--views", 4).exit_code == 0
        found = [result.disagreement for result in read_results(out)]
        assert found == pytest.approx([answer.disagreement for answer in expected], rel=1e-4)
        run(models[0], folder, "-o", out)
        assert [result.disagreement for result in read_results(out)] == [None] * len(fields)
        run(models[0], folder, "-o", out, "--with", models[1], "--views", 4)
    first = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert list(first["deviations"].values()) == pytest.approx(expected[0].deviations.tolist(), rel=1e-5)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table["deviations"].to_pylist()[0] == pytest.approx(expected[0].deviations.tolist(), rel=1e-5)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert float(next(csv.DictReader(file))["disagreement"]) == pytest.approx(expected[0].disagreement, rel=1e-4)


def test_the_provenance_names_every_member(models: list[Path], fields: list[Sample], tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    run(models[0], fields[0].files[0].parent, "-o", out, "--with", models[1], "--views", 8)
    written = json.loads(Path(f"{out}.provenance.json").read_text(encoding="utf-8"))
    assert [written["model"]["sha256"], *(other["sha256"] for other in written["others"])] == [
        *map(file_sha256, models)
    ]
    assert (written["views"], written["settings"]["views"]) == (8, "8")


def test_a_report_has_the_thresholds_of_the_run(tmp_path: Path, fields: list[Sample]) -> None:
    calibration = Calibration(temperature=3.0, fields=9, error_before=0.1, error_after=0.0)
    cards = [replace(CARD, thresholds=(threshold,) * 28, calibration=calibration) for threshold in (0.1, 0.3)]
    models = [write_model(tmp_path / f"{at}.onnx", at, card) for at, card in enumerate(cards)]
    out, folder = tmp_path / "out.csv", fields[0].files[0].parent
    for more in (["--calibrated"], ["--with", models[1]]):
        run(models[0], folder, "-o", out, *more)
        thresholds = Predictor.load(models[: len(more)], device="cpu", calibrated=len(more) == 1).thresholds
        for field in make_report(Sources(results=out), page=tmp_path / "page.html"):
            assert field.thresholds == pytest.approx(tuple(thresholds.tolist()))
    assert file_sha256(models[1]) in (tmp_path / "page.html").read_text(encoding="utf-8")
