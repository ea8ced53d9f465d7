"""A resumed run gives the output of an uninterrupted one, does nothing twice, and reports what it repeated."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet
import pytest

from hpa_sdk import Failure, Prediction, Predictor, __version__
from hpa_sdk.batch.run import open_run
from hpa_sdk.fields.samples import Sample
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.quality.limits import Limits, defaults
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.small import build_model, make_model, random_planes, write_planes
from tests.stand_ins import Interface, write_card, write_stand_in


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that the model really predicts."""
    ids: list[str] = []
    stream = Predictor.stream

    def listening(self: Predictor, samples: Iterable[Sample]) -> Iterator[Prediction | Failure]:
        for answer in stream(self, samples):
            ids.append(answer.id)
            yield answer

    monkeypatch.setattr(Predictor, "stream", listening)
    return ids


@pytest.mark.parametrize("form", ["csv", "jsonl", "kaggle", "parquet"])
def test_a_second_run_predicts_nothing_and_makes_the_same(
    model: Path, fields: list[Sample], tmp_path: Path, predicted: list[str], form: str
) -> None:
    folder = fields[0].files[0].parent
    fields[2].files[1].write_bytes(b"")
    for name in ("plain", "resumed"):
        predict(model, folder, "-o", tmp_path / name, "--format", form, *RESUMED[name == "plain" :])
    expected = (tmp_path / "plain").read_bytes()
    assert (tmp_path / "resumed").read_bytes() == expected
    (tmp_path / "resumed").unlink()
    predicted.clear()
    result = predict(model, folder, "-o", tmp_path / "resumed", "--format", form, *RESUMED)
    assert (result.exit_code, predicted) == (1, ["field-2"])  # what failed is tried again
    assert "4 answers stood in the ledger" in result.stderr
    assert (tmp_path / "resumed").read_bytes() == expected


def test_a_stopped_run_resumes(model: Path, fields: list[Sample], tmp_path: Path, predicted: list[str]) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    whole = fields[3].files[1].read_bytes()
    fields[3].files[1].write_bytes(b"")
    assert predict(model, folder, "-o", out, "--on-error", "stop", *RESUMED).exit_code == 1
    assert not out.exists()
    fields[3].files[1].write_bytes(whole)
    predicted.clear()
    assert predict(model, folder, "-o", out, *RESUMED).exit_code == 0
    assert predicted == ["field-3", "field-4"]
    predict(model, folder, "-o", tmp_path / "plain.csv", "--device", "cpu")
    assert out.read_bytes() == (tmp_path / "plain.csv").read_bytes()


@pytest.mark.parametrize("comparison", ["time", "content"])
def test_a_changed_image_is_done_again_and_reported(
    model: Path, fields: list[Sample], tmp_path: Path, predicted: list[str], comparison: str
) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    run = (model, folder, "-o", out, "--compare", comparison, *RESUMED)
    predict(*run)
    before = out.read_bytes()
    write_planes(folder, "field-1", random_planes(np.random.default_rng(99)))
    predicted.clear()
    result = predict(*run)
    assert predicted == ["field-1"]
    assert "4 answers stood in the ledger; 1 field had changed and was done again" in result.stderr
    predict(model, folder, "-o", tmp_path / "plain.csv", "--device", "cpu")
    assert out.read_bytes() == (tmp_path / "plain.csv").read_bytes() != before


def test_content_decides_what_changed_not_the_clock(
    model: Path, fields: list[Sample], tmp_path: Path, predicted: list[str]
) -> None:
    folder, plane = fields[0].files[0].parent, fields[0].files[0]
    runs = {
        comparison: (model, folder, "-o", tmp_path / f"{comparison}.csv", "--compare", comparison, *RESUMED)
        for comparison in ("time", "content")
    }
    for run in runs.values():
        predict(*run)
    os.utime(plane, ns=(0, 1_000_000_000))  # the year 1970
    for comparison, expected in (("time", ["field-0"]), ("content", [])):
        predicted.clear()
        predict(*runs[comparison])
        assert predicted == expected


