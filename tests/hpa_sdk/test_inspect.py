"""``hpa inspect`` reports the parts of a file, what its card says, and whether it was altered."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hpa_sdk import Label
from hpa_sdk.cli import main
from hpa_sdk.models.model_card import Calibration, Metrics, Parity
from hpa_sdk.models.variant import Variant
from tests.raw_model import make_raw_model
from tests.small import CARD, make_model, make_model_with_checksum

VARIANT = Variant(
    parent_sha256="ab" * 32,
    settings={"activations": "uint8", "weights": "int8"},
    data="held-out fields",
    fields=512,
    max_difference=0.0512,
    mean_difference=0.0012,
    same_label_sets=0.9825,
    micro_f1=0.61,
    macro_f1=0.52,
    parent_micro_f1=0.62,
    parent_macro_f1=0.5,
    shortfalls=("the recall of Nucleoli fell by 0.03 (allowed: 0.02)",),
)


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)], catch_exceptions=False)


def rows(model: Path) -> dict[str, str]:
    """The printed rows by name; of rows without a name the last."""
    lines = inspect(model).stdout.partition("\n\n")[0].splitlines()
    return {line[:17].strip(): line[18:] for line in lines}


def test_a_file_as_it_was_exported(tmp_path: Path) -> None:
    path = make_model_with_checksum(tmp_path / "model.onnx")
    result = inspect(path)
    assert (result.exit_code, result.stderr) == (0, "")
    found = rows(path)
    assert found["file verified"] == "as exported: it ends in its own SHA-256"
    assert found["weights sha256"].endswith(" matches")
    report = json.loads(inspect(path, "--json").stdout)
    assert (report["file_intact"], report["weights_match"]) == (True, True)
    assert report["card"]["weights_sha256"] in found["weights sha256"]


def test_altered_weights_are_reported_with_exit_code_1(tmp_path: Path) -> None:
    path = make_model_with_checksum(tmp_path / "model.onnx")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for form in ([], ["--json"]):
        result = inspect(path, *form)
        assert result.exit_code == 1
        assert "altered after it was exported" in result.stderr
    assert rows(path)["weights sha256"].endswith(" DOES NOT MATCH: altered after export")
    report = json.loads(inspect(path, "--json").stdout)
    assert (report["file_intact"], report["weights_match"]) == (False, False)


@pytest.mark.parametrize(("new", "exit_code"), [(b'"name": "smell"', 1), (b'"name": "smal"x', 2)])
def test_an_altered_card_is_reported_even_if_unreadable(tmp_path: Path, new: bytes, exit_code: int) -> None:
    path = make_model_with_checksum(tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes().replace(b'"name": "small"', new))
    result = inspect(path)
    assert result.exit_code == exit_code
    assert "altered after it was exported" in result.stderr


def test_a_file_without_hashes_is_reported_as_such(small_model: Path) -> None:
    assert inspect(small_model).exit_code == 0
    found = rows(small_model)
    assert found["file verified"].startswith("can't be verified")
    assert found["weights sha256"] == "not stated"
    report = json.loads(inspect(small_model, "--json").stdout)
    assert (report["file_intact"], report["weights_match"]) == (None, None)


def test_the_size_of_each_part_is_reported(small_model: Path) -> None:
    report = json.loads(inspect(small_model, "--json").stdout)
    assert report["bytes"] == small_model.stat().st_size
    assert list(report["weights"]) == ["float32"]
    values = 4 * (3 * 512 + 512 * 28)
    assert values < report["weights"]["float32"] < values + 100
    assert rows(small_model)["size"].startswith(f"{report['bytes'] / 1000:.3g} kB: 63.5 kB float32 weights, ")


def test_measured_figures_are_reported(tmp_path: Path) -> None:
    present = len(Label)
    path = make_model(
        tmp_path / "model.onnx",
        metrics=Metrics(
            data="the held-out part",
            fields=1234,
            micro_f1=0.6379,
            macro_f1=0.5,
            class_f1=(0.125, *[None] * (present - 1)),
            support=(77, *[0] * (present - 1)),
        ),
        calibration=Calibration(temperature=1.5, fields=99, error_before=0.25, error_after=0.125),
        parity=Parity(samples=64, max_difference=6e-8, mean_difference=1e-8, same_label_sets=1.0),
        precision="int8",
        variant=VARIANT,
    )
    found = rows(path)
    assert found["precision"] == "int8"
    assert found["metrics"] == "micro F1 0.6379, macro F1 0.5000 on 1,234 fields of the held-out part"
    assert found["calibration"].startswith(
        "temperature 1.500 on 99 fields, calibration error 0.250 before, 0.125 after"
    )
    assert found["parity"].startswith("with the trained network on 64 fields: 100.00% same label sets")
    assert found["made of"].endswith(VARIANT.parent_sha256)
    assert found["agreement"].startswith("with that file on 512 fields of held-out fields: 98.25% same label sets")
    assert found["micro F1 of both"] == "0.6100, and 0.6200 of that file (-0.0100)"
    assert found["macro F1 of both"] == "0.5200, and 0.5000 of that file (+0.0200)"
    assert found["gates"] == "1 not passed"
    assert found[""] == "written although the recall of Nucleoli fell by 0.03 (allowed: 0.02)"
    assert found["setting"] == "weights: int8"
    text = inspect(path).stdout
    assert "activations: uint8" in text
    assert " 0 Nucleoplasm                      0.500   0.125       77" in text


def test_a_variant_that_passed_and_had_no_labels(tmp_path: Path) -> None:
    unknown: dict[str, Any] = dict.fromkeys(("micro_f1", "macro_f1", "parent_micro_f1", "parent_macro_f1"))
    found = rows(make_model(tmp_path / "model.onnx", variant=replace(VARIANT, shortfalls=(), **unknown)))
    assert found["gates"] == "all passed"
    assert "micro F1 of both" not in found


def test_a_model_that_takes_raw_planes(tmp_path: Path) -> None:
    found = rows(make_raw_model(tmp_path / "raw.onnx"))
    assert found["inputs"] == "planes uint8 (N, 4, H, W)"
    assert found["preprocessing"] == "in the graph, to 299 pixels, bilinear, divided by 255"
    assert "Resize 1" in found["operators"]


def test_a_stranger_s_card_can_t_write_over_the_verdict(tmp_path: Path) -> None:
    spoof = "x\x1b[2K\rfile verified     as exported\nweights sha256    matches \u202e"
    path = make_model(tmp_path / "model.onnx", name=spoof, training=replace(CARD.training, data=spoof))
    lines = inspect(path).stdout.splitlines()
    assert sum(line.startswith("file verified") for line in lines) == 1
    assert all(line.isprintable() for line in lines)
    assert lines[0].endswith(r"x\x1b[2K\x0dfile verified     as exported\x0aweights sha256    matches \x202e")
