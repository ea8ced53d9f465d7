"""An adapted file is better on other fields, differs in its last layer alone, and says what was done."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper
from sklearn.metrics import average_precision_score, f1_score

from hpa_sdk import Predictor
from hpa_sdk.adapt.adapt import adapt
from hpa_sdk.adapt.errors import AdaptationError
from hpa_sdk.adapt.temperature import TEMPERATURES
from hpa_sdk.cli import main
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.model_card import Calibration
from tests.hpa_sdk.adapt.reviewed_fields import read_table, write_reviewed, write_table
from tests.small import make_model_with_checksum, write_planes
from tests.stand_ins import OWN_SCHEME, Interface, card_of, write_stand_in

JUDGED = [0, 1, 2]


def macro_f1(model: Path, folder: Path) -> float:
    truth = read_table(folder, 28)[:, JUDGED]
    found = Predictor.load(model, device="cpu").predict(folder / "train.csv")
    predicted = np.stack([one.probabilities >= one.thresholds for one in found])[:, JUDGED]
    return float(f1_score(truth, predicted, average="macro", zero_division=0))


def test_the_file_is_better_on_other_fields(parent: Path, adapted: Path, others: Path) -> None:
    assert macro_f1(adapted, others) > macro_f1(parent, others) + 0.2
    assert macro_f1(adapted, others) > 0.8


def test_only_the_last_layer_and_the_card_differ(parent: Path, adapted: Path) -> None:
    before, after = onnx.load(parent), onnx.load(adapted)
    weights = [{one.name: numpy_helper.to_array(one) for one in model.graph.initializer} for model in (before, after)]
    assert set(weights[1]) - set(weights[0]) == {"last_bias_0"}
    assert [name for name in weights[0] if not np.array_equal(weights[0][name], weights[1][name])] == ["last"]
    changed = np.abs(weights[1]["last"] - weights[0]["last"]).max(axis=0) > 0
    assert set(np.flatnonzero(changed)) <= set(JUDGED) | {5}
    operators = [[node.op_type for node in model.graph.node] for model in (before, after)]
    assert operators[1] == [*operators[0][:-1], "Add", "Sigmoid"]


def test_embedding_and_other_classes_stay(parent: Path, adapted: Path, others: Path) -> None:
    table = others / "train.csv"
    before, after = (Predictor.load(path, device="cpu", verify=True).predict(table) for path in (parent, adapted))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.embedding, other.embedding)
        np.testing.assert_array_equal(one.probabilities[6:], other.probabilities[6:])
        np.testing.assert_array_equal(one.thresholds[6:], other.thresholds[6:])


def test_the_card_says_what_was_done(parent: Path, adapted: Path, reviewed: Path) -> None:
    card = Predictor.load(adapted, device="cpu", verify=True).card
    made = card.adaptation
    assert made is not None
    assert made.parent == "small"
    assert made.parent_sha256 == hashlib.sha256(parent.read_bytes()).hexdigest()
    assert (made.data, made.fields, made.forced) == ("lab", 60, False)
    assert card.parity is None
    assert card.metrics is not None
    assert card.metrics.support[:3] == tuple(read_table(reviewed, 28).sum(axis=0)[:3])
    f1 = made.figures[0]
    truth = read_table(reviewed, 28)
    counted = np.minimum(truth.sum(axis=0), len(truth) - truth.sum(axis=0)) >= 2
    old = Predictor.load(parent, device="cpu").predict(reviewed / "train.csv")
    predicted = np.stack([one.probabilities >= one.thresholds for one in old])
    expected = f1_score(truth[:, counted], predicted[:, counted], average="macro", zero_division=0)
    assert f1.before == pytest.approx(expected, abs=1e-9)
    assert 0 < f1.low < f1.after - f1.before < f1.high
    assert '"schema_version": "1.3"' in card.to_json()
    assert type(card).from_json(card.to_json()) == card


def test_a_model_that_is_right_already_is_kept(tmp_path: Path) -> None:
    calibration = Calibration(temperature=TEMPERATURES[0], fields=24, error_before=0.0, error_after=0.0)
    parent = make_model_with_checksum(tmp_path / "parent.onnx", calibration=calibration)
    folder = write_reviewed(tmp_path / "lab", count=24, seed=2)
    found = Predictor.load(parent, device="cpu").predict(folder / "train.csv")
    write_table(folder, [[int(label) for label in one] for one in found])
    out = tmp_path / "own.onnx"
    with pytest.raises(AdaptationError, match="on 24 fields nothing is better than the old model") as refused:
        adapt(parent, folder, out, device="cpu")
    assert "from 50 on, the last layer is refitted too" in str(refused.value)
    assert not out.exists()
    written = adapt(parent, folder, out, device="cpu", force=True)
    assert written.card.adaptation is not None
    assert written.card.adaptation.forced
    assert "from 50 fields on, and there are 24" in written.not_refitted


def test_no_temperature_is_written_if_none_is_better(tmp_path: Path) -> None:
    # Labels with the probability that the brightness of a plane gives: a refitted layer needs no temperature.
    interface = Interface(scheme=OWN_SCHEME, side=32, width=48, batch=None)
    rng, labels = np.random.default_rng(0), []
    for row, level in enumerate(rng.uniform(20, 235, (120, 4, 1, 1))):
        planes = np.clip(rng.normal(level, 8, (4, 32, 32)), 0, 255).astype(np.uint8)
        write_planes(tmp_path / "lab", f"field-{row:03d}", planes)
        drawn = np.flatnonzero(rng.random(3) < 1 / (1 + np.exp((128 - level.ravel()[:3]) / 25))).tolist()
        labels.append(drawn or [int(rng.integers(3))])
    folder, out = write_table(tmp_path / "lab", labels), tmp_path / "own.onnx"
    outdated = Calibration(temperature=3.0, fields=24, error_before=0.0, error_after=0.0)
    parent, card = write_stand_in(tmp_path / "parent.onnx", interface), card_of(interface, calibration=outdated)
    made = adapt(parent, folder, out, card=card, device="cpu").card
    assert made.adaptation is not None
    assert [change.partition(" of")[0] for change in made.adaptation.changes] == ["thresholds", "last layer"]
    assert made.calibration is None
    with pytest.raises(SettingError, match="no temperature to calibrate with"):
        Predictor.load(out, device="cpu", calibrated=True)


def test_answers_for_known_fields_say_so(
    parent: Path, adapted: Path, reviewed: Path, others: Path, tmp_path: Path
) -> None:
    def known(model: Path | list[Path], fields: Any) -> list[bool]:
        with Predictor.load(model, device="cpu") as predictor:
            found = predictor.predict(fields)
        return [any("was adapted to this field" in note for note in one.notes) for one in found]

    samples = list(find_samples(reviewed / "train.csv"))
    assert known(adapted, samples) == [True] * len(samples)
    assert not any(known(adapted, others / "train.csv") + known(parent, samples))
    for sample in samples[:3]:
        write_planes(tmp_path, sample.id, read_planes(sample), ".tif")
    assert known(adapted, [tmp_path, read_planes(samples[0])]) == [True] * 4
    # The adapted one as the second of an ensemble, too.
    assert known([parent, adapted], samples[:2]) == [True] * 2


def test_a_new_class_is_one_more_output(parent: Path, tmp_path: Path) -> None:
    folder, judged = (write_reviewed(tmp_path / str(seed), seed=seed, last=28) for seed in (0, 1))
    out = tmp_path / "own.onnx"
    command = ["adapt", str(parent), str(folder), "-o", str(out), "--new-class", "Filopodia", "--device", "cpu"]
    completed = CliRunner().invoke(main, command)
    assert completed.exit_code == 0, completed.output
    assert "new class Filopodia" in completed.stderr
    predictor = Predictor.load(out, device="cpu", verify=True)
    assert (predictor.card.scheme, predictor.card.labels[28]) == ("hpa-2018-own", "Filopodia")
    found = predictor.predict(judged / "train.csv")
    scores = [one.probabilities[28] for one in found]
    truth = read_table(judged, 29)
    assert average_precision_score(truth[:, 28], scores) > 0.95
    predicted = [predictor.card.label_scheme[28] in one for one in found]
    assert f1_score(truth[:, 28], predicted) > 0.85


def test_a_new_class_that_cannot_be_told_is_refused(parent: Path, tmp_path: Path) -> None:
    folder = write_reviewed(tmp_path / "lab", count=30)
    truth = read_table(folder, 28)
    new = np.random.default_rng(3).permutation(len(truth))[:8]
    write_table(folder, [[*np.flatnonzero(row), *([28] if at in new else [])] for at, row in enumerate(truth)])
    with pytest.raises(AdaptationError, match="not better than chance"):
        adapt(parent, folder, tmp_path / "own.onnx", device="cpu", new_classes=["Noise"])


def test_the_command_reports_fields_that_are_gone(parent: Path, tmp_path: Path) -> None:
    folder = write_reviewed(tmp_path / "lab", count=60)
    (folder / "field-003_green.png").unlink()
    out = tmp_path / "own.onnx"
    completed = CliRunner().invoke(main, ["adapt", str(parent), str(folder), "-o", str(out), "--device", "cpu"])
    assert completed.exit_code == 1
    assert "from 59 fields of lab" in completed.stderr
    assert "not used" in completed.stderr
    assert "field-003_green.png" in completed.stderr
    inspected = CliRunner().invoke(main, ["inspect", str(out)]).stdout
    assert "held out          macro F1" in inspected
