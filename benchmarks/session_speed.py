"""Measures the SDK's int8 sessions against OpenVINO's own on the same file, and against the processor's int8 peak.

    python -m benchmarks.session_speed resnet.int8.onnx vgg.int8.onnx -o docs/performance/sessions.json

OpenVINO's own sessions use its throughput hint with its own queue of requests, and its latency hint with one request;
both compute in fp32 what is not int8, like the SDK. All take turns, on prepared tensors. The peak is the fastest of
some products of square uint8 and int8 matrices by onnxruntime on one thread, times the cores; a field costs the
multiply-adds of the convolutions and matrix products of the file, each of them two operations.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper
from tqdm import tqdm

from benchmarks.figures import ratios, spreads, write_figures
from benchmarks.operations import multiply_adds
from hpa_sdk.bench.rates import in_turn
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.session import Session
from hpa_sdk.inference.threads import usable_cores

OWN, OWN_ONE = "openvino's own", "openvino's own, one"
_IMAGE = np.random.default_rng(0).random((1, 299, 299, 3), dtype=np.float32)
_SIDES = (1024, 2048, 4096)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="int8 files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a turn")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    peak = int8_peak() * usable_cores()
    models = {model.name: measure(model, options.rounds, options.seconds, peak) for model in options.models}
    write_figures(options.output, {"peak_int8_operations_a_second": peak, "models": models})


def measure(model: Path, rounds: int, seconds: float, peak: float) -> dict[str, Any]:
    """Measure one file."""
    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    read = core.read_model(str(model))
    read.reshape([1, 299, 299, 3])
    many = core.compile_model(read, "CPU", hints | {"PERFORMANCE_HINT": "THROUGHPUT"})
    one = core.compile_model(read, "CPU", hints | {"PERFORMANCE_HINT": "LATENCY"})
    measures: dict[str, Callable[[], float]] = {
        OWN: lambda: _queue_rate(many, seconds),
        OWN_ONE: lambda: _rate(lambda: one([_IMAGE]), seconds),
    }
    for device in ("cpu", "openvino"):
        session = Session(model, Device(device))
        measures[f"{device}, many"] = _on_all_sessions(session.for_many(), seconds)
        measures[f"{device}, one"] = _one(session, seconds)
    for _ in in_turn(measures, 1):  # warm-up: first runs allocate memory
        pass
    rows = list(tqdm(in_turn(measures, rounds), total=rounds, unit=" rounds", disable=None))
    operations = 2 * multiply_adds(model)
    best = max(spreads(rows).items(), key=lambda item: item[1].median)
    # A ratio of times: below 1 if the SDK is faster.
    times = [{name: 1 / value for name, value in row.items()} for row in rows]
    return {
        "fields_a_second": spreads(rows),
        "time_over_openvinos_own": {name: s for name, s in ratios(times, OWN).items() if name.endswith("many")},
        "time_over_openvinos_own_one": {name: s for name, s in ratios(times, OWN_ONE).items() if name.endswith("one")},
        "operations_a_field": operations,
        "share_of_peak": {best[0]: best[1].median * operations / peak},
    }


def _rate(run: Callable[[], object], seconds: float) -> float:
    begun = time.perf_counter()
    count = 0
    while time.perf_counter() < begun + seconds:
        run()
        count += 1
    return count / (time.perf_counter() - begun)


def _queue_rate(compiled: Any, seconds: float) -> float:  # noqa: ANN401 - OpenVINO's types are incomplete
    queue = openvino.AsyncInferQueue(compiled)
    begun = time.perf_counter()
    count = 0
    while time.perf_counter() < begun + seconds:
        queue.start_async([_IMAGE])
        count += 1
    queue.wait_all()
    return count / (time.perf_counter() - begun)


def _one(session: Session, seconds: float) -> Callable[[], float]:
    return lambda: _rate(lambda: session.run(_IMAGE), seconds)


def _on_all_sessions(session: Session, seconds: float) -> Callable[[], float]:
    def measured() -> float:
        with ThreadPoolExecutor(session.plan.parallel_runs) as pool:
            rates = [
                pool.submit(_rate, lambda: session.run(_IMAGE), seconds) for _ in range(session.plan.parallel_runs)
            ]
            return sum(found.result() for found in rates)

    return measured


def int8_peak() -> float:
    """Return the int8 operations per second of one thread."""
    best = 0.0
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for side in _SIDES:
        rng = np.random.default_rng(0)
        taken = helper.make_tensor_value_info("taken", TensorProto.UINT8, [side, side])
        given = helper.make_tensor_value_info("given", TensorProto.INT32, [side, side])
        # A constant, like weights, so that the runtime arranges it in advance.
        weights = onnx.numpy_helper.from_array(rng.integers(-128, 128, (side, side), np.int8), "weights")
        node = helper.make_node("MatMulInteger", ["taken", "weights"], ["given"])
        graph = helper.make_graph([node], "peak", [taken], [given], [weights])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        matrix = rng.integers(0, 256, (side, side), np.uint8)
        for _ in range(4):
            begun = time.perf_counter()
            session.run(None, {"taken": matrix})
            best = max(best, 2 * side**3 / (time.perf_counter() - begun))
    return best


if __name__ == "__main__":
    main()
