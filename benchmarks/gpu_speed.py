r"""Measures all figures of speed on a GPU in one run.

    python -m benchmarks.gpu_speed --fp32 resnet.onnx --fp16 resnet.fp16.onnx --fields FOLDER \
        -o docs/performance/gpu.json

- the session alone at batches of 1, 8, 64 and 256 fields, with each provider setting, and its share of the peak: the
  fastest of some products of square fp16 matrices on the same GPU;
- from files to answers with the fastest setting, and its share of the lower rate of reading alone and that session;
- one field at a time: p50, p90 and p99;
- a cold start in a new process, until the first answer;
- label sets of every setting against those of the CPU.

In addition to `hpa-sdk[gpu]` it needs `onnx`. It takes about five minutes. The figures so far are written after each
session, so that a crash of the GPU runtime does not lose them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from tqdm import tqdm

from benchmarks.figures import write_figures
from benchmarks.operations import multiply_adds
from hpa_sdk import Predictor, Sample, find_samples
from hpa_sdk.bench.rates import Spread
from hpa_sdk.bench.report import measure_ceiling, single_stream
from hpa_sdk.bench.stages import Stages
from hpa_sdk.errors import HpaError
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.memory import memory_of

BATCHES = (1, 8, 64, 256)
COMPARED_AT = (1, 64)
"""Batch sizes at which the other settings are compared with the plain one."""

WAYS: dict[str, dict[str, str]] = {
    "plain": {},
    "tf32": {"use_tf32": "1"},
    "prefer_nhwc": {"prefer_nhwc": "1"},
    "cuda graph": {"enable_cuda_graph": "1"},
    "prefer_nhwc, cuda graph": {"prefer_nhwc": "1", "enable_cuda_graph": "1"},
}
_SIDES = (4096, 8192, 16384)
_COLD = (
    "import sys, time; begun = time.perf_counter()\n"
    "from hpa_sdk import Predictor; Predictor.load(sys.argv[1], device=sys.argv[3]).predict(sys.argv[2])\n"
    "print(time.perf_counter() - begun)"
)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fp32", type=Path, required=True)
    parser.add_argument("--fp16", type=Path, required=True)
    parser.add_argument("--fields", type=Path, required=True, help="folder or table of fields")
    parser.add_argument("--count", type=int, default=128, help="most fields")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or tensorrt")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    samples = list(itertools.islice(find_samples(options.fields), options.count))
    expected = [prediction.labels for prediction in Predictor.load(options.fp32, device="cpu").predict(samples)]
    sessions: list[dict[str, Any]] = []
    figures: dict[str, Any] = {
        "card": _gpu_name(),
        "card_memory": memory_of(Device.parse(options.device)),
        "onnxruntime": onnxruntime.__version__,
        "fp16_peak_operations_a_second": fp16_peak(Device.parse(options.device).index),
        "operations_a_field": 2 * multiply_adds(options.fp32),
        "sessions": sessions,
    }
    for model, way, batch_size in tqdm(list(_trials(options)), unit=" sessions", disable=None):
        asked = {"file": model.name, "way": way, "batch_size": batch_size}
        try:
            found = _measure(options, model, way, batch_size, samples, expected)
        except HpaError as error:  # a setting that this GPU or runtime does not support is a row of the table
            found = {"error": str(error)}
        else:
            operations = found["fields_a_second"].median * figures["operations_a_field"]
            found["share_of_fp16_peak"] = operations / figures["fp16_peak_operations_a_second"]
        sessions.append(asked | found)
        write_figures(options.output, figures)
        gc.collect()  # frees the GPU memory for the next session
    measured = [session for session in sessions if "error" not in session]
    if not measured:
        sys.exit(f"No session ran; {options.output} says why.")
    best = max(measured, key=lambda session: float(session["fields_a_second"].median))
    figures["fastest"] = best
    fastest = options.fp16 if best["file"] == options.fp16.name else options.fp32
    way = WAYS[best["way"]]
    many = Predictor.load(fastest, device=options.device, batch_size=best["batch_size"], runtime_options=way)
    stages = Stages(many, samples, None, options.seconds)
    figures["from_files"] = measure_ceiling(stages, options.rounds, lambda: None)
    write_figures(options.output, figures)
    del many, stages
    one = Predictor.load(fastest, device=options.device, runtime_options=way)
    figures["single_stream_ms"] = single_stream(Stages(one, samples, None, options.seconds))
    write_figures(options.output, figures)
    del one
    starts = [_cold_start(fastest, samples[0], options.device) for _ in range(options.rounds)]
    write_figures(options.output, figures | {"cold_start_seconds": Spread.of(starts)})


def _trials(options: argparse.Namespace) -> Iterator[tuple[Path, str, int]]:
    """Yield each file, setting and batch size, the plain ones first."""
    ways = list(WAYS) if options.device.startswith("cuda") else ["plain"]
    for way, model in itertools.product(ways, (options.fp32, options.fp16)):
        if not (way == "tf32" and model == options.fp16):
            for batch_size in BATCHES if way == "plain" else COMPARED_AT:
                yield model, way, batch_size


def _measure(
    options: argparse.Namespace,
    model: Path,
    way: str,
    batch_size: int,
    samples: list[Sample],
    expected: list[frozenset[Any]],
) -> dict[str, Any]:
    predictor = Predictor.load(model, device=options.device, batch_size=batch_size, runtime_options=WAYS[way])
    stages = Stages(predictor, samples, None, options.seconds)
    rates = Spread.of([stages.raw_session() for _ in range(options.rounds)])
    found = [prediction.labels for prediction in predictor.predict(samples)]
    same = float(np.mean([one == other for one, other in zip(found, expected, strict=True)]))
    return {"fields_a_second": rates, "same_label_sets": same}


def fp16_peak(gpu: int) -> float:
    """Return the fp16 operations per second of the fastest matrix product on a GPU."""
    onnxruntime.preload_dlls()
    best = 0.0
    for side in _SIDES:
        taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT16, [side, side]) for name in "xy")
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "peak", [taken], [given])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=[("CUDAExecutionProvider", {"device_id": str(gpu)})]
        )
        matrix = np.random.default_rng(0).standard_normal((side, side)).astype(np.float16)
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(matrix, "cuda", gpu))
        binding.bind_output("y", "cuda", gpu)
        session.run_with_iobinding(binding)
        begun = time.perf_counter()
        for _ in range(10):
            session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - begun))
    return best


def _cold_start(model: Path, sample: Sample, device: str) -> float:
    completed = subprocess.run(  # noqa: S603 - this file's own code
        [sys.executable, "-c", _COLD, str(model), str(sample.files[0]), device],
        check=True, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    return float(completed.stdout)


def _gpu_name() -> str:
    completed = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],  # noqa: S607 - found on the path
        check=True, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    return completed.stdout.strip()


if __name__ == "__main__":
    main()
