"""Measures the overhead of a Ray cluster of one node, this machine, over the plain pipeline on the same cores.

Run, where hpa-sdk[cpu,ray] is installed: python -m benchmarks.ray_overhead

Both take turns over simulated fields; a turn is from opening the model to the last answer, with the cluster already
up. The wall time is printed with the processor time of all processes, which varies less on a busy machine.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import click
import numpy as np
import onnx
import psutil
import ray
from onnx import helper, numpy_helper
from tqdm import tqdm

from hpa_sdk import Failure, Prediction, Predictor, find_samples
from hpa_sdk.integrations.ray import RayPredictor
from hpa_sdk.models.model_card import METADATA_KEY
from tests.small import CARD, build_model
from training.simulation import simulate

DIFFERENT = 200
"""Number of simulated fields; the others repeat them."""

_Answers = Iterable[Prediction | Failure]


@dataclass(frozen=True, slots=True)
class RunTimes:
    """The times of one run over all fields, in seconds.

    Attributes
    ----------
    clock : float
        From opening the model to the last answer.
    first : float
        To the first answer.
    processor : float
        Of this process and its descendants, together.
    """

    clock: float
    first: float
    processor: float


@click.command()
@click.option("--count", default=2000, show_default=True, help="Fields.")
@click.option("--size", default=128, show_default=True, help="Pixels of a side.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--cores", default=2, show_default=True)
@click.option("--model", type=click.Path(path_type=Path), help="Default: the small one of the tests behind filters.")
@click.option("--filters", default=96, show_default=True, help="Cost of the default model: grows with their square.")
def main(count: int, size: int, rounds: int, cores: int, model: Path | None, filters: int) -> None:
    """Compare Ray with the plain pipeline."""
    with tempfile.TemporaryDirectory() as scratch:
        simulate(Path(scratch) / "fields", count=min(count, DIFFERENT), seed=0, size=size, workers=cores)
        samples = list(islice(cycle(find_samples(Path(scratch) / "fields")), count))
        file = model or _costly_model(Path(scratch) / "costly.onnx", filters)
        # Else Ray's workers have lower priority than other processes, and the plain pipeline does not.
        os.environ.setdefault("RAY_worker_niceness", "0")
        began = time.perf_counter()
        ray.init("local", num_cpus=cores, include_dashboard=False, log_to_driver=False)
        figures = {
            "model": model.name if model else f"the small one of the tests behind {filters} filters of 3 x 3",
            "fields": f"{count}, in turn of {min(count, DIFFERENT)} simulated of {size} x {size} pixels",
            "cores": cores,
            "cluster_up_s": round(time.perf_counter() - began, 1),
        }
        engines: dict[str, Callable[[], _Answers]] = {
            "plain": lambda: Predictor.load(file, device="cpu", threads=cores).stream(samples),
            "ray": lambda: RayPredictor.load(file, device="cpu", threads=cores).stream(iter(samples)),
        }
        turns: dict[str, list[RunTimes]] = {name: [] for name in engines}
        for number in tqdm(range(2 * rounds), unit=" turns", disable=None):
            name = tuple(engines)[number % 2]
            turns[name].append(_measured(engines[name], count))
            click.echo(f"{name}: {turns[name][-1]}, load {psutil.getloadavg()[0]:.1f}", err=True)
        ray.shutdown()
    click.echo(json.dumps(figures | _summary(turns), indent=2))


def _measured(answers: Callable[[], _Answers], count: int) -> RunTimes:
    busy, began = _processor_times(), time.perf_counter()
    first, found = 0.0, 0
    for answer in answers():
        first = first or time.perf_counter() - began
        found += isinstance(answer, Prediction)
    if found != count:
        raise SystemExit(f"{count - found} fields failed")
    processor = sum(after - busy.get(process, 0) for process, after in _processor_times().items())
    return RunTimes(time.perf_counter() - began, first, processor)


def _processor_times() -> dict[psutil.Process, float]:
    """Return the seconds of this process and of each descendant, including its ended children."""
    here = psutil.Process()
    return {each: sum(each.cpu_times()[:4]) for each in [here, *here.children(recursive=True)]}


def _summary(turns: Mapping[str, list[RunTimes]]) -> dict[str, object]:
    figures: dict[str, object] = {}
    for figure in ("clock", "first", "processor"):
        each = {name: [asdict(turn)[figure] for turn in some] for name, some in turns.items()}
        figures[f"{figure}_s"] = {name: round(statistics.median(some), 2) for name, some in each.items()}
        if figure != "first":
            more = [ray / plain - 1 for plain, ray in zip(*each.values(), strict=True)]
            figures[f"{figure}_overhead"] = f"{statistics.median(more):.1%}"
            figures[f"{figure}_overhead_of_pairs"] = [f"{pair:.1%}" for pair in more]
    return figures


def _costly_model(path: Path, filters: int) -> Path:
    """Write the small network with convolutions before it, so that a field costs time."""
    model = build_model()
    graph, rng = model.graph, np.random.default_rng(1)
    graph.node[0].output[0] = "pixels"
    nodes = [graph.node[0]]
    for out, into, side, stride in (filters, 3, 3, 2), (filters, filters, 3, 1), (3, filters, 1, 1):
        name = f"filters-{len(nodes)}"
        weights = rng.normal(0, (into * side * side) ** -0.5, (out, into, side, side)).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(weights, name))
        shift, border = [stride] * 2, [side // 2] * 4
        node = helper.make_node("Conv", [nodes[-1].output[0], name], [f"by-{name}"], strides=shift, pads=border)
        nodes.append(node)
    nodes[-1].output[0] = "colours"
    nodes += graph.node[1:]
    del graph.node[:]
    graph.node.extend(nodes)
    helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    main()
