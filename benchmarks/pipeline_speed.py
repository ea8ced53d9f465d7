r"""Measures a network from files to answers against the study's loop with Keras, and against the possible maximum.

    python -m benchmarks.pipeline_speed --keras RUN --fp32 resnet.onnx --int8 resnet.int8.onnx --fields FOLDER \
        -o docs/performance/inception_resnet_v2.json

All take turns in one run: Keras one field at a time, then each file with each runtime, and directly after it that
runtime's session alone on prepared tensors; reading alone is measured once a round. On CPUs the ceiling is the rate of
both steps on the same cores, 1 / (1 / reading + 1 / session). Label sets are compared with those of Keras and, for
other files, with those of the fp32 file. --winograd adds the file of ``python -m export winograd``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.figures import ratios, spreads, write_figures
from benchmarks.keras_baseline import open_baseline
from hpa_sdk import Label, Predictor, Sample, SchemeLabel, find_samples
from hpa_sdk.bench.rates import Spread, in_turn, rate
from hpa_sdk.bench.report import offline
from hpa_sdk.bench.stages import Stages

DEVICES = ("cpu", "openvino")
KERAS = "keras"
BF16 = {"INFERENCE_PRECISION_HINT": "bf16"}
"""Makes OpenVINO compute an fp32 file in bf16."""


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras", type=Path, required=True, help="run folder of the network")
    parser.add_argument("--fp32", type=Path, required=True)
    parser.add_argument("--int8", type=Path, required=True)
    parser.add_argument("--winograd", type=Path)
    parser.add_argument("--fields", type=Path, required=True, help="folder or table of fields")
    parser.add_argument("--count", type=int, default=48, help="most fields")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.5, help="length of a turn")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    samples = list(itertools.islice(find_samples(options.fields), options.count))
    files = {"fp32": options.fp32, "winograd": options.winograd, "bf16": options.fp32, "int8": options.int8}
    predictors = {
        f"{precision} {device}": Predictor.load(
            file, device=device, runtime_options=BF16 if precision == "bf16" else {}
        )
        for precision, file in files.items()
        for device in DEVICES
        if file is not None and (precision, device) != ("bf16", "cpu")
    }
    label_sets = {name: _label_sets(predictor, samples) for name, predictor in predictors.items()}
    keras = open_baseline(str(options.keras))
    thresholds = predictors["fp32 cpu"].thresholds
    label_sets[KERAS] = [_labels(found, thresholds) for found in keras.answers(iter(samples))]
    every = {name: Stages(predictor, samples, None, options.seconds) for name, predictor in predictors.items()}
    measures: dict[str, Callable[[], float]] = {
        KERAS: lambda: rate(keras.answers(itertools.cycle(samples)), seconds=options.seconds, unmeasured=2),
        "reading": every["fp32 cpu"].reading,
    }
    for name, stages in every.items():
        measures |= {name: _offline(stages), f"{name} session": stages.raw_session}
    rows = list(tqdm(in_turn(measures, options.rounds), total=options.rounds, unit=" rounds", disable=None))
    write_figures(
        options.output,
        {
            "network": predictors["fp32 cpu"].card.architecture,
            "fields": len(samples),
            "threads": predictors["fp32 cpu"].threads,
            "fields_a_second": spreads(rows),
            "times_keras": {name: ratio for name, ratio in ratios(rows, KERAS).items() if name in predictors},
            "share_of_ceiling": {
                name: Spread.of([row[name] * (1 / row["reading"] + 1 / row[f"{name} session"]) for row in rows])
                for name in predictors
            },
            "same_label_sets_as_keras": {name: _same(label_sets, name, KERAS) for name in predictors},
            "same_label_sets_as_fp32": {
                name: _same(label_sets, name, f"fp32 {name.split()[1]}") for name in predictors if name[:4] != "fp32"
            },
        },
    )


def _offline(stages: Stages) -> Callable[[], float]:
    return lambda: offline(stages)


def _label_sets(predictor: Predictor, samples: list[Sample]) -> list[set[Label | SchemeLabel]]:
    return [set(prediction.labels) for prediction in predictor.predict(samples)]


def _labels(probabilities: np.ndarray, thresholds: np.ndarray) -> set[Label | SchemeLabel]:
    return {Label(int(index)) for index in np.flatnonzero(probabilities >= thresholds)}


def _same(label_sets: dict[str, list[set[Label | SchemeLabel]]], one: str, other: str) -> float:
    pairs = zip(label_sets[one], label_sets[other], strict=True)
    return float(np.mean([found == expected for found, expected in pairs]))


if __name__ == "__main__":
    main()