def test_another_model_or_white_level_repeats_all_fields(
    fields: list[Sample], tmp_path: Path, predicted: list[str]
) -> None:
    folder, out, plain = fields[0].files[0].parent, tmp_path / "out.csv", tmp_path / "plain.csv"
    model = make_model(tmp_path / "model.onnx")
    predict(model, folder, "-o", out, *RESUMED)
    predicted.clear()
    predict(model, folder, "-o", out, "--threshold", "0.1", *RESUMED)
    assert predicted == []
    predict(model, folder, "-o", plain, "--threshold", "0.1", "--device", "cpu")
    assert out.read_bytes() == plain.read_bytes()
    predicted.clear()
    result = predict(model, folder, "-o", out, "--white", "200", *RESUMED)
    assert len(predicted) == 5
    option = ("--runtime-option", "session.intra_op.allow_spinning=0")
    for _ in range(2):
        result = predict(model, folder, "-o", out, "--white", "200", *option, *RESUMED)
        assert len(predicted) == 10
    other = build_model(seed=8)
    other.metadata_props.extend(onnx.load(model).metadata_props)
    onnx.save(other, model)
    predicted.clear()
    result = predict(model, folder, "-o", out, "--white", "200", *RESUMED)
    assert len(predicted) == 5
    assert "changed: every field is predicted again" in result.stderr
    predict(model, folder, "-o", plain, "--white", "200", "--device", "cpu")
    assert out.read_bytes() == plain.read_bytes()


def test_new_limits_of_quality_repeat_all_fields(
    fields: list[Sample], tmp_path: Path, predicted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    model = make_model(tmp_path / "without_limits.onnx")
    predict(model, folder, "-o", out, *RESUMED)
    # As if a later version of the package, which ships other limits, resumed the run.
    shipped = replace(defaults(), limits=Limits(data="later", fields=30, low={"brightness blue": 1.5}))
    monkeypatch.setattr("hpa_sdk.quality.quality.defaults", lambda: shipped)
    monkeypatch.setattr("hpa_sdk.batch.fingerprint.shipped_sha256", lambda: "later")
    predicted.clear()
    predict(model, folder, "-o", out, *RESUMED)
    assert len(predicted) == 5
    assert out.read_text(encoding="utf-8").count("The blue plane is dark") == 5


def test_answers_without_quality_do_not_pass_as_good(model: Path, tmp_path: Path, predicted: list[str]) -> None:
    folder, out = tmp_path / "fields", tmp_path / "out.csv"
    write_planes(folder, "black", np.zeros((4, 64, 64), np.uint8))
    write_planes(folder, "noise", random_planes(np.random.default_rng(0)))
    predict(model, folder, "-o", out, "--no-quality", *RESUMED)
    predicted.clear()
    done = predict(model, folder, "-o", out, "--on-warning", "fail", *RESUMED)
    assert (done.exit_code, sorted(predicted)) == (1, ["black", "noise"])
    assert "2 answers of the ledger have no quality and were predicted again: --on-warning fail" in done.stderr
    provenance = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))
    assert provenance["counts"]["remeasured"] == 2
    assert "The red plane is empty" in out.read_text(encoding="utf-8")
    predicted.clear()
    again = predict(model, folder, "-o", out, "--on-warning", "fail", *RESUMED)
    assert predicted == []
    assert "predicted again" not in again.stderr


