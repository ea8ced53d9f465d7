"""Measures whether warnings, disagreement and margins tell right answers from wrong ones, and what they cost.

    python -m benchmarks.trust MODEL REAL --out docs/evidence/trust.md
    python -m benchmarks.trust MODEL REAL --also resnet.onnx HELD_OUT --also vgg.onnx HELD_OUT --out ...

REAL are labelled fields that the model was not fitted on; simulated fields are drawn here. Each further model is judged
on its own held-out fields. No limit, temperature or threshold is fitted on any of them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.corruptions import defocus, no_cells, saturation, scaled, swapped
from hpa_sdk import ModelCard, Prediction, Predictor
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.inference.ensemble import Views
from hpa_sdk.quality.measures import Planes
from training.data.dataset import Targets, read_dataset
from training.judge.calibration import measure_reliability
from training.simulation.dataset import simulate

_SIMULATED = 60
_SEED = 97  # not that of any fit
_DRAWS = 1000
_COVERAGES = (1.0, 0.9, 0.75, 0.5, 0.25)
_SOAK = 3000
_COST_ROUNDS = 7
_MIB = 2**20
_SPOILED = {
    "defocus, sigma 3": defocus(3),
    "5% saturated": saturation(0.05),
    "background in green": no_cells(2, plane=1),
    "blue and green swapped": swapped,
    "scale x1/2": scaled(0.5),
}

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers for a labelled set."""

    name: str
    card: ModelCard
    planes: list[Planes]
    targets: Targets
    plain: list[Prediction]
    views: list[Prediction]

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """float32 of shape (fields, classes)."""
        return np.stack([answer.probabilities for answer in self.plain])


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("real", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="page to write")
    parser.add_argument(
        "--also", nargs=2, action="append", default=[], metavar=("MODEL", "FIELDS"), help="a further model to judge"
    )
    parser.add_argument("--soak", type=int, default=_SOAK, help="predictions of the memory measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _load(options.model) as predictor:
        simulate(Path(folder) / "simulated-28", count=_SIMULATED, seed=_SEED, workers=1)
        with _load(options.model, views=8) as views:
            sets = [_answer(path, predictor, views) for path in (options.real, Path(folder) / "simulated-28")]
            cost_of_views = _seconds(lambda: views.predict_planes(sets[0].planes)) / _seconds(
                lambda: predictor.predict_planes(sets[0].planes)
            )
        every = [*sets, *(_further(model, Path(fields)) for model, fields in options.also)]
        click.echo("answered")
        page = _PAGE.format(
            model=predictor.card.name,
            models="; ".join(dict.fromkeys(_described(each.card) for each in every)),
            sets=", ".join(dict.fromkeys(f"{len(each.plain)} of {each.name}" for each in every)),
            area="\n".join(itertools.chain.from_iterable(map(_area_rows, every))),
            risk="\n".join(itertools.chain.from_iterable(map(_risk_rows, every))),
            flagged="\n".join(_flagged_rows(sets[0], predictor)),
            calibration="\n".join(row for each in every for row in _calibration_rows(each)),
            views=f"{cost_of_views:.1f}",
            cost=_cost(options.model, options.real),
            memory=_memory(predictor, sets[0].planes, options.soak),
        )
    with atomic_write(options.out) as partial:
        partial.write_text(page, encoding="utf-8")
    click.echo(page)


def _load(model: str, *, views: Views = 1, quality: bool = True) -> Predictor:
    return Predictor.load(model, device="cpu", threads=1, views=views, quality=quality)


def _answer(path: Path, predictor: Predictor, views: Predictor) -> Answered:
    dataset = read_dataset(path)
    planes = [read_planes(sample) for sample in dataset.samples]
    answers = [one.predict_planes(planes) for one in (predictor, views)]
    return Answered(path.name, predictor.card, planes, dataset.targets, *answers)


def _further(model: str, fields: Path) -> Answered:
    with _load(model) as predictor, _load(model, views=8) as views:
        return _answer(fields, predictor, views)


def _described(card: ModelCard) -> str:
    fit = card.training
    return card.name if fit is None else f"{card.name} (recipe {fit.recipe}, {fit.fields_seen:,} fields seen)"


def _errors(targets: Targets, answers: Sequence[Prediction]) -> Numbers:
    """Return 1 - F1 of each field's label set; 0 if both sets are empty."""
    found = np.stack([answer.probabilities >= answer.thresholds for answer in answers])
    both = (found & (targets > 0)).sum(axis=1)
    sizes = found.sum(axis=1) + (targets > 0).sum(axis=1)
    return 1 - np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def _doubts(answered: Answered) -> dict[str, Numbers]:
    """Return how doubtful each field is, by several measures; the same answers are judged by all of them."""
    deviations = np.stack([answer.deviations for answer in answered.views])
    margins = np.stack([np.abs(answer.probabilities - answer.thresholds) for answer in answered.plain])
    judged = [answer.quality.measures for answer in answered.plain if answer.quality is not None]
    shares = [measures["outlying"] for measures in judged if "outlying" in measures]
    distances = {"distance: 1 - share outlying": 1 - np.array(shares)} if shares else {}
    return {
        "disagreement of 8 views: mean over the classes": deviations.mean(axis=1).astype(np.float64),
        "disagreement of 8 views: largest of a class": deviations.max(axis=1).astype(np.float64),
        **distances,
        "1 - margin of the least sure class": 1 - margins.min(axis=1).astype(np.float64),
        "1 - largest probability": 1 - answered.probabilities.max(axis=1).astype(np.float64),
    }


def _curve(errors: Numbers, doubts: Numbers) -> Numbers:
    """Return the mean error of the k least doubtful fields, for each k; of equal ones in all orders, on average."""
    _, place = np.unique(doubts, return_inverse=True)
    means = np.bincount(place, weights=errors) / np.bincount(place)
    ordered = means[place][np.argsort(place, kind="stable")]
    curve: Numbers = np.cumsum(ordered) / np.arange(1, len(errors) + 1)
    return curve


def _area_rows(answered: Answered) -> list[str]:
    """Return the area under each curve, with that of a chance order, and of the best order."""
    errors = _errors(answered.targets, answered.plain)
    best = _curve(errors, errors).mean()
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(errors), len(errors)) for _ in range(_DRAWS)]
    rows = []
    for name, doubts in _doubts(answered).items():
        below = np.array([_curve(errors[at], doubts[at]).mean() - errors[at].mean() for at in draws])
        low, high = np.quantile(below, [0.025, 0.975])
        area = _curve(errors, doubts).mean()
        rows.append(
            f"| {answered.card.name} | {answered.name} | {name} | {area:.3f} | {area - errors.mean():+.3f} ({low:+.3f}"
            f" to {high:+.3f}) | {best - errors.mean():+.3f} |"
        )
    return rows


