"""A session answers the same however a batch is cut, and its device is never a lie."""

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hpa_sdk import devices, session
from hpa_sdk.devices import Device
from hpa_sdk.errors import DeviceError, ModelFileError
from hpa_sdk.session import Session, open_session, try_device

SHAPE = (299, 299, 3)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((7, *SHAPE)).astype(np.float32)


def test_answers_are_the_runtime_s_own(model: Path, images: np.ndarray) -> None:
    probabilities, embeddings = Session(model, Device("cpu")).run(images)
    raw = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    expected = raw.run(["probabilities", "embedding"], {"image": images})
    np.testing.assert_allclose(probabilities, expected[0], atol=1e-6)
    np.testing.assert_allclose(embeddings, expected[1], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 32])
@pytest.mark.parametrize("fixed_shape", [False, True])
def test_batches_and_padding_do_not_change_answers(
    model: Path, images: np.ndarray, batch_size: int, fixed_shape: bool
) -> None:
    one_by_one = Session(model, Device("cpu"), batch_size=1).run(images)
    cut = Session(model, Device("cpu"), batch_size=batch_size, fixed_shape=fixed_shape).run(images)
    for found, expected in zip(cut, one_by_one, strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_fixed_shape_is_really_kept(model: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Session(model, Device("cpu"), batch_size=4, fixed_shape=True)
    seen = []
    runtime = opened._runtime

    class Spy:
        def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            seen.append(feeds["image"].shape[0])
            answers: list[np.ndarray] = runtime.run(names, feeds)
            return answers

    monkeypatch.setattr(opened, "_runtime", Spy())
    opened.warm_up()
    opened.run(images)
    assert seen == [4, 4, 4]


def test_the_device_is_read_back(model: Path) -> None:
    opened = open_session(model, "cpu")
    assert str(opened.device) == "cpu"
    assert opened.providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "cpu:1", "", "auto:0", "CUDA"])
def test_a_device_of_no_such_name_is_refused(model: Path, name: str) -> None:
    with pytest.raises(DeviceError, match="Name one of: auto, tensorrt, cuda, openvino, cpu, cuda:1"):
        open_session(model, name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "tensorrt", "openvino"])
def test_a_named_device_that_can_t_be_had_is_an_error(model: Path, name: str) -> None:
    if Device.parse(name).provider in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime is built with {name}")
    with pytest.raises(DeviceError, match=rf"{name} can't be used: .* built without it.*hpa doctor"):
        open_session(model, name)


def test_a_session_that_landed_elsewhere_is_an_error(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # onnxruntime only logs when CUDA does not start, and runs on the CPU: told apart by what it says of itself.
    monkeypatch.setitem(devices.PROVIDERS, "cuda", "CPUExecutionProvider")
    monkeypatch.setattr(session, "_read_back", lambda _: Device("cpu"))
    with pytest.raises(DeviceError, match="onnxruntime put the model on cpu, not on cuda"):
        Session(model, Device("cuda"))


def test_auto_falls_back_with_one_line_said_once(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "_said", set())
    monkeypatch.setattr(session, "obstacles", lambda device: ("no driver",) if device.kind == "cuda" else ())
    with caplog.at_level(logging.INFO, logger="hpa_sdk"):
        first, second = (open_session(model, "auto") for _ in range(2))
    assert str(first.device) == str(second.device) == "cpu"
    assert caplog.messages == ["Using cpu: cuda can't be used: no driver."]


def test_auto_takes_the_best_that_really_works(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def obstacles(device: Device) -> tuple[str, ...]:
        tried.append(device.kind)
        return ()

    monkeypatch.setattr(session, "obstacles", obstacles)
    monkeypatch.setattr(session, "AUTOMATIC", ("cpu", "cuda"))
    assert str(open_session(model, "auto").device) == "cpu"
    assert tried == ["cpu"]


def test_the_cpu_runs_the_probe() -> None:
    try_device(Device("cpu"))


def test_a_model_that_no_runtime_opens_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match="onnxruntime can't open"):
        open_session(tmp_path / "model.onnx", "cpu")


def test_a_failing_device_is_told_as_such(model: Path) -> None:
    with pytest.raises(DeviceError, match="failed while running"):
        Session(model, Device("cpu")).run(np.zeros((1, 5, 5, 3), np.float32))


def test_without_a_runtime_the_error_prints_the_install_line(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match=r"pip install 'hpa-sdk\[cpu\]'"):
        open_session(model, "auto")


@pytest.mark.parametrize(("gpu_memory", "expected"), [(None, None), (1.5, str(3 * 2**29))])
def test_the_cap_on_a_card_s_memory_reaches_the_runtime(
    model: Path, monkeypatch: pytest.MonkeyPatch, gpu_memory: float | None, expected: str | None
) -> None:
    asked: list[dict[str, str]] = []

    def open_nothing(*_: object, providers: list[tuple[str, dict[str, str]]], **__: object) -> None:
        asked.extend(options for _, options in providers)
        raise RuntimeError("no card here")

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_nothing)
    with pytest.raises(DeviceError, match="no card here"):
        Session(model, Device("cuda"), gpu_memory=gpu_memory)
    assert asked[0].get("gpu_mem_limit") == expected
