"""The commands answer on stdout or in a file, log on stderr, and end with the documented exit code."""

import csv
import json
import sys
from pathlib import Path

import onnxruntime
import pytest
from click.testing import CliRunner, Result

from hpa_sdk import Predictor, Sample, __version__
from hpa_sdk.cli import main
from hpa_sdk.inference.int8_overflow import int8_overflows
from hpa_sdk.labels import Label
from tests.small import make_model


def hpa(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_predict_writes_what_the_api_answers(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    folder = fields[0].files[0].parent
    out = tmp_path / "out.csv"
    result = hpa("predict", model, folder, "-o", out, "--device", "cpu")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    found = rows(out.read_text(encoding="utf-8"))
    expected = Predictor.load(model, device="cpu").predict(folder)
    assert [row["id"] for row in found] == [prediction.id for prediction in expected]
    assert [row["labels"] for row in found] == [";".join(map(str, prediction)) for prediction in expected]
    assert not any(row["error"] for row in found)


def test_predict_answers_on_stdout(model: Path, fields: list[Sample]) -> None:
    result = hpa("predict", model, *fields[1].files[:1], fields[0].files[0], "--device", "cpu", "--format", "kaggle")
    assert result.exit_code == 0
    assert [row["Id"] for row in rows(result.stdout)] == ["field-1", "field-0"]


def test_the_format_follows_the_file(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert hpa("predict", model, fields[0].files[0].parent, "-o", out, "--device", "cpu").exit_code == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [sample.id for sample in fields]


def test_a_bad_field_is_a_row_with_its_reason_and_exit_code_1(
    model: Path, fields: list[Sample], tmp_path: Path
) -> None:
    fields[2].files[1].write_bytes(b"")
    out = tmp_path / "out.csv"
    result = hpa("predict", model, fields[0].files[0].parent, tmp_path / "gone", "-o", out, "--device", "cpu")
    assert result.exit_code == 1
    found = rows(out.read_text(encoding="utf-8"))
    assert [bool(row["error"]) for row in found] == [False, False, True, False, False, True]
    assert str(fields[2].files[1]) in found[2]["error"]
    assert found[5]["id"] == str(tmp_path / "gone")
    assert "2 fields failed" in result.stderr


def test_on_error_stop_ends_the_run_and_writes_nothing(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    fields[2].files[1].write_bytes(b"")
    out = tmp_path / "out.csv"
    result = hpa("predict", model, fields[0].files[0].parent, "-o", out, "--on-error", "stop", "--device", "cpu")
    assert result.exit_code == 1
    assert "the file is empty" in result.stderr
    assert not out.exists()


def test_what_can_t_start_ends_with_exit_code_2(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = fields[0].files[0].parent
    out = tmp_path / "out.csv"
    bare = make_model(tmp_path / "bare.onnx", card=None)
    for arguments, message in (
        ((model, tmp_path / "empty"), "the folder holds no sample"),
        ((model, tmp_path / "gone"), "no sample lies here"),
        ((tmp_path / "gone.onnx", folder), "no such file"),
        ((fields[0].files[0], folder), "no ONNX model"),
        ((bare, folder), "carries no card"),
        ((model, folder, "--device", "gpu"), "is no device"),
        ((model, folder, "--threshold", "2"), "Invalid value"),
        ((model, folder, "--white", "bright"), "Invalid value"),
        ((model,), "Missing argument"),
        ((model, folder, "-o", tmp_path / "out.xlsx"), "name it with --format"),
    ):
        result = hpa("predict", "-o", out, *arguments)
        assert result.exit_code == 2, arguments
        assert message in result.stderr
        assert result.stdout == ""
        assert not out.exists()


def test_thresholds_white_root_and_recursion_reach_the_predictor(
    model: Path, fields: list[Sample], tmp_path: Path
) -> None:
    folder = fields[0].files[0].parent
    table = tmp_path / "ids.csv"
    table.write_text("Id\nfield-3\n", encoding="utf-8")
    (row,) = rows(hpa("predict", model, table, "--root", folder, "--threshold", "0", "--device", "cpu").stdout)
    assert row["indices"].split() == [str(int(label)) for label in Label]
    assert hpa("predict", model, tmp_path, "--device", "cpu").exit_code == 2
    assert len(rows(hpa("predict", model, tmp_path, "-r", "--device", "cpu").stdout)) == 5


@pytest.mark.parametrize(
    ("options", "thresholds"),
    [
        (["--threshold", "CARD", "--white", "DTYPE", "--format", "CSV", "--on-error", "Record"], 0),
        (["--threshold", "Card", "--white", "Percentile", "--engine", "LOCAL", "--compare", "Time"], 0),
        (["--device", "CPU", "--threshold", "0"], 28),
    ],
)
def test_values_are_taken_in_any_capitals(
    model: Path, fields: list[Sample], options: list[str], thresholds: int
) -> None:
    result = hpa("predict", model, fields[0].files[0], *options)
    assert result.exit_code == 0, result.stderr
    (row,) = rows(result.stdout)
    assert len(row["indices"].split()) >= thresholds


def test_help_shows_words_as_they_are_written() -> None:
    for command, shown in (
        ("predict", ["--threshold card|FLOAT", "--white FLOAT|dtype|percentile", "[csv|jsonl|kaggle|parquet]"]),
        ("report", ["--threshold card|FLOAT"]),
        ("bench", ["--white FLOAT|dtype|percentile"]),
        ("watch", ["--threshold card|FLOAT", "--white FLOAT|dtype|percentile", "[do|skip]"]),
    ):
        text = " ".join(hpa(command, "--help").stdout.split())
        assert all(words in text for words in shown), text


def test_one_field_is_counted_as_one(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    messages = [hpa("predict", model, fields[0].files[0], *gone).stderr for gone in ([tmp_path / "x"], [tmp_path, "y"])]
    assert "\n1 field failed; the output says why." in messages[0]
    assert "\n2 fields failed; the output says why." in messages[1]


def test_inspect_shows_the_card(small_model: Path) -> None:
    result = hpa("inspect", small_model)
    assert result.exit_code == 0
    for text in ("small", "opset 18", "image float32 (N, 299, 299, 3)", "Rods & rings", "0.500", "MatMul 2"):
        assert text in result.stdout
    report = json.loads(hpa("inspect", small_model, "--json").stdout)
    assert report["card"]["labels"][27] == "Rods & rings"
    assert report["opset"] == 18


def test_inspect_refuses_what_is_no_model(tmp_path: Path) -> None:
    assert hpa("inspect", tmp_path / "gone.onnx").exit_code == 2


def test_doctor_names_the_device_and_why_no_better_one() -> None:
    report = json.loads(hpa("doctor", "--json").stdout)
    assert report["hpa_sdk"] == __version__
    assert report["onnxruntime"].endswith(onnxruntime.__version__)
    assert set(report["devices"]) == {"tensorrt", "cuda", "openvino", "cpu"}
    assert report["devices"]["cpu"] is None
    assert report["devices"][report["auto"]] is None
    assert report["int8"] in {"sums in 16 bits (no VNNI)", "sums in 32 bits"}
    text = hpa("doctor").stdout
    assert f"device='auto' would use: {report['auto']}" in text
    for kind, reason in report["devices"].items():
        assert f"{kind:<10} {reason or 'works'}" in text


def test_doctor_answers_without_a_runtime_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    int8_overflows.cache_clear()
    report = json.loads(hpa("doctor", "--json").stdout)
    int8_overflows.cache_clear()
    assert report["onnxruntime"] == "not installed"
    assert report["int8"].startswith("unknown")
    assert (report["devices"]["openvino"] is None) == (report["openvino"] != "not installed")
    assert "onnxruntime" in report["devices"]["cpu"]


@pytest.mark.parametrize("command", ["predict", "inspect", "doctor"])
def test_every_command_has_help(command: str) -> None:
    assert hpa(command, "--help").exit_code == 0
    assert command in hpa("--help").stdout


def test_version() -> None:
    assert hpa("--version").stdout == f"hpa, version {__version__}\n"
    assert hpa("dance").exit_code == 2


def test_an_option_reaches_the_runtime(
    model: Path, fields: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("HPA_CACHE", "")
    arguments = ["predict", model, fields[0].files[0].parent, "--device", "openvino", "-o", tmp_path / "out.csv"]
    assert hpa(*arguments, "--runtime-option", "INFERENCE_PRECISION_HINT=f32").exit_code == 0
    for option, reason in (("NONSENSE=1", "NONSENSE"), ("=1", "not of the form NAME=VALUE"), ("bf16", "NAME=VALUE")):
        refused = hpa(*arguments, "--runtime-option", option)
        assert refused.exit_code == 2
        assert reason in refused.stderr
