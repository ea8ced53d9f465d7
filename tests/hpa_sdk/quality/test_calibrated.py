"""Calibrated probabilities are the card's temperature applied, with the labels that the card's thresholds give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hpa_sdk import Predictor, Sample
from hpa_sdk.cli import main
from hpa_sdk.errors import SettingError
from hpa_sdk.models.model_card import Calibration
from hpa_sdk.prediction import with_temperature
from hpa_sdk.results.results_file import read_results
from tests.small import CARD, make_model

TEMPERATURE = 2.5


@pytest.fixture
def calibrated_model(tmp_path: Path) -> Path:
    calibration = Calibration(temperature=TEMPERATURE, fields=100, error_before=0.1, error_after=0.02)
    return make_model(tmp_path / "calibrated.onnx", card=replace(CARD, calibration=calibration, thresholds=(0.3,) * 28))


def test_the_temperature_is_applied_and_labels_stay(calibrated_model: Path, fields: list[Sample]) -> None:
    plain = Predictor.load(calibrated_model, device="cpu").predict(fields)
    for before, after in zip(
        plain, Predictor.load(calibrated_model, device="cpu", calibrated=True).predict(fields), strict=True
    ):
        p = before.probabilities.astype(float)
        expected = 1 / (1 + ((1 - p) / p) ** (1 / TEMPERATURE))
        np.testing.assert_allclose(after.probabilities, expected, atol=1e-6)
        assert after.labels == before.labels
        assert after.thresholds[0] == pytest.approx(1 / (1 + (0.7 / 0.3) ** (1 / TEMPERATURE)))
        assert "calibrated with the temperature 2.5" in after.notes[-1]
        assert before.notes == ()


def test_a_threshold_of_1_is_reached_by_1_alone() -> None:
    probabilities = np.array([0, 1e-9, 0.5, 0.999, 0.9999999, 1], np.float32)
    for temperature in (0.05, 0.3, 2.5):
        calibrated = with_temperature(probabilities, temperature)
        assert ((calibrated >= 1) == (probabilities >= 1)).all()
        assert ((calibrated <= 0) == (probabilities <= 0)).all()
        assert (np.diff(calibrated) >= 0).all()


def test_a_given_threshold_counts_for_calibrated_ones(calibrated_model: Path) -> None:
    predictor = Predictor.load(calibrated_model, device="cpu", calibrated=True, threshold=0.4)
    assert predictor.thresholds.tolist() == pytest.approx([0.4] * 28)


def test_a_card_without_calibration_is_refused(small_model: Path) -> None:
    with pytest.raises(SettingError, match="no temperature"):
        Predictor.load(small_model, device="cpu", calibrated=True)


def test_a_resumed_run_does_not_mix_them(calibrated_model: Path, fields: list[Sample], tmp_path: Path) -> None:
    out, folder = tmp_path / "out.csv", fields[0].files[0].parent
    arguments = ["predict", str(calibrated_model), str(folder), "-o", str(out), "--resume", "--device", "cpu"]
    CliRunner().invoke(main, arguments)
    plain = [result.probabilities for result in read_results(out)]
    done = CliRunner().invoke(main, [*arguments, "--calibrated"])
    assert (done.exit_code, "every field is predicted again" in done.stderr) == (0, True)
    assert [result.probabilities for result in read_results(out)] != plain