def _risk_rows(answered: Answered) -> list[str]:
    errors = _errors(answered.targets, answered.plain)
    rows = []
    for name, doubts in _doubts(answered).items():
        curve = _curve(errors, doubts)
        cells = " | ".join(f"{curve[max(round(share * len(errors)), 1) - 1]:.3f}" for share in _COVERAGES)
        rows.append(f"| {answered.card.name} | {answered.name} | {name} | {cells} |")
    return rows


def _flagged_rows(real: Answered, predictor: Predictor) -> list[str]:
    """Return the F1 of fields with and without warnings, when every second field was spoiled."""
    rows = []
    for name, corruption in _SPOILED.items():
        rng = np.random.default_rng(0)
        mixed = [corruption(planes, rng) if at % 2 else planes for at, planes in enumerate(real.planes)]
        answers = predictor.predict_planes(mixed)
        flagged = np.array([bool(answer.warnings) for answer in answers])
        f1 = 1 - _errors(real.targets, answers)
        spoiled = np.arange(len(mixed)) % 2 == 1
        cells = (_mean(f1[part]) for part in (spoiled, ~spoiled, flagged, ~flagged))
        rows.append(f"| {name} | {flagged[spoiled].mean():.0%} | {' | '.join(cells)} |")
    return rows


def _mean(values: Numbers) -> str:
    return f"{values.mean():.3f} of {len(values)}" if len(values) else "none"


