"""Writes the evidence for cells: their segmentation, their answers, and their speed.

    python -m benchmarks.cells --data FOLDER --out docs/evidence/cells.md

FOLDER holds `real_cells`. The command resumes: finished parts of the page are kept in the folder of `--work`. With
`--models`, other models than the starter are measured too, which were fitted on no collage that is held out. With
`--sheet FILE`, outlines on the fields of `kaggle_fields` are drawn there, to be looked at; nothing is tuned on them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.cells.mixes import answer, correlations, split_collages
from benchmarks.cells.segmentation import CELLS, IOUS, SIMULATED_PIXEL, judge_collages, judge_simulated
from benchmarks.cells.sheet import draw_sheet
from benchmarks.cells.single_cells import adapted_to_cells
from benchmarks.cells.speed import MASKS, RAW, WHOLE, memory, rates, seconds_to_segment
from hpa_sdk import Predictor, find_samples
from hpa_sdk.bench.rates import Spread
from hpa_sdk.bench.report import machine
from hpa_sdk.files.atomic_write import atomic_write

_REAL = Path(os.environ.get("HPA_REAL_DATA", "../shared/data"))
_IOU = 0.9
_ADAPTED = "adapted to cells"
_NOTES = Path(__file__).with_name("seen.md")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=_REAL, help="folder of the real fields")
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/cells.md"), help="page to write")
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="further models to measure")
    parser.add_argument("--fields", type=int, default=200, help="simulated fields")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the measurement of speed")
    parser.add_argument("--stream", type=int, default=2000, help="fields of the measurement of memory")
    parser.add_argument("--work", type=Path, default=Path("runs/cells"), help="folder for finished parts of the page")
    parser.add_argument("--parts", nargs="*", choices=sorted(_PARTS), help="measure these; write no page")
    parser.add_argument("--sheet", type=Path, help="PNG with outlines on kaggle_fields; writes no page")
    options = parser.parse_args()
    if options.sheet is not None:
        draw_sheet(options.data / "kaggle_fields", options.sheet)
        return
    texts = [_part(name, options) for name in (options.parts or _PARTS)]
    if options.parts is None:
        with atomic_write(options.out) as partial:
            partial.write_text("".join((*_head(), *texts, _NOTES.read_text(encoding="utf-8"))), encoding="utf-8")


def _part(name: str, options: argparse.Namespace) -> str:
    """Return a part of the page, measured once."""
    kept: Path = options.work / f"{name}.md"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        lines = "\n".join(_PARTS[name](options))
        with atomic_write(kept) as partial:
            partial.write_text(f"{lines}\n", encoding="utf-8")
    return kept.read_text(encoding="utf-8")


def _head() -> Iterator[str]:
    yield "# Cells\n\n"
    yield "Written by `python -m benchmarks.cells`. [Cells](../cells.md) says how cells are found and answered.\n\n"


def _segmentation(options: argparse.Namespace) -> Iterator[str]:
    found = judge_collages(options.data / "real_cells")
    near = np.abs(found.cells - CELLS) <= 1
    yield "## Segmentation"
    yield ""
    yield f"*real_cells*: {len(near)} collages of nine segmented cells each, on black, without a pixel size."
    yield "The overlap is the intersection over union of all cells and of the pixels that are not black. Every"
    yield "20th collage was used to choose the settings."
    yield ""
    yield "| real_cells | share of the collages |"
    yield "| --- | --- |"
    yield f"| exactly nine cells | {np.mean(found.cells == CELLS):.1%} |"
    yield f"| nine cells, one more or one fewer | {near.mean():.1%} |"
    for name, overlaps in (
        ("any plane", found.overlap),
        ("red, blue or yellow, without the protein", found.overlap_of_structures),
    ):
        median, low = np.median(overlaps), np.percentile(overlaps, 5)
        yield (
            f"| overlap of {_IOU} or more with what is not black in {name} | {np.mean(overlaps >= _IOU):.1%}"
            f" (median overlap {median:.3f}, 5th percentile {low:.3f}) |"
        )
    yield ""
    yield f"*Simulated fields*: {options.fields} fields of a seed of their own, of 512 pixels, drawings of cells. A"
    yield "found cell is right if it overlaps a true one by this intersection over union. Cells whose nucleus is"
    yield "outside the field are not judged."
    yield ""
    yield "| simulated fields | cells | found | " + " | ".join(f"F1 at {iou}" for iou in IOUS) + " |"
    yield "| --- | --- | --- | --- | --- |"
    for name, size in ((f"{SIMULATED_PIXEL} um per pixel", SIMULATED_PIXEL), ("pixel size unknown", None)):
        counts = judge_simulated(options.fields, pixel_size=size)
        yield f"| {name} | {counts.true} | {counts.found} | " + " | ".join(f"{counts.f1(i):.3f}" for i in IOUS) + " |"
    yield ""


def _mixes(options: argparse.Namespace) -> Iterator[str]:
    folder = options.data / "real_cells"
    _, samples = split_collages(folder)
    adapted = adapted_to_cells(folder, options.work)
    answers = {}
    further = [("", str(model)) for model in options.models]
    for name, model in (("starter", "starter"), (_ADAPTED, str(adapted.file)), *further):
        with Predictor.load(model, device="cpu") as predictor:
            answers[name or predictor.card.name] = answer(predictor, samples, folder)
    yield "## Share of the cells that show a label"
    yield ""
    yield "In a collage with two labels, 1/4, 1/2 or 3/4 of the cells show the one and the others the other, about."
    yield f"The figures are Pearson's correlation with that share, over the {len(samples)} collages that no model"
    yield "was fitted on, for each pair of labels with the collages that show one of them alone. *Found* is the"
    yield "share of the cells whose label set has the label, *mean* the mean probability over the cells, *field* the"
    yield "probability for the whole collage."
    yield ""
    yield "| pair | label | collages | model | found | mean | field |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    rows = list(zip(*map(correlations, answers.values()), strict=True))
    lower = sum(after.field < before.field for before, after, *_ in rows)
    for pairs in rows:
        for name, pair in zip(answers, pairs, strict=True):
            figures = " | ".join(
                "the same for all" if np.isnan(value) else f"{value:.2f}"
                for value in (pair.found, pair.mean, pair.field)
            )
            yield f"| {', '.join(pair.labels)} | {pair.label} | {pair.collages} | {name} | {figures} |"
    yield ""
    for name, answered in answers.items():
        right = np.concatenate([one.right for one in answered if len(one.shares) == 1])
        exact = f"{right.mean():.0%} of the {len(right)} cells"
        yield f"- {name}: {exact} of collages with one label get exactly that label"
    yield ""
    shown = ", ".join(f"{count} {name}" for name, count in adapted.cells.items())
    yield f"**{_ADAPTED.capitalize()}** is the starter after `hpa adapt` on {adapted.adaptation.fields} cells, each"
    yield "alone in its field as `hpa cells` shows it to the model: all cells of the"
    yield f"{adapted.collages} collages with one label among those that the starter was fitted on"
    yield f"({shown}). It changed:"
    yield f"{'; '.join(adapted.adaptation.changes)}. The rest of the network is the same."
    yield f"It is for cells only: *field* is lower than the starter's in {lower} of {len(rows)} rows. It is no part of"
    yield "the package. The correlations of pairs with few collages are uncertain."
    yield ""
    yield "The starter was fitted on pictures of many cells, and a cell alone in its field fills about a fiftieth of"
    yield "the picture: its probabilities are low, and few or no cells reach the threshold of a label. A last layer"
    yield "and thresholds that were fitted on single cells correct most of that."
    yield ""


def _speed(options: argparse.Namespace) -> Iterator[str]:
    seconds = seconds_to_segment(rounds=options.rounds)
    yield "## Speed and memory"
    yield ""
    yield f"On {machine()['processor']}, which other programs used too."
    yield ""
    yield "Segmentation of one field of 2048 x 2048 x 4 with 40 cells, at 0.08 um per pixel, takes"
    yield f"{_text(seconds, 1000, 'ms')} of processor time, on one core."
    yield ""
    yield "Cells a second on all cores, from files. The raw sessions of onnxruntime run ready images; all take turns."
    yield "*Share* is the median ratio to the raw sessions in the same turn. A collage has nine cells, so that a cell"
    yield "takes a larger part of the decoding than in genuine fields."
    yield "Other programs use the cores too, so shares differ between turns: one above 100% is such noise. Processor"
    yield "time is that of one core for a cell, and depends less on them."
    yield ""
    yield f"| model | fields | figure | {RAW} | {MASKS} | share | {WHOLE} | share |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    measurements = [("starter", "real_cells", 36), ("starter", "kaggle_fields", 24)]
    for model, name, count in (*measurements, *((further, "real_cells", 6) for further in options.models)):
        samples = list(find_samples(options.data / name))[:count]
        with Predictor.load(model, device="cpu") as predictor:
            measured = rates(predictor, samples, rounds=options.rounds)
        for figure, values, power in (
            ("cells a second", measured.cells_a_second, 1),
            ("processor time, ms", measured.milliseconds, -1),
        ):
            cells = [f"{np.median(values[RAW]):.1f}"]
            for run in (MASKS, WHOLE):
                shares = np.divide(values[run], values[RAW]) ** power
                cells += [f"{np.median(values[run]):.1f}", _percent(shares)]
            yield f"| {Path(model).stem} | {count} of {name} | {figure} | " + " | ".join(cells) + " |"
    yield ""


def _memory(options: argparse.Namespace) -> Iterator[str]:
    samples = list(find_samples(options.data / "real_cells"))
    with Predictor.load("starter", device="cpu") as predictor:
        used = memory(predictor, samples, fields=options.stream)
    yield (
        f"Memory over a stream of {used.fields:,} fields, from the 400th on: median {used.median:.0f} MiB, from"
        f" {used.lowest:.0f} to {used.highest:.0f} MiB."
    )
    yield ""


_PARTS: dict[str, Callable[[argparse.Namespace], Iterator[str]]] = {
    "segmentation": _segmentation,
    "mixes": _mixes,
    "speed": _speed,
    "memory": _memory,
}


def _percent(shares: npt.NDArray[np.float64]) -> str:
    return f"{np.median(shares):.0%} ({shares.min():.0%} to {shares.max():.0%})"


def _text(spread: Spread, factor: float, unit: str) -> str:
    return f"{spread.median * factor:.0f} {unit} ({spread.low * factor:.0f} to {spread.high * factor:.0f})"


if __name__ == "__main__":
    main()