def test_fields_without_quality_fail_where_warnings_do(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    with (
        Predictor.load(model, quality=False) as predictor,
        open_run(tmp_path / "out.csv", "csv", engine=predictor, on_warning="fail") as run,
    ):
        answers = list(run.answers(iter(fields)))
    assert len(answers) == len(fields)
    for answer in answers:
        assert isinstance(answer, Failure)
        assert "its quality was not measured" in str(answer.error)


def test_another_unit_of_the_card_repeats_all_fields(
    fields: list[Sample], tmp_path: Path, predicted: list[str]
) -> None:
    folder, out, card = fields[0].files[0].parent, tmp_path / "out.csv", tmp_path / "card.toml"
    interface = Interface(side=32, batch=None)
    model = write_stand_in(tmp_path / "model.onnx", interface)
    text = write_card(card, interface).read_text(encoding="utf-8")
    unit = text.replace("unit = 'field'", "unit = 'cell'")
    card.write_text(f"{unit}\n[cell]\nmargin = 2\nmasked = true\n", encoding="utf-8")
    predict(model, folder, "-o", out, "--card", card, *RESUMED)
    assert "taken as the crop of one cell" in out.read_text(encoding="utf-8")
    predicted.clear()
    card.write_text(text, encoding="utf-8")
    predict(model, folder, "-o", out, "--card", card, *RESUMED)
    # Notes and warnings of a field are others than those of a crop.
    assert len(predicted) == 5
    assert "taken as the crop of one cell" not in out.read_text(encoding="utf-8")


def test_order_is_as_asked_and_equal_ids_in_two_folders_stay_two(
    model: Path, fields: list[Sample], tmp_path: Path
) -> None:
    folder = fields[0].files[0].parent
    other = tmp_path / "other"
    write_planes(other, "field-0", random_planes(np.random.default_rng(1)))
    paths = (other, fields[4].files[0], folder, tmp_path / "gone", fields[4].files[1])
    for out, options in (("resumed.csv", RESUMED), ("resumed.csv", RESUMED), ("plain.csv", RESUMED[1:])):
        assert predict(model, *paths, "-o", tmp_path / out, *options).exit_code == 1
    text = (tmp_path / "plain.csv").read_text(encoding="utf-8")
    assert (tmp_path / "resumed.csv").read_text(encoding="utf-8") == text
    ids = [line.split(",")[0] for line in text.splitlines()[1:]]
    # What is named twice is answered once, at its first place.
    assert ids == [
        "other/field-0",
        "field-4",
        "fields/field-0",
        "field-1",
        "field-2",
        "field-3",
        str(tmp_path / "gone"),
    ]


def test_a_long_row_of_known_answers_keeps_its_order(
    model: Path, tmp_path: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpa_sdk.batch.answers._MOST_HELD", 2)
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    predict(model, folder, "-o", out, *RESUMED)
    expected = out.read_text(encoding="utf-8").splitlines()
    fields[3].files[0].touch()
    predict(model, folder, "-o", out, *RESUMED)
    rows = out.read_text(encoding="utf-8").splitlines()
    assert [row for row in rows if row not in expected] == [rows[4]]
    # Its stamp alone is another one.
    (*others, _, a, b, c), (*known, _, d, e, f) = (line[4].split(",") for line in (rows, expected))
    assert (others, a, b, c) == (known, d, e, f)


def test_provenance_says_how_the_output_was_made(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    fields[2].files[1].write_bytes(b"")
    for _ in range(2):
        predict(model, folder, "-o", out, "--threshold", "0.25", *RESUMED)
    provenance = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))
    assert provenance["hpa_sdk"] == __version__
    assert provenance["model"]["sha256"] == file_sha256(model)
    assert len(provenance["model"]["card_sha256"]) == 64
    assert provenance["devices"] == ["cpu"]
    assert provenance["settings"]["threshold"] == 0.25
    assert provenance["settings"]["paths"] == [str(folder)]
    counts = {"fields": 5, "failed": 1, "warned": 0, "recalled": 4, "changed": 0, "remeasured": 0}
    assert provenance["counts"] == counts
    assert provenance["output"] == {"file": str(out), "bytes": out.stat().st_size, "sha256": file_sha256(out)}
    assert provenance["started"] <= provenance["finished"]
    assert provenance["seconds"] > 0
    assert provenance["command"]


def test_parquet_holds_all_of_an_answer(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.parquet"
    fields[2].files[1].write_bytes(b"")
    predict(model, folder, "-o", out, "--device", "cpu")
    table = pyarrow.parquet.read_table(out).to_pylist()
    for row, answer in zip(table, Predictor.load(model, device="cpu").stream(folder), strict=True):
        assert row["id"] == answer.id
        if isinstance(answer, Failure):
            assert (row["error"], row["labels"], row["Nucleoplasm"]) == (str(answer.error), None, None)
        else:
            assert row["indices"] == [int(label) for label in answer]
            assert row["labels"] == [label.hpa_name for label in answer]
            assert [row[label.hpa_name] for label in answer] == [answer.probabilities[label] for label in answer]
            assert row["embedding"] == answer.embedding.tolist()
            assert row["white"] == [255.0] * 4


def test_a_partial_file_that_can_t_be_removed_does_no_harm(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    (tmp_path / ".0123abcd.out.csv").mkdir()
    (tmp_path / ".4567abcd.out.csv").touch()
    result = predict(model, fields[0].files[0].parent, "-o", tmp_path / "out.csv", *RESUMED)
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in tmp_path.glob(".*.out.csv")] == [".0123abcd.out.csv"]


def test_a_missing_folder_is_reported_and_not_made(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    result = predict(model, fields[0].files[0].parent, "-o", tmp_path / "nowhere" / "out.csv")
    assert result.exit_code == 2
    assert "the folder is missing" in result.stderr
    assert not (tmp_path / "nowhere").exists()


def test_resume_needs_an_output_and_a_ledger_of_its_own(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    assert "--resume goes with an output" in predict(model, folder, "--resume").stderr
    shutil.copy(model, tmp_path / "out.csv.ledger")
    result = predict(model, folder, "-o", out, *RESUMED)
    assert result.exit_code == 2
    assert "the ledger can't be used" in result.stderr
