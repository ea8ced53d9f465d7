"""Measures whether prediction during an acquisition slows it down, on a simulated microscope.

    python -m benchmarks.acquisition_slowdown

The predictor is a real one with a small model, slowed down by 200 ms per field. Runs with (B) and without (A) the
handler alternate, A B A B A; each B is compared with the mean of the A before and after it. The median of these ratios
is printed with its range, for ``core.mda.run`` as a whole and for the acquisition only, from its start signal to its
end signal. A handler that waits makes the first longer, as it should: ``run`` returns when all fields are answered. The
noise of other work on the machine is printed too: each A compared with the previous A.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import useq
from tqdm import tqdm

from examples.micro_manager import plan, simulated_core
from hpa_sdk import Predictor
from hpa_sdk.fields.rules import ChannelNames, Files, Trained
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.micro_manager import FieldHandler
from hpa_sdk.workstation.station import Station
from tests.small import make_model

SECONDS_A_FIELD = 0.2
WAYS: tuple[Literal["drop", "wait"], ...] = ("drop", "wait")


class SlowPredictor(Predictor):
    """A slow predictor."""

    def predict(self, *sources: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on unchanged
        """Predict after a pause."""
        time.sleep(SECONDS_A_FIELD)
        return super().predict(*sources, **options)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--fields", type=int, default=12)
    parser.add_argument("--exposure", type=float, default=50, help="milliseconds; the shorter, the harder")
    parser.add_argument("--side", type=int, default=1024, help="pixels of 16 bits")
    options = parser.parse_args()
    planes = np.random.default_rng(0).integers(0, 4096, (4, options.side, options.side)).astype(np.uint16)
    core = simulated_core([planes] * options.fields, pixel_size=0.16)
    sequence = plan(options.fields, exposure=options.exposure)
    for when_full in WAYS:
        with tempfile.TemporaryDirectory() as folder, _workplace(Path(folder)) as (station, predictor, store):
            without, during = [_run(core, sequence, [])], []
            for _ in tqdm(range(options.pairs), unit=" pairs", disable=None):
                with FieldHandler(station, predictor, store, when_full=when_full) as handler:
                    during.append(_run(core, sequence, [handler]))
                without.append(_run(core, sequence, []))
        click.echo(f"{when_full}: {handler.report.dropped} of {options.fields} fields dropped")
        for at, name in enumerate(("run", "acquisition")):
            beside = [(before[at], after[at]) for before, after in pairwise(without)]
            _print(name, [run[at] / statistics.mean(pair) for run, pair in zip(during, beside, strict=True)])
            _print(f"{name}, without alone", [after / before for before, after in beside])


def _print(name: str, ratios: list[float]) -> None:
    low, high = min(ratios) - 1, max(ratios) - 1
    click.echo(f"  {name:<28} {statistics.median(ratios) - 1:+.1%} ({low:+.1%} to {high:+.1%})")


@contextmanager
def _workplace(folder: Path) -> Iterator[tuple[Station, Predictor, ResultStore]]:
    station = Station(
        model=make_model(folder / "small.onnx"),
        watch=folder,
        output=folder,
        files=Files(white=4095.0),
        channels=ChannelNames(red=("tubulin",), green=("protein",), blue=("dapi",), yellow=("er",)),
        trained=Trained(pixel_size=0.32, side=512),
    )
    predictor = SlowPredictor.load(station.model, device="cpu", white=station.files.white)
    with ResultStore(station.output) as store:
        yield station, predictor, store


def _run(core: Any, sequence: useq.MDASequence, output: list[FieldHandler]) -> tuple[float, float]:  # noqa: ANN401
    moments: list[float] = []

    def record_time() -> None:
        moments.append(time.perf_counter())

    signals = (core.mda.events.sequenceStarted, core.mda.events.sequenceFinished)
    for signal in signals:
        signal.connect(record_time)
    began = time.perf_counter()
    core.mda.run(sequence, output=output)
    seconds = time.perf_counter() - began
    for signal in signals:
        signal.disconnect(record_time)
    return seconds, moments[1] - moments[0]


if __name__ == "__main__":
    main()