def _calibration_rows(answered: Answered) -> list[str]:
    """Return the error as the probabilities are, and with the temperature of the card."""
    temperatures, calibration = {"none": 1.0}, answered.card.calibration
    if calibration is not None:
        temperatures[f"{calibration.temperature:.3f}, of the card"] = calibration.temperature
    rows = []
    for name, temperature in temperatures.items():
        found = measure_reliability(answered.targets, answered.probabilities, temperature=temperature)
        rows.append(f"| {answered.card.name} | {answered.name} | {name} | {found.error:.4f} |")
    return rows


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _cost(model: str, fields: Path) -> str:
    """Return the processor time of an answer from files, with and without quality, measured in turn."""
    dataset = read_dataset(fields)
    predictors = [_load(model), _load(model, quality=False)]
    rounds = []
    for number in range(_COST_ROUNDS + 1):
        times = []
        for predictor in predictors:
            start = time.process_time()
            list(predictor.stream(dataset.samples))
            times.append((time.process_time() - start) / len(dataset.samples) * 1000)
        if number:
            rounds.append(times)
    table = np.array(rounds)
    ratios = table[:, 0] / table[:, 1] - 1
    return (
        f"{np.median(table[:, 0]):.1f} ms with and {np.median(table[:, 1]):.1f} ms without: {np.median(ratios):.1%}"
        f" more ({ratios.min():.1%} to {ratios.max():.1%})"
    )


def _memory(predictor: Predictor, planes: Sequence[Planes], count: int) -> str:
    process = psutil.Process()
    used = []
    for at in range(count):
        predictor.predict_planes([planes[at % len(planes)]])
        if at % (count // 6) == count // 6 - 1:
            gc.collect()
            used.append(process.memory_info().rss / _MIB)
    return f"{count:,} predictions with quality: " + ", ".join(f"{each:.0f}" for each in used) + " MiB"


_PAGE = """\
# Trust: what warnings, disagreement and margins are worth

This page shows whether the measures of [quality](../quality.md) tell right answers from wrong ones, and what they cost.
`python -m benchmarks.trust MODEL REAL --out docs/evidence/trust.md` writes it.

Models: {models}.

Fields: {sets}. Warnings, cost and memory are those of {model}.
The simulated fields were drawn with another seed than those of the fit. An answer's error is 1 - F1 of its label set.

## Risk against coverage

If the most doubtful answers are left out, the others should be better. The area is the mean error over all coverages:
that of a random order is the mean error of all fields. The difference to it has a 95% interval by bootstrap over the
fields; below 0 is better. The last column is the best possible order.

| model | fields | doubt by | area | to a random order | best |
| --- | --- | --- | --- | --- | --- |
{area}

Mean error of the answers that are left, at some coverages:

| model | fields | doubt by | 100% | 90% | 75% | 50% | 25% |
| --- | --- | --- | --- | --- | --- | --- | --- |
{risk}

## Answers with and without warnings

Every second field of the first set was spoiled. F1 of the label sets, on average:

| spoiled by | of these flagged | spoiled | not spoiled | with a warning | without a warning |
| --- | --- | --- | --- | --- | --- |
{flagged}

## Calibration

Expected calibration error over all pairs of a field and a class (15 bins). A card has a temperature only if
cross-validation found it better than none; a model without such a row has none.

| model | fields | temperature | error |
| --- | --- | --- | --- |
{calibration}

## Cost

Processor time of an answer from four PNG files on one core, measured in turn:
{cost}.

8 views take {views} times the time of one, for planes in memory.

Memory of the process during {memory}.
"""


if __name__ == "__main__":
    main()
