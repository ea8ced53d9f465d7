"""Options of runtimes, their caches between starts, and OpenVINO's agreement with onnxruntime."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from hpa_sdk import Predictor
from hpa_sdk.errors import DeviceError, SettingError
from hpa_sdk.inference import compiled_cache, session
from hpa_sdk.inference.compiled_cache import cache_folder, cached_path, make_cache_folder, open_cached
from hpa_sdk.inference.devices import Device, load_onnxruntime
from hpa_sdk.inference.int8_overflow import int8_overflows
from hpa_sdk.inference.onnxruntime_options import engine_options, provider_options
from hpa_sdk.inference.onnxruntime_sessions import BoundRuntimeSession, ThreadedRuntimeSession
from hpa_sdk.inference.openvino_sessions import runtime_options
from hpa_sdk.inference.runtime_session import Fields, RuntimeSettings
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.inference.threads import ThreadPlan, usable_cores
from hpa_sdk.models.model_content import ModelContent
from tests.raw_model import make_raw_model
from tests.small import make_model, random_planes

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("threads", [1, 2, 5, 64])
def test_no_core_is_asked_for_twice(threads: int) -> None:
    for plan in (ThreadPlan.for_one("cpu", threads), ThreadPlan.for_many("cpu", threads)):
        assert plan.parallel_runs * plan.threads_a_run == plan.workers == threads
    on_card = ThreadPlan.for_many("cuda", threads)
    assert on_card.workers - on_card.parallel_runs == threads


def test_the_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ThreadPlan.for_many("cpu", None).workers == usable_cores() <= (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
        assert ThreadPlan.for_many("openvino", None).workers == 1


@pytest.mark.parametrize("threads", [0, -2])
def test_no_threads_is_an_error(model: Path, threads: int) -> None:
    with pytest.raises(SettingError, match=f"threads={threads} is too small. Give 1 or more"):
        Predictor.load(model, device="cpu", threads=threads)


def test_cuda_gets_the_options_that_it_needs() -> None:
    plain = provider_options(Device("cuda", 1), RuntimeSettings())
    assert plain == {
        "device_id": "1",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": "0",
    }
    asked = RuntimeSettings(
        gpu_memory=1.5, parallel_runs=2, options={"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "1"}
    )
    chosen = provider_options(Device("cuda"), asked)
    assert chosen["gpu_mem_limit"] == str(3 * 2**28)  # all sessions together take what was granted
    assert (chosen["cudnn_conv_algo_search"], chosen["use_tf32"]) == ("EXHAUSTIVE", "1")
    assert "device_id" not in chosen
    assert provider_options(Device("cpu"), RuntimeSettings()) == {}


def test_tensorrt_builds_two_batch_sizes_and_caches_the_engine(tmp_path: Path) -> None:
    fixed = engine_options(tmp_path, "image", (32, 299, 299, 3))
    assert fixed["trt_profile_min_shapes"] == "image:1x299x299x3"
    assert fixed["trt_profile_opt_shapes"] == fixed["trt_profile_max_shapes"] == "image:32x299x299x3"
    # What onnxruntime reads of them is seen in tests/gpu_wheel.
    assert fixed["trt_engine_cache_enable"] == fixed["trt_timing_cache_enable"] == "True"
    assert "trt_fp16_enable" not in fixed
    assert engine_options(None, "planes", (32, 4, "H", "W"), "fp16") == {"trt_fp16_enable": "True"}
    assert fixed["trt_engine_cache_path"] == fixed["trt_timing_cache_path"] == str(tmp_path)
    assert engine_options(None, "planes", (32, 4, "H", "W")) == {}


def test_a_long_build_is_logged_before_it_begins(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[dict[str, str]] = []

    def open_nothing(*_: object, providers: list[tuple[str, dict[str, str]]], **__: object) -> None:
        assert [name for name, _ in providers] == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
        asked.append(providers[0][1])
        raise RuntimeError("no GPU here")

    int8_overflows()  # found out once, in a real session
    monkeypatch.setattr(onnxruntime, "InferenceSession", open_nothing)
    for expected in (1, 1):  # again where the first build came to nothing
        caplog.clear()
        with pytest.raises(DeviceError, match="no GPU here"):
            Session(model, Device("tensorrt"))
        assert sum("builds an engine" in message for message in caplog.messages) == expected
    folder = Path(asked[0]["trt_engine_cache_path"])
    assert folder.parent == cache
    (folder / "built.engine").touch()
    caplog.clear()
    with pytest.raises(DeviceError, match="no GPU here"):
        Session(model, Device("tensorrt"))
    assert not caplog.messages
    assert asked[-1]["trt_engine_cache_path"] == str(folder)


def test_fixed_places_give_the_same_answers(small_model: Path) -> None:
    # On the processor, where the same binding works.
    runtime = load_onnxruntime().InferenceSession(str(small_model), providers=["CPUExecutionProvider"])
    session = BoundRuntimeSession(runtime, Device("cpu"), ("probabilities", "embedding"), (1, 3))
    rng = np.random.default_rng(0)
    batches = [rng.random((size, 299, 299, 3), dtype=np.float32) for size in (3, 1, 3, 1)]
    answers = [session.run(batch) for batch in batches]
    for batch, found in zip(batches, answers, strict=True):
        for one, other in zip(found, runtime.run(["probabilities", "embedding"], {"image": batch}), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_gpu_session_runs_on_one_thread_for_every_caller(small_model: Path) -> None:
    runtime = load_onnxruntime().InferenceSession(str(small_model), providers=["CPUExecutionProvider"])
    seen: list[threading.Thread] = []

    class Watched(BoundRuntimeSession):
        def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
            seen.append(threading.current_thread())
            return super().run(fields)

    session = ThreadedRuntimeSession(Watched(runtime, Device("cpu"), ("probabilities", "embedding"), (1,)))
    image = np.zeros((1, 299, 299, 3), np.float32)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: session.run(image)[0], range(8)))
    assert len(seen) == 8
    assert len(set(seen)) == 1
    np.testing.assert_array_equal(np.concatenate(answers), np.repeat(answers[0], 8, axis=0))
    with pytest.raises(KeyError):  # every exception of a run is raised
        session.run(np.zeros((2, 299, 299, 3), np.float32))


def test_a_cuda_graph_of_planes_of_any_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = make_raw_model(tmp_path / "raw.onnx")
    plain = load_onnxruntime().InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda path, *_, **__: plain(path, providers=["CPUExecutionProvider"])
    )
    settings = SessionSettings(options={"enable_cuda_graph": "1"})
    with pytest.raises(SettingError, match="needs an input of one shape"):
        Session(raw, Device("cuda"), settings)


def test_an_unwritable_cache_costs_only_a_build(tmp_path: Path) -> None:
    assert make_cache_folder(tmp_path / "cache" / ("0" * 32))
    (tmp_path / "file").touch()
    assert not make_cache_folder(tmp_path / "file" / ("0" * 32))


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("raw_planes", [False, True])
def test_a_batch_larger_than_one_run_of_planes_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, raw_planes: bool
) -> None:
    pytest.importorskip("openvino")
    path = (make_raw_model if raw_planes else make_model)(tmp_path / "model.onnx")
    rng = np.random.default_rng(1)
    planes = [random_planes(rng, side=64) for _ in range(9)]
    expected = Predictor.load(path, device=device, batch_size=1).predict_planes(planes)
    monkeypatch.setattr(session, "LARGEST_RUN", 2 * planes[0].nbytes)
    found = Predictor.load(path, device=device, batch_size=6).predict_planes(planes)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-5)


def test_openvino_gets_all_cores_and_no_bf16_unless_asked() -> None:
    many = runtime_options(RuntimeSettings(parallel_runs=6, threads=1))
    assert (many["NUM_STREAMS"], many["INFERENCE_NUM_THREADS"], many["INFERENCE_PRECISION_HINT"]) == ("6", "6", "f32")
    one = runtime_options(RuntimeSettings(parallel_runs=1, threads=6, options={"INFERENCE_PRECISION_HINT": "bf16"}))
    assert (one["NUM_STREAMS"], one["INFERENCE_NUM_THREADS"], one["INFERENCE_PRECISION_HINT"]) == ("1", "6", "bf16")


def test_without_openvino_the_error_prints_the_install_line(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(DeviceError, match=r"openvino can't be used: .*pip install 'hpa-sdk\[openvino\]'"):
        Predictor.load(model, device="openvino")


@pytest.mark.parametrize("raw_planes", [False, True])
def test_openvino_answers_as_onnxruntime_does(tmp_path: Path, cache: Path, raw_planes: bool) -> None:
    pytest.importorskip("openvino")
    path = (make_raw_model if raw_planes else make_model)(tmp_path / "model.onnx")
    rng = np.random.default_rng(1)
    planes = [random_planes(rng, side=side) for side in (64, 80, 64) for _ in range(14)]
    expected = Predictor.load(path, device="cpu").predict_planes(planes)
    for batch_size in (None, 3):
        predictor = Predictor.load(path, device="openvino", batch_size=batch_size, threads=2)
        assert predictor.device == "openvino"
        assert predictor.providers == ("OpenVINO CPU",)
        for found in (predictor.predict_planes(planes), predictor.predict(planes)):
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-5)
                np.testing.assert_allclose(one.embedding, other.embedding, atol=2e-3)
    assert len(list(cache.glob("*.openvino"))) == 2


def test_openvino_opens_its_cache_and_rebuilds_broken_files(small_model: Path, cache: Path) -> None:
    pytest.importorskip("openvino")
    image = np.random.default_rng(0).random((1, 299, 299, 3), dtype=np.float32)
    expected = Session(small_model, Device("openvino")).run(image)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    for content in (whole, b"", whole[: len(whole) // 2], os.urandom(1000), bytes(changed)):
        kept.write_bytes(content)
        np.testing.assert_array_equal(Session(small_model, Device("openvino")).run(image)[0], expected[0])
        assert len(kept.read_bytes()) == len(whole)
        assert kept.read_bytes() != changed
        assert list(cache.iterdir()) == [kept]


def test_every_byte_and_every_setting_has_a_place_of_its_own(model: Path) -> None:
    read = ModelContent.read(model)
    other = ModelContent.of(model.read_bytes() + b"\x00")
    places = [
        cached_path(read, {"runtime": "1"}, ".x"),
        cached_path(other, {"runtime": "1"}, ".x"),
        cached_path(read, {"runtime": "2"}, ".x"),
        cached_path(read, {"runtime": "1", "batch": "2"}, ".x"),
    ]
    assert len(set(places)) == 4
    assert places[0] == cached_path(ModelContent.of(model.read_bytes()), {"runtime": "1"}, ".x")


def test_the_cache_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.setenv("HPA_CACHE", "")
    assert cache_folder() is cached_path(ModelContent.read(model), {}, "") is None
    monkeypatch.delenv("HPA_CACHE")
    assert "hpa-sdk" in str(cache_folder())


def test_a_cache_that_can_t_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opened = open_cached(tmp_path / "file" / "below", read=lambda _: "read", make=lambda to: f"made {to}")
    assert opened == "made None"

    def full(to: Path | None) -> str:
        if to is not None:
            to.write_bytes(b"half")
            raise RuntimeError("no space left")
        return "made"

    assert open_cached(tmp_path / "kept", read=lambda _: "read", make=full) == "made"
    assert {entry.name for entry in tmp_path.iterdir()} == {"file"}


def test_the_cache_does_not_grow_without_end(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_cache, "MOST_CACHED", 3)

    def make(to: Path | None) -> None:
        if to is not None:
            to.write_bytes(b"made")

    cache.mkdir()
    (cache / "thesis.txt").touch()
    (cache / "photos").mkdir()
    (cache / f".01234567.{9:032x}.onnx").touch()  # what a killed start left
    os.utime(cache / f".01234567.{9:032x}.onnx", (0, 0))
    names = [f"{number:032x}" for number in range(5)]
    for number, name in enumerate(names):
        if number % 2:
            make_cache_folder(cache / name)
        else:
            open_cached(cache / name, read=bytes, make=make)
        os.utime(cache / name, (number, number))
    # Files that are not of the cache stay.
    assert {entry.name for entry in cache.iterdir()} == {"thesis.txt", "photos", *names[2:]}


def test_settings_of_a_session_reach_the_runtime(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = onnxruntime.InferenceSession

    def open_recorded(source: str, options: Any, **rest: Any) -> Any:
        asked.append(options)
        return real(source, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_recorded)
    opened = Session(model, Device("cpu"), SessionSettings(threads=3))
    opened.for_many()
    assert [options.intra_op_num_threads for options in asked] == [3, 1]
    assert {options.get_session_config_entry("session.intra_op.allow_spinning") for options in asked} == {"0"}
