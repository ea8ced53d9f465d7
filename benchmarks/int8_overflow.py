"""Measures the cost of int8 files on this processor, and the error by overflow of their sums.

    python -m benchmarks.int8_overflow resnet.onnx FIELDS -o docs/performance/int8_overflow.json

Processors without VNNI sum products of int8 in 16 bits, which can overflow. Each file is run with onnxruntime's default
settings, and with the SDK's, which avoid that; both are compared with the file's own arithmetic in float32, node by
node as written. On processors with VNNI nothing overflows, and both settings are equal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from benchmarks.figures import ratios, write_figures
from export.fields import LEAST_FIELDS, Fields, read_fields
from export.quantization.quantizer import QuantizationPlan, Quantizer
from export.variants.variant import read_parent
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.inference.int8_overflow import session_entries
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import log_odds

_PLANS = {
    "U8S8": QuantizationPlan(),
    "U8S8, reduced range": QuantizationPlan(reduce_range=True),
    "U8U8": QuantizationPlan(signedness="U8U8"),
}
_ERRORS_ONLY = 3
_ROUNDS = 7


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="fp32 files")
    parser.add_argument("fields", type=Path, help="fields to find ranges on, and to compare on")
    parser.add_argument("--count", type=int, default=16, help="fields to compare on")
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON to write")
    options = parser.parse_args()
    models = {model.name: _measure(model, options.fields, options.count) for model in options.models}
    write_figures(options.out, {"fields": options.count, "models": models})


def _measure(model: Path, data: Path, count: int) -> dict[str, Any]:
    with TemporaryDirectory() as work:
        parent = read_parent(model, Path(work) / "int8.onnx")
        fields = read_fields(data, parent.card, least=LEAST_FIELDS)
        quantizer = Quantizer(parent, fields.first(LEAST_FIELDS), Path(work))
        images = _images(parent.card, fields.first(count))
        fp32 = _open(model, session_entries())
        return {name: _compare(fp32, quantizer.quantize(plan), images, parent.card) for name, plan in _PLANS.items()}


def _images(card: ModelCard, fields: Fields) -> list[npt.NDArray[np.float32]]:
    return [card.preprocessing(read_planes(sample))[np.newaxis] for sample in fields.samples]


def _compare(
    fp32: onnxruntime.InferenceSession, file: Path, images: list[npt.NDArray[np.float32]], card: ModelCard
) -> dict[str, Any]:
    ways = {"fp32": fp32, "as onnxruntime comes": _open(file, {}), "as the SDK runs it": _open(file, session_entries())}
    as_written = _open(file, {}, as_written=True)
    expected = _answer(as_written, images)
    rounding = _error(_answer(fp32, images), expected)
    found = {name: _answer(session, images) for name, session in ways.items() if name != "fp32"}
    thresholds = np.asarray(card.thresholds, np.float32)
    return {
        "rounding_logits": rounding,
        "overflow_logits": {name: _error(answers, expected) for name, answers in found.items()},
        "same_label_sets": {
            name: float(((answers >= thresholds) == (expected >= thresholds)).all(axis=1).mean())
            for name, answers in found.items()
        },
        "cpu_share": ratios([_cpu_times(ways, images[0]) for _ in range(_ROUNDS)], "fp32"),
    }


def _cpu_times(ways: Mapping[str, onnxruntime.InferenceSession], image: npt.NDArray[np.float32]) -> dict[str, float]:
    times = {}
    for name, session in ways.items():
        begun = time.process_time()
        session.run(["probabilities"], {"image": image})
        times[name] = time.process_time() - begun
    return times


def _answer(session: onnxruntime.InferenceSession, images: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    answers = [session.run(["probabilities"], {"image": image})[0] for image in images]
    return np.concatenate(answers)


def _error(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """Return the root mean square of the difference, in logits."""
    return float(np.sqrt(np.mean((log_odds(found) - log_odds(expected)) ** 2)))


def _open(file: Path, entries: Mapping[str, str], *, as_written: bool = False) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
