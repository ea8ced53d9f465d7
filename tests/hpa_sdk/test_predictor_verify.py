"""A file that was altered after its export is detected."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner

from hpa_sdk import Predictor, Sample
from hpa_sdk.cli import main
from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.checksum import CHECKSUM_KEY, add_checksum, check_checksum
from hpa_sdk.models.contract import check_model, read_card
from hpa_sdk.models.onnx_file import read_onnx
from tests.small import make_model, make_model_with_checksum

DAMAGE = "altered after it was exported|can't be verified"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return make_model_with_checksum(tmp_path / "exported.onnx")


def load(path: Path, **options: Any) -> Predictor:
    return Predictor.load(path, device="cpu", verify=True, **options)


def altered(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(old) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def test_a_file_as_it_was_exported_is_loaded(exported: Path, small_model: Path, fields: list[Sample]) -> None:
    for found, expected in zip(
        load(exported).predict(fields), Predictor.load(small_model).predict(fields), strict=True
    ):
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_the_checksum_is_plain_metadata_and_changes_nothing_else(exported: Path) -> None:
    content = exported.read_bytes()
    proto = onnx.load(exported)
    assert proto.metadata_props[-1].key == CHECKSUM_KEY
    bare = onnx.load(exported)
    del bare.metadata_props[-1]
    assert add_checksum(bare.SerializeToString()) == proto.SerializeToString() == content
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map[CHECKSUM_KEY] == content[-64:].decode()


def test_one_altered_byte_is_detected_anywhere(exported: Path) -> None:
    content = bytearray(exported.read_bytes())
    check_checksum(memoryview(content), exported)
    in_card_and_checksum = range(len(content) - 4000, len(content))
    elsewhere = np.random.default_rng(0).integers(0, len(content), 300).tolist()
    for position in (*range(200), *elsewhere, *in_card_and_checksum):
        content[position] ^= 1
        with pytest.raises(ModelFileError, match=DAMAGE):
            check_checksum(memoryview(content), exported)
        content[position] ^= 1
    for shorter in (content[:-1], content[1:], content[:-100], content[:10], b""):
        with pytest.raises(ModelFileError, match=DAMAGE):
            check_checksum(memoryview(shorter), exported)


def test_an_altered_card_is_detected_only_by_verifying(exported: Path) -> None:
    altered(exported, b'"licence": "not stated"', b'"licence": "all is ok."')
    assert Predictor.load(exported, device="cpu").card.licence == "all is ok."
    with pytest.raises(ModelFileError, match="altered after it was exported") as caught:
        load(exported)
    assert caught.value.where == str(exported)


def test_an_unreadable_card_is_reported_as_an_altered_file(exported: Path) -> None:
    altered(exported, b'"schema_version": "1.', b'"schema_version": "7.')
    with pytest.raises(ModelFileError, match="altered after it was exported"):
        load(exported)


def test_altered_weights_are_reported(exported: Path) -> None:
    content = bytearray(exported.read_bytes())
    content[len(content) // 2] ^= 1
    exported.write_bytes(content)
    Predictor.load(exported, device="cpu")
    with pytest.raises(ModelFileError, match="altered after it was exported"):
        load(exported)


def test_a_card_of_other_weights_is_reported(tmp_path: Path, exported: Path) -> None:
    other = make_model_with_checksum(tmp_path / "other.onnx", weights_sha256="0" * 64)
    with pytest.raises(ModelFileError, match="not those that the model card was written for"):
        load(other)
    assert load(other, card=read_card(read_onnx(exported))).card.name == "small"


def test_a_file_without_a_checksum_can_t_be_verified(small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="can't be verified"):
        load(small_model)
    saved_again = onnx.load(make_model(tmp_path / "saved.onnx"))
    onnx.save(saved_again, tmp_path / "saved.onnx")
    with pytest.raises(ModelFileError, match="can't be verified"):
        check_model(tmp_path / "saved.onnx", verify=True)


def test_the_command_refuses_an_altered_file(exported: Path, fields: list[Sample]) -> None:
    arguments = ["predict", str(exported), str(fields[0].files[0]), "--device", "cpu", "--verify", "--format", "jsonl"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert (result.exit_code, json.loads(result.stdout)["id"]) == (0, fields[0].id)
    altered(exported, b'"name": "small"', b'"name": "smell"')
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "altered after it was exported" in result.stderr
