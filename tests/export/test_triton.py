"""A model repository has the layout that a Triton server looks for; its configuration speaks of the file beside it."""

import errno
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.triton.config import Serving
from export.triton.repository import export_triton
from hpa_sdk import Label
from hpa_sdk.errors import ModelCardError, OutputError, SettingError
from hpa_sdk.models.onnx_file import read_onnx
from tests.raw_model import make_raw_model
from tests.small import make_model

TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}
TENSOR = re.compile(r'(?:input|output) \{\s*name: "(\w+)"\s*data_type: (\w+)\s*dims: \[(.*?)\]')


@pytest.mark.parametrize("maker", [make_model, make_raw_model])
def test_the_command_adds_the_model_to_a_repository(maker: Callable[..., Path], tmp_path: Path) -> None:
    model, repository = maker(tmp_path / "a.onnx"), tmp_path / "répertoire" / "models"
    settings = "--name hpa --max-batch 32 --instances 2 --tensorrt fp16 --engine-cache /engines"
    arguments = ["triton", str(model), "-o", str(repository), *settings.split()]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert not result.stdout
    folder = repository / "hpa"
    written = sorted(path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file())
    assert written == ["hpa/1/model.onnx", "hpa/config.pbtxt", "hpa/labels.txt"]
    assert (folder / "1" / "model.onnx").read_bytes() == model.read_bytes()
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == [label.hpa_name for label in Label]
    text = (folder / "config.pbtxt").read_text(encoding="utf-8")
    file = read_onnx(model)
    # Triton adds the batch dimension of max_batch_size in front of these.
    assert TENSOR.findall(text) == [
        (name, TYPES[form.dtype], ", ".join("-1" if isinstance(size, str) else str(size) for size in form.shape[1:]))
        for name, form in (file.inputs | file.outputs).items()
    ]
    for line in (
        'name: "hpa"',
        "max_batch_size: 32",
        "count: 2",
        "kind: KIND_GPU",
        'key: "precision_mode" value: "FP16"',
    ):
        assert line in text


def test_the_model_s_own_name_is_made_fit_for_a_folder(tmp_path: Path) -> None:
    model = make_model(tmp_path / "a.onnx", name="../ä b")
    assert export_triton(model, tmp_path / "models", Serving()).relative_to(tmp_path) == Path("models", "___b")
    assert export_triton(model, tmp_path / "models", Serving(), name="..").name == "model"


def test_a_model_that_is_there_is_never_replaced(model: Path, tmp_path: Path) -> None:
    folder = export_triton(model, tmp_path, Serving(), name="a")
    before = (folder / "config.pbtxt").read_bytes()
    with pytest.raises(OutputError, match="has a model of this name"):
        export_triton(model, tmp_path, Serving(max_batch=2), name="a")
    assert (folder / "config.pbtxt").read_bytes() == before


def full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left")


def test_a_folder_appears_whole_or_not_at_all(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelCardError):
        export_triton(make_model(tmp_path / "a.onnx", card=None), tmp_path / "models", Serving())
    assert not (tmp_path / "models").exists()
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        export_triton(model, tmp_path / "models", Serving())
    assert not list((tmp_path / "models").iterdir())


def test_a_repository_that_can_t_be_made_is_reported(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        export_triton(model, tmp_path / "file", Serving())


def test_settings_that_make_no_sense_are_refused() -> None:
    for settings in (
        {"max_batch": 0},
        {"instances": 0},
        {"queue_delay": -1},
        {"device": "cpu", "tensorrt": "fp16"},
        {"engine_cache": "/engines"},
    ):
        with pytest.raises(SettingError):
            Serving(**settings)
