"""Each format has what its readers expect."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from hpa_sdk.errors import ModelCardError, OutputError, PlaneError
from hpa_sdk.files.file_state import FileStamp, FileState
from hpa_sdk.labels import Label, LabelScheme
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.result import columns
from hpa_sdk.results.writers import ORIGIN_COLUMNS, WRITERS, open_writer

PROBABILITIES = np.random.default_rng(0).random(28).astype(np.float32)


@pytest.fixture
def answers() -> list[Prediction | Failure]:
    prediction = Prediction.from_probabilities(
        PROBABILITIES.copy(),
        id="fält, 1",
        thresholds=np.full(28, 0.8, np.float32),
        embedding=np.zeros(512, np.float32),
        white=np.full(4, 4095, np.float32),
    )
    return [prediction, Failure("2", PlaneError("the file is empty", where="2_red.png", remedy="Copy it again."))]


def written(path: Path, form: str, answers: list[Prediction | Failure]) -> str:
    with open_writer(path, form) as writer:
        for answer in answers:
            writer.write(answer)
    assert b"\r" not in path.read_bytes()
    return path.read_text(encoding="utf-8")


def test_csv(tmp_path: Path, answers: list[Prediction | Failure]) -> None:
    rows = list(csv.DictReader(written(tmp_path / "a.csv", "csv", answers).splitlines()))
    assert list(rows[0]) == ["id", "labels", "indices", "error", *(label.hpa_name for label in Label), *ORIGIN_COLUMNS]
    expected = np.flatnonzero(np.float32(0.8) <= PROBABILITIES)
    assert rows[0]["id"] == "fält, 1"
    assert rows[0]["labels"] == ";".join(Label(int(at)).hpa_name for at in expected)
    assert rows[0]["indices"] == " ".join(map(str, expected))
    assert rows[0]["error"] == ""
    found = np.array([rows[0][label.hpa_name] for label in Label], np.float32)
    np.testing.assert_array_equal(found, PROBABILITIES)
    assert rows[1]["id"] == "2"
    assert rows[1]["error"] == "2_red.png: the file is empty. Copy it again."
    assert {rows[1][column] for column in (*(label.hpa_name for label in Label), *ORIGIN_COLUMNS, "labels")} == {""}


@pytest.mark.parametrize("folder", ["/plates/1", "/plates;new/ä"])
def test_every_form_names_the_files_and_what_they_were(
    tmp_path: Path, answers: list[Prediction | Failure], folder: str
) -> None:
    assert isinstance(answers[0], Prediction)
    stamps = [FileStamp(5, 1, 2**63 - 1, 10**18), FileStamp(7, sha256="ab")]
    files = tuple(FileState(f"{folder}/{at}.png", stamp) for at, stamp in enumerate(stamps))
    answer = replace(answers[0], files=files, notes=("a", "b"))
    (row,) = csv.DictReader(written(tmp_path / "a.csv", "csv", [answer]).splitlines())
    paths = [file.path for file in files]
    assert row["files"] == (json.dumps(paths, ensure_ascii=False) if ";" in folder else ";".join(paths))
    assert row["notes"] == "a;b"
    assert row["stamps"] == "5 1 9223372036854775807 1000000000000000000 -;7 - - - ab"
    assert [FileStamp.of_text(text) for text in row["stamps"].split(";")] == stamps
    line = json.loads(written(tmp_path / "a.jsonl", "jsonl", [answer]))
    assert line["files"] == paths
    assert line["notes"] == ["a", "b"]
    assert [FileStamp(*parts) for parts in line["stamps"]] == stamps
    with open_writer(tmp_path / "a.parquet", "parquet") as writer:
        writer.write(answer)
    (row,) = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert row["files"] == paths
    assert row["notes"] == ["a", "b"]
    assert [FileStamp.of_text(text) for text in row["stamps"]] == stamps


def test_json_lines(tmp_path: Path, answers: list[Prediction | Failure]) -> None:
    first, second = map(json.loads, written(tmp_path / "a.jsonl", "jsonl", answers).splitlines())
    assert first["id"] == "fält, 1"
    assert first["labels"] == [str(label) for label in answers[0]]  # type: ignore[union-attr]
    assert first["white"] == [4095] * 4
    found = np.array([first["probabilities"][label.hpa_name] for label in Label], np.float32)
    np.testing.assert_array_equal(found, PROBABILITIES)
    assert second == {"id": "2", "error": "2_red.png: the file is empty. Copy it again."}


def test_kaggle(tmp_path: Path, answers: list[Prediction | Failure]) -> None:
    expected = " ".join(map(str, np.flatnonzero(np.float32(0.8) <= PROBABILITIES)))
    assert written(tmp_path / "a.csv", "kaggle", answers) == f'Id,Predicted\n"fält, 1",{expected}\n2,\n'


@pytest.mark.parametrize("form", WRITERS)
def test_the_output_appears_whole_or_not_at_all(tmp_path: Path, form: str, answers: list[Prediction | Failure]) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before", encoding="utf-8")

    def interrupted() -> None:
        with open_writer(path, form) as writer:
            writer.write(answers[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["out.txt"]


def test_an_unwritable_path_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path / "gone" / "out.csv", tmp_path, tmp_path / f"{'x' * 300}.csv"):
        with pytest.raises(OutputError) as caught, open_writer(path, "csv"):
            pass
        assert caught.value.where == str(path)


def test_a_disk_that_fills_up_is_an_output_error(
    tmp_path: Path, answers: list[Prediction | Failure], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        written(tmp_path / "out.csv", "csv", answers)
    assert not list(tmp_path.iterdir())


def test_a_file_that_another_program_holds_is_reported(
    tmp_path: Path, answers: list[Prediction | Failure], monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", held)
    with pytest.raises(OutputError, match="Close the program that holds it open"):
        written(tmp_path / "out.csv", "csv", answers)


def test_an_id_that_is_no_unicode_is_written_escaped(tmp_path: Path) -> None:
    failure = Failure("f\udcff", PlaneError("x", remedy="Y."))
    assert written(tmp_path / "out.csv", "csv", [failure]).splitlines()[1].startswith("f\\udcff,")


@pytest.mark.parametrize("form", [*WRITERS, "parquet"])
def test_no_class_has_the_name_of_a_column(form: str, tmp_path: Path, answers: list[Prediction | Failure]) -> None:
    path = tmp_path / f"answers.{form}"
    if form == "parquet":
        with open_writer(path, form) as writer:
            writer.write(answers[0])
        names = parquet.read_schema(path).names
    else:
        first = written(path, form, answers[:1]).splitlines()[0]
        names = list(json.loads(first)) if form == "jsonl" else first.split(",")
    for name in {*names, *columns(), "scheme", "classes"} - {label.hpa_name for label in Label} - {"Predicted"}:
        with pytest.raises(ModelCardError, match="names of the scheme lab can't be used"):
            LabelScheme("lab", ("Filopodia", name)).check()
