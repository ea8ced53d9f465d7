"""Measures what reviewed fields buy: networks adapted to domains that they have not seen, by the number of fields.

    python -m benchmarks.adapt --data FOLDER --network Inception-ResNet-V2 inception_resnet_v2.onnx real_cells

FOLDER holds `real_cells` and `kaggle_fields` in the Kaggle form. Each draw adapts to some fields with the code of
`hpa adapt` and judges on all others; no adapted model is kept. Embeddings are computed once and kept in `--work`.
A network that was fitted on real_cells, on the training part of the split `stratified`, is judged on its held-out part.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from hpa_sdk.adapt.choice import Fields, candidates, choose, learn
from hpa_sdk.adapt.figures import Change, bootstrap_weights, macro_average_precision, macro_f1
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.prediction import Prediction, log_odds
from hpa_sdk.predictor import Predictor
from training.data.dataset import Targets, read_dataset
from training.data.split import stratified_split
from training.simulation.fields import simulate_field
from training.simulation.label_draw import draw_labels

_REAL = Path(os.environ.get("HPA_REAL_DATA", "../shared/data"))
_SIZES = (25, 50, 100, 200)
_DRAWS = 5
_SIMULATED = 320
_SEED = 77
_PHOTONS, _READ_NOISE, _BLUR, _CUT = 25.0, 4.0, 2.2, 96

DOMAINS = {"simulated": False, "real_cells": True, "both": True}
"""What a network was fitted on, and whether a part of real_cells was."""

Microscope = Callable[[npt.NDArray[np.uint8], np.random.Generator], npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Network:
    """A network that is adapted.

    Attributes
    ----------
    name : str
        Its name on the page.
    model : str
        Its file, or its name in the catalogue.
    fitted_on : str
        Its domain: a key of `DOMAINS`.
    """

    name: str
    model: str
    fitted_on: str


@dataclass(frozen=True, slots=True)
class Shift:
    """A network and a domain that it has not seen.

    Attributes
    ----------
    network, domain : str
        Their names.
    fields : Fields
        The fields of the domain, with the network's answers.
    sizes : tuple of int
        Numbers of fields to adapt to.
    least : int
        Fields of the domain from which a class counts.
    """

    network: str
    domain: str
    fields: Fields
    sizes: tuple[int, ...]
    least: int


@dataclass(frozen=True, slots=True)
class Result:
    """One shift with one number of fields, over all draws."""

    shift: Shift
    size: int
    f1: Change
    average_precision: Change
    worst: float
    taken: tuple[str, ...]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_REAL, help="folder of the real fields")
    parser.add_argument(
        "--network",
        action="append",
        nargs=3,
        default=[],
        metavar=("NAME", "FILE", "DOMAIN"),
        help=f"another network, and what it was fitted on: {', '.join(DOMAINS)}",
    )
    parser.add_argument("--work", type=Path, default=Path("runs/adapt"), help="folder for embeddings")
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/adapt.md"), help="page to write")
    options = parser.parse_args()
    unknown = sorted({domain for *_, domain in options.network} - set(DOMAINS))
    if unknown:
        parser.error(f"--network: {', '.join(unknown)} is none of {', '.join(DOMAINS)}")
    options.work.mkdir(parents=True, exist_ok=True)
    shifts = list(_shifts(options))
    turns = [(shift, size) for shift in shifts for size in shift.sizes]
    with threadpool_limits(1):
        results = [_measure(*turn) for turn in tqdm(turns, disable=None)]
    figure = options.out.with_suffix(".png")
    _draw(results, figure)
    with atomic_write(options.out) as page:
        page.write_text("\n".join(_page(results, figure.name)) + "\n", encoding="utf-8")


def _shifts(options: argparse.Namespace) -> Iterator[Shift]:
    """Give all shifts, with the answers of the networks."""
    for network in (Network("starter", "starter", "both"), *(Network(*given) for given in options.network)):
        yield from _shifts_of(network, options.data, options.work)


def _shifts_of(network: Network, data: Path, work: Path) -> Iterator[Shift]:
    predictor = Predictor.load(network.model, device="cpu", quality=False)
    kaggle, cells = (read_dataset(data / name) for name in ("kaggle_fields", "real_cells"))
    fields = _answers(work, predictor, "kaggle_fields", kaggle.samples, kaggle.targets)
    yield Shift(network.name, "kaggle_fields", fields, (25, 50), 5)
    name, rows = "real_cells", np.arange(len(cells.samples))
    sizes: tuple[int, ...] = _SIZES
    if DOMAINS[network.fitted_on]:
        name, rows, sizes = "real_cells, held-out part", stratified_split(cells.targets)[1], (25,)
    fields = _answers(work, predictor, name, cells.pick(rows), cells.targets[rows])
    yield Shift(network.name, name, fields, sizes, 5)
    for name, recorded in simulated(work, predictor).items():
        yield Shift(network.name, f"simulated, {name}", recorded, _SIZES, 10)


def _blurred(planes: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Record a field with a blurred microscope and a noisy camera."""
    light = np.stack([cv2.GaussianBlur(plane.astype(np.float32), (0, 0), _BLUR) for plane in planes]) / np.float32(255)
    noisy = rng.poisson(light * _PHOTONS) / _PHOTONS * 255 + rng.normal(0, _READ_NOISE, light.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def _enlarged(planes: npt.NDArray[np.uint8], _rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Record the middle of a field with an objective of a higher magnification."""
    cut = planes[:, _CUT:-_CUT, _CUT:-_CUT]
    return np.stack([cv2.resize(plane, planes.shape[1:], interpolation=cv2.INTER_LINEAR) for plane in cut])


MICROSCOPES: dict[str, Microscope] = {
    "blurred and noisy": _blurred,
    "1.6 times as large": _enlarged,
}


def simulated(work: Path, predictor: Predictor) -> dict[str, Fields]:
    """Simulate fields with the label sets of the Kaggle table, and record each with every microscope."""
    files = {name: _file(work, predictor, name) for name in MICROSCOPES}
    if not all(file.exists() for file in files.values()):
        rng = np.random.default_rng(_SEED)
        labels = [[int(label) for label in draw_labels(rng)] for _ in range(_SIMULATED)]
        answers: list[list[Prediction]] = []
        for row, one in enumerate(tqdm(labels, unit=" fields", disable=None)):
            planes = simulate_field(one, np.random.default_rng([_SEED, row]))
            recorded = [made(planes, np.random.default_rng([_SEED, row])) for made in MICROSCOPES.values()]
            answers.append(predictor.predict_planes(recorded))
        for file, column in zip(files.values(), zip(*answers, strict=True), strict=True):
            _keep(file, column, labels)
    return {name: _read(file) for name, file in files.items()}


def _answers(work: Path, predictor: Predictor, name: str, samples: Sequence[Sample], targets: Targets) -> Fields:
    file = _file(work, predictor, name)
    if not file.exists():
        found = predictor.predict(samples)
        _keep(file, found, [np.flatnonzero(row).tolist() for row in targets])
    return _read(file)


def _file(work: Path, predictor: Predictor, fields: str) -> Path:
    """Name the answers by the content of the model, so that a new fit under an old name is answered anew."""
    return work / f"{predictor.model.sha256[:16]}-{fields}.npz"


def _keep(file: Path, answers: Sequence[Prediction], labels: Sequence[Sequence[int]]) -> None:
    classes = range(len(answers[0].thresholds))
    with atomic_write(file) as partial_file, partial_file.open("wb") as stream:
        np.savez(
            stream,
            truth=np.array([[at in one for at in classes] for one in labels]),
            logits=np.stack([log_odds(one.probabilities) for one in answers]),
            embeddings=np.stack([one.embedding for one in answers]),
            thresholds=log_odds(answers[0].thresholds),
        )


def _read(file: Path) -> Fields:
    with np.load(file) as kept:
        return Fields(
            truth=kept["truth"],
            logits=kept["logits"],
            embeddings=kept["embeddings"],
            thresholds=kept["thresholds"],
            old_classes=kept["truth"].shape[1],
        )


def _measure(shift: Shift, size: int) -> Result:
    changes, taken = [], []
    counted = shift.fields.classes(shift.least)
    for draw in range(_DRAWS):
        order = np.random.default_rng(draw).permutation(len(shift.fields.truth))
        mine, judged = shift.fields.rows(order[:size]), shift.fields.rows(order[size:])
        way = choose(candidates(mine))
        taken.append("nothing" if way is None else way.name)
        logits, thresholds = judged.logits, np.asarray(judged.thresholds)
        if way is not None:
            learned = learn(mine, way.refitted)
            logits, thresholds = learned.moved(judged), np.asarray(learned.thresholds, np.float64)
        weights, truth = bootstrap_weights(len(judged.truth), seed=draw), judged.truth[:, counted]
        before, after = judged.logits >= judged.thresholds, logits >= thresholds
        changes.append(
            [
                Change(
                    macro_f1(truth, before[:, counted], weights),
                    macro_f1(truth, after[:, counted], weights),
                ),
                Change(
                    macro_average_precision(truth, judged.logits[:, counted], weights),
                    macro_average_precision(truth, logits[:, counted], weights),
                ),
            ]
        )
    f1, order_change = (
        Change(np.mean([one.before for one in column], axis=0), np.mean([one.after for one in column], axis=0))
        for column in zip(*changes, strict=True)
    )
    worst = min(change.gain for pair in changes for change in pair)
    return Result(shift, size, f1, order_change, worst, tuple(taken))


def _draw(results: Sequence[Result], file: Path) -> None:
    """Draw the gains by the number of fields, one curve a shift."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of the backend

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for axis, name in zip(axes, ("f1", "average_precision"), strict=True):
        for shift in dict.fromkeys(id(result.shift) for result in results):
            own = [result for result in results if id(result.shift) == shift]
            gains = [getattr(result, name) for result in own]
            low, high = zip(*(change.interval for change in gains), strict=True)
            sizes = [result.size for result in own]
            (line,) = axis.plot(
                sizes, [change.gain for change in gains], "o-", label=f"{own[0].shift.network}: {own[0].shift.domain}"
            )
            axis.fill_between(sizes, low, high, color=line.get_color(), alpha=0.1)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.set_xticks(_SIZES, [str(size) for size in _SIZES])
        axis.set_xlabel("reviewed fields")
        axis.set_title({"f1": "macro F1", "average_precision": "macro average precision"}[name])
    axes[0].set_ylabel("gain on other fields")
    axes[1].legend(fontsize=7)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _page(results: Sequence[Result], figure: str) -> Iterator[str]:
    yield "# Adaptation"
    yield ""
    yield "Written by `python -m benchmarks.adapt`. Each row is a network and a domain that it was not fitted on, and"
    yield f"the means over {_DRAWS} draws. Each draw adapts to some fields with the code of `hpa adapt`, which changes"
    yield "only what is better by more than chance in nested cross-validation, and judges on all other fields. Gains"
    yield "have 95 % intervals by a paired bootstrap over the judged fields. Means are over the classes with enough"
    yield "fields."
    yield ""
    yield f"![Gains of macro F1 and macro average precision by the number of reviewed fields]({figure})"
    yield ""
    yield "| network | domain | fields | macro F1 | gain | average precision | gain | worst gain of a draw | taken |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for result in results:
        counts = {name: result.taken.count(name) for name in ("last layer", "thresholds", "nothing")}
        taken = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        cells = (result.shift.network, result.shift.domain, str(result.size), *_cells(result.f1))
        yield f"| {' | '.join((*cells, *_cells(result.average_precision), f'{result.worst:+.3f}', taken))} |"
    yield ""
    yield _NOTES.strip()
    if {result.shift.network for result in results} == {"starter"}:
        yield "The starter alone was measured: another network needs `--network NAME FILE DOMAIN`."


def _cells(change: Change) -> tuple[str, str]:
    low, high = change.interval
    return f"{change.before[0]:.3f} to {change.after[0]:.3f}", f"{change.gain:+.3f} ({low:+.3f} to {high:+.3f})"


_NOTES = """
**Domains.** kaggle_fields are 60 genuine fields of the Kaggle set of 2018; classes with 5 fields or more count.
They are split anew in each draw, and nothing of it is kept. real_cells are collages of nine segmented cells
each. A network that was fitted on a part of them is judged on the 56 held-out collages. These are the same
domain: little is to be gained there. The simulated fields have the label sets of the Kaggle table (classes with
10 fields or more count). Their microscopes are made after the simulation. One has a blur of 2.2 pixels, 25
photons at white and read noise. The other shows the middle of the field 1.6 times as large.

**Limits.** The judged fields of one row overlap between draws, so the rows are not independent. With 25 fields
the decision has little power: often nothing is taken, and what is taken can be worse by chance.
"""


if __name__ == "__main__":
    main()
