"""A session gives the same answers for every batch size, and reports its real device."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from hpa_sdk.errors import DeviceError, ModelFileError, SettingError
from hpa_sdk.inference import device_choice, memory, session
from hpa_sdk.inference.device_choice import open_session, try_device
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.onnxruntime_sessions import open_onnxruntime_sessions
from hpa_sdk.inference.runtime_session import Fields, RuntimeSession
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.inference.threads import ThreadPlan
from tests.session_spy import SessionSpy, spied
from tests.small import build_model

SHAPE = (299, 299, 3)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((7, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def model(small_model: Path) -> Path:
    """A model whose input is images of three colours."""
    return small_model


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


def test_a_fixed_shape_is_really_kept(model: Path, images: np.ndarray) -> None:
    opened = Session(model, Device("cpu"), batch_size=4, fixed_shape=True)
    spy = spied(opened)
    opened.warm_up()
    opened.run(images)
    assert [shape[0] for shape in spy.shapes] == [4, 4, 4]


def test_each_session_warms_up_all_sizes_one_field_uses_smallest(model: Path, images: np.ndarray) -> None:
    plan = ThreadPlan(workers=2, parallel_runs=2, threads_a_run=1)
    opened = Session(model, Device("cpu"), batch_size=4, fixed_shape=True, plan=plan)
    spies = [spied(opened) for _ in range(2)]
    for spy in spies:
        spy.batch_sizes = (1, 4)
    opened.warm_up()
    assert [[shape[0] for shape in spy.shapes] for spy in spies] == [[1, 4], [1, 4]]
    expected = Session(model, Device("cpu")).run(images[:5])
    for found, other in zip(opened.run(images[:5]), expected, strict=True):
        np.testing.assert_allclose(found, other, atol=1e-6)
    assert [[shape[0] for shape in spy.shapes[2:]] for spy in spies] == [[4], [1]]


def test_what_a_device_is_not_made_for_is_said(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_choice, "_said", set())
    with caplog.at_level(logging.INFO, logger="hpa_sdk"):
        open_session(model, "cpu", SessionSettings(options={"prefer_nhwc": "1"}))
    assert caplog.messages == ["Of no effect on processors: the runtime option prefer_nhwc."]
    caplog.clear()
    monkeypatch.setattr(device_choice, "obstacles", lambda _: ())
    monkeypatch.setattr(device_choice, "Session", lambda model, _, settings: Session(model, Device("cpu"), settings))
    with pytest.raises(DeviceError, match="tensorrt takes no int8 file of ours"):
        open_session(model, "tensorrt", SessionSettings(precision="int8"))
    with caplog.at_level(logging.INFO, logger="hpa_sdk"):
        open_session(model, "cuda", SessionSettings(precision="int8"))
    assert caplog.messages == [
        "This int8 file is made for processors; for cuda take the fp16 file (python -m export fp16)."
    ]


def test_the_device_is_read_back(model: Path) -> None:
    opened = open_session(model, "cpu")
    assert str(opened.device) == "cpu"
    assert opened.providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "cpu:1", "", "auto:0", "CUDA"])
def test_a_device_of_no_such_name_is_refused(model: Path, name: str) -> None:
    with pytest.raises(DeviceError, match="Name one of: auto, tensorrt, cuda, openvino, cpu, cuda:1"):
        open_session(model, name)


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "tensorrt"])
def test_a_named_device_that_can_t_be_had_is_an_error(model: Path, name: str) -> None:
    if Device.parse(name).provider in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime is built with {name}")
    with pytest.raises(DeviceError, match=rf"{name} can't be used: .* built without it.*hpa doctor"):
        open_session(model, name)


def test_a_session_that_landed_elsewhere_is_an_error(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # onnxruntime only logs when CUDA does not start, and runs on the CPU: the runtime's own report reveals it.
    monkeypatch.setattr(
        session,
        "open_onnxruntime_sessions",
        lambda model, _, settings: open_onnxruntime_sessions(model, Device("cpu"), settings),
    )
    with pytest.raises(DeviceError, match="the runtime put the model on cpu, not on cuda"):
        Session(model, Device("cuda"))


def test_auto_falls_back_with_one_line_said_once(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device_choice, "_said", set())
    monkeypatch.setattr(device_choice, "obstacles", lambda device: ("no driver",) if device.kind == "cuda" else ())
    with caplog.at_level(logging.INFO, logger="hpa_sdk"):
        first, second = (open_session(model, "auto") for _ in range(2))
    assert str(first.device) == str(second.device) == "cpu"
    assert caplog.messages == ["Using cpu: cuda can't be used: no driver."]


def test_auto_takes_the_best_that_really_works(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def obstacles(device: Device) -> tuple[str, ...]:
        tried.append(device.kind)
        return ()

    monkeypatch.setattr(device_choice, "obstacles", obstacles)
    monkeypatch.setattr(device_choice, "AUTOMATIC", ("cpu", "cuda"))
    assert str(open_session(model, "auto").device) == "cpu"
    assert tried == ["cpu"]


def test_the_cpu_runs_the_probe() -> None:
    try_device(Device("cpu"))


def test_a_model_that_no_runtime_opens_is_refused(tmp_path: Path) -> None:
    unknown = build_model()
    unknown.graph.node[0].op_type = "Unknown"
    for content in (b"no model", unknown.SerializeToString()):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(ModelFileError, match="onnxruntime can't open"):
            open_session(tmp_path / "model.onnx", "cpu")


def test_a_failing_device_is_reported_as_such(model: Path) -> None:
    with pytest.raises(DeviceError, match="failed while running"):
        Session(model, Device("cpu")).run(np.zeros((1, 5, 5, 3), np.float32))


def test_without_a_runtime_the_error_prints_the_install_line(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match=r"pip install 'hpa-sdk\[cpu\]'"):
        open_session(model, "auto")


def test_as_many_runs_as_sessions_go_on_at_once(model: Path, images: np.ndarray) -> None:
    many = Session(model, Device("cpu"), SessionSettings(threads=3)).for_many()
    together = threading.Barrier(3)
    for slot in (slots := [many._take() for _ in range(3)]):
        slot.session = MeetingSession(slot.session, together)
        many._slots.put(slot)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda image: many.run([image])[0], images[:6]))
    assert len(slots) == 3
    np.testing.assert_allclose(np.concatenate(found), Session(model, Device("cpu")).run(images[:6])[0], atol=1e-6)


class MeetingSession(SessionSpy):
    """A session that runs when all others do."""

    def __init__(self, session: RuntimeSession, together: threading.Barrier) -> None:
        super().__init__(session)
        self._together = together

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        self._together.wait(timeout=20)
        return super().run(fields)


def test_a_session_for_many_fields_is_opened_once_if_it_differs(model: Path) -> None:
    opened = Session(model, Device("cpu"), SessionSettings(threads=2))
    assert opened.for_many() is opened.for_many() is opened.for_many().for_many()
    assert (opened.plan.parallel_runs, opened.plan.threads_a_run) == (1, 2)
    assert (opened.for_many().plan.parallel_runs, opened.for_many().plan.threads_a_run) == (2, 1)
    alone = Session(model, Device("cpu"), SessionSettings(threads=1))
    assert alone.for_many() is alone


def test_a_failed_run_gives_its_session_back(model: Path, images: np.ndarray) -> None:
    opened = Session(model, Device("cpu"))
    for _ in range(3):
        with pytest.raises(DeviceError, match="failed while running"):
            opened.run(np.zeros((1, 5, 5, 3), np.float32))
    assert len(opened.run(images)[0]) == len(images)


def test_a_too_large_batch_is_refused_with_one_that_fits(
    model: Path, monkeypatch: pytest.MonkeyPatch, images: np.ndarray
) -> None:
    field = images[0].nbytes
    taken = iter(range(0, 100 * 8 * 4 * field, 8 * 4 * field))  # each look finds four images a field more in use
    monkeypatch.setattr(memory, "memory_of", lambda _: memory.Memory(free=600 * field, taken=next(taken)))
    with pytest.raises(SettingError, match=r"batch_size=1000000 needs about .* Give batch_size=400 or less"):
        open_session(model, "cpu", SessionSettings(batch_size=1_000_000, threads=1))
    with pytest.raises(SettingError, match="Give batch_size=100 or less"):
        open_session(model, "cpu", SessionSettings(batch_size=101, threads=1))
    with pytest.raises(SettingError, match="Give batch_size=50 or less"):
        open_session(model, "cpu", SessionSettings(batch_size=100, threads=2))
    assert open_session(model, "cpu", SessionSettings(batch_size=100, threads=1)).batch_size == 100


def test_more_memory_than_the_machine_has_is_refused_in_earnest(model: Path) -> None:
    with pytest.raises(SettingError, match=r"MiB and [\d,]+ are free\. Give batch_size=\d+ or less"):
        open_session(model, "cpu", SessionSettings(batch_size=10_000_000))
