"""Measures the SDK's sessions against raw onnxruntime sessions on the same file, side by side on ready inputs.

    python -m benchmarks.raw_sessions network.onnx --card card.toml -o docs/performance/raw_sessions.json

For any network that a card describes, also one with a fixed batch. Both sides keep all cores busy: one raw session for
each core, with one thread; and the SDK's session for long streams. They take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from tqdm import tqdm

from benchmarks.figures import ratios, spreads, write_figures
from hpa_sdk import Predictor
from hpa_sdk.bench.rates import in_turn
from hpa_sdk.inference.threads import usable_cores

RAW, SDK = "raw sessions", "sdk"
_ERRORS_ONLY = 3


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--card", type=Path, help="card of the files, if they have none")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    models = {model.name: measure(model, options.card, options.rounds, options.seconds) for model in options.models}
    write_figures(options.output, {"models": models})


def measure(model: Path, card: Path | None, rounds: int, seconds: float) -> dict[str, object]:
    """Measure one file."""
    with Predictor.load(model, card=card, device="cpu") as predictor:
        session = predictor.session.for_many()
        batch = np.stack([predictor.session.empty_field()] * session.batch_size)
        fields: np.ndarray = np.random.default_rng(0).random(batch.shape).astype(batch.dtype)
        raw = [_open(model) for _ in range(usable_cores())]
        (taken,) = raw[0].get_inputs()
        candidates: dict[str, list[Callable[[], object]]] = {
            RAW: [partial(one.run, None, {taken.name: fields}) for one in raw],
            SDK: [partial(session.run, fields)] * session.plan.parallel_runs,
        }
        measures: dict[str, Callable[[], float]] = {
            name: partial(_rate, runs, len(fields), seconds) for name, runs in candidates.items()
        }
        for _ in in_turn(measures, 1):  # warm-up: first runs allocate memory
            pass
        rows = list(tqdm(in_turn(measures, rounds), total=rounds, unit=" rounds", disable=None))
        return {
            "batch": len(fields),
            "fields_a_second": spreads(rows),
            "share_of_raw_sessions": ratios(rows, RAW)[SDK],
        }


def _rate(runs: Sequence[Callable[[], object]], fields: int, seconds: float) -> float:
    def repeat(run: Callable[[], object]) -> int:
        count = 0
        while time.perf_counter() < begun + seconds:
            run()
            count += 1
        return count

    begun = time.perf_counter()
    with ThreadPoolExecutor(len(runs)) as pool:
        count = sum(pool.map(repeat, runs))
    return count * fields / (time.perf_counter() - begun)


def _open(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
