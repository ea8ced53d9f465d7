"""Fits both networks with one budget on simulated and real fields, and writes their figures on held-out fields.

    python -m benchmarks.evidence --presentations 150000 --real-cells FOLDER --out docs/evidence
    python -m benchmarks.evidence --presentations 5000 --epochs 5 --statistics-fields 256 --precision mixed_bfloat16

On each data set, each network is fitted by the `study` recipe from random weights, and the better one by `strong`, with
the same number of field presentations: the study's whole budget, or, as in the second line, one for a CPU, whose short
fits need recomputed batch statistics. Finished runs are reused, so that the script can be resumed. Rows of other runs
stay in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click
import keras

from hpa_sdk.bench.report import machine
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import Label
from hpa_sdk.models.contract import RUN_CARD, RUN_RECORD
from hpa_sdk.models.model_card import STUDY_THRESHOLD
from training.data.dataset import read_dataset
from training.data.prepared import prepared_folder
from training.data.split import stratified_split
from training.errors import RunError
from training.fit.fit import fit
from training.fit.recipe import Precision, Recipe, read_recipe
from training.fit.run_folder import Plan
from training.judge.evaluation import judge_fields
from training.judge.fitted_run import read_run
from training.judge.predictions import predict_fields
from training.judge.thresholds import tune_thresholds
from training.network_forms import STUDY_NETWORKS, NetworkName
from training.simulation import simulate

_REAL_CELLS = Path(os.environ.get("HPA_REAL_DATA", "../shared/data")) / "real_cells"
_RECIPES = ("study", "strong")
_HALF = 0.5
_EARLIER = "earlier_"
_INTRODUCTION = """\
This page shows how well the networks predict held-out fields. `python -m benchmarks.evidence` writes it, with one row
for each run. A column without a threshold uses thresholds that were tuned on the validation part.

- `simulated-28` is simulated. It says nothing about biology.
- `real_cells` are 283 collages of segmented cells of the Human Protein Atlas, with five classes. A constant guess of
  {Nucleoplasm, Cytosol} reaches micro F1 0.72 and macro F1 0.32 on the held-out fields.
- In the study, VGG-16 saw 150,000 fields and Inception-ResNet-V2 170,000, repetitions included. Here all networks see
  the same number. A row with fewer fields shows only that fitting works."""
_EARLIER_RECIPES = """\
The names of earlier recipes start with `earlier_`. These rows were fitted before each part of the recipe was [measured
separately](recipe-parts.md) and the recipe was changed."""
_COLUMNS = (
    *("data", "network", "recipe", "fields seen", "micro F1", "macro F1", "macro F1 at 0.2", "macro F1 at 0.5"),
    "how",
)


def main() -> None:
    """Fit, judge, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presentations", type=int, default=150_000, help="fields seen by each network")
    parser.add_argument("--epochs", type=int, default=150, help="epochs that the presentations are divided into")
    parser.add_argument("--fields", type=int, default=4000, help="simulated fields to fit on")
    parser.add_argument("--size", type=int, default=512, help="side of a simulated plane in pixels")
    parser.add_argument("--real-cells", type=Path, default=_REAL_CELLS, help="labelled fields; a fifth is held out")
    parser.add_argument("--data", nargs="+", choices=_DATA, default=list(_DATA), help="data sets, in this order")
    parser.add_argument("--networks", nargs="+", choices=STUDY_NETWORKS, default=list(STUDY_NETWORKS))
    parser.add_argument("--recipes", nargs="+", choices=_RECIPES, default=list(_RECIPES), help="rows to make now")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--held-out", type=int, default=1000, help="fields to judge on, of those simulated to be held out"
    )
    parser.add_argument("--validation-fields", type=int, help="default: each recipe's own")
    parser.add_argument(
        "--statistics-fields", type=int, help="for batch normalization; default: each recipe's own; 256 for short fits"
    )
    parser.add_argument("--precision", choices=get_args(Precision), help="for all recipes; default: each recipe's own")
    parser.add_argument("--views", type=int, choices=(1, 8), help="views when judged; default: each recipe's own")
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"), help="folder for data and runs")
    parser.add_argument("--out", type=Path, default=Path("docs/evidence"))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.data:
        fields, held_out = _DATA[name](options)
        for seed in options.seeds:
            for row in _fits(options, name, fields, held_out, seed):
                rows.append(row)
                _write(options.out, rows)


def _fits(options: argparse.Namespace, data: str, fields: Path, held_out: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Fit and judge the networks by `study`, then the better one by `strong`; without `study`, all by `strong`."""
    networks: list[NetworkName] = options.networks
    if "study" in options.recipes:
        found = []
        for network in networks:
            found.append(_measure(options, data, fields, held_out, network, "study", seed))
            yield found[-1]
        networks = [max(found, key=lambda row: float(row["validation_macro_f1"]))["network"]]
    if "strong" in options.recipes:
        for network in networks:
            yield _measure(options, data, fields, held_out, network, "strong", seed)


def _simulated(options: argparse.Namespace) -> tuple[Path, Path]:
    """Return the simulated fields to fit on and those held out."""
    work: Path = options.work
    folders = work / "simulated-28", work / "simulated-28-held-out"
    for folder, count, seed in zip(folders, (options.fields, options.held_out), (1, 2), strict=True):
        if not (folder / "train.csv").exists():
            simulate(folder, count=count, seed=seed, size=options.size)
    return folders


def _real_cells(options: argparse.Namespace) -> tuple[Path, Path]:
    """Return four fifths of the real fields to fit on, and the fifth held out."""
    dataset = read_dataset(options.real_cells)
    folders = options.work / "real-cells", options.work / "real-cells-held-out"
    for folder, rows in zip(folders, stratified_split(dataset.targets), strict=True):
        if (folder / "train.csv").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["Id,Target"]
        for row in rows:
            for file in dataset.samples[row].files:
                shutil.copyfile(file, folder / file.name)
            indices = " ".join(str(int(label)) for label in Label if dataset.targets[row, label])
            lines.append(f"{dataset.samples[row].id},{indices}")
        with atomic_write(folder / "train.csv") as partial:
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folders


_DATA: dict[str, Callable[[argparse.Namespace], tuple[Path, Path]]] = {
    "simulated-28": _simulated,
    "real_cells": _real_cells,
}


def _measure(
    options: argparse.Namespace,
    data: str,
    fields: Path,
    held_out: Path,
    network: NetworkName,
    recipe_name: str,
    seed: int,
) -> dict[str, Any]:
    """Fit one network, unless that was done before, and judge it on the held-out fields at three kinds of threshold."""
    folder: Path = options.work / _run_name({"data": data, "network": network, "recipe": recipe_name, "seed": seed})
    recipe = _budgeted(read_recipe(recipe_name).adjusted(network), options)
    plan = Plan(network=network, recipe=recipe, data=(fields,), weights="none", split="stratified", seed=seed)
    if (folder / RUN_CARD).exists():
        if json.loads((folder / RUN_RECORD).read_bytes())["recipe"] != plan.record()["recipe"]:
            raise RunError(
                "the folder holds a run of another recipe or budget", where=folder, remedy="Name another with --work."
            )
    else:
        click.echo(f"{folder}: {recipe.steps} steps of {recipe.batch_size}", err=True)
        fit(plan, folder, prepared=prepared_folder(fields), resume=True)
    run = read_run(folder)
    validation, judged = read_dataset(fields), read_dataset(held_out)
    _, rows = stratified_split(validation.targets)
    views = recipe.views
    seen = predict_fields(run, validation.pick(rows), views=views).probabilities
    tuned = tune_thresholds(validation.targets[rows], seen)
    probabilities = predict_fields(run, judged.samples, views=views).probabilities
    by_thresholds = {
        name: judge_fields(judged.targets, probabilities, thresholds=thresholds, data=data)
        for name, thresholds in (
            ("tuned", tuned),
            ("0.2", (STUDY_THRESHOLD,) * len(Label)),
            ("0.5", (_HALF,) * len(Label)),
        )
    }
    shutil.copyfile(folder / "history.png", _made(options.out) / f"{folder.name}.png")
    return {
        "network": network,
        "recipe": recipe_name,
        "data": data,
        "held_out_fields": len(judged.samples),
        "budget": recipe.steps * recipe.batch_size,
        "precision": recipe.precision,
        "statistics_fields": recipe.statistics_fields,
        "device": _device(),
        "machine": machine(),
        "backend": keras.backend.backend(),
        "command": f"python -m benchmarks.evidence {shlex.join(sys.argv[1:])}",
        "seed": seed,
        "thresholds": "tuned",
        "validation_macro_f1": judge_fields(validation.targets[rows], seen, thresholds=tuned, data=data).macro.f1,
        "micro_f1": by_thresholds["tuned"].micro.f1,
        "macro_f1": by_thresholds["tuned"].macro.f1,
        "macro_f1_by_thresholds": {name: evaluation.macro.f1 for name, evaluation in by_thresholds.items()},
    }


def _budgeted(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with its stages scaled to the budget in proportion."""
    steps = max(1, round(options.presentations / options.epochs / recipe.batch_size))
    whole = sum(stage.epochs for stage in recipe.stages)
    *first, last = recipe.stages
    scaled = [replace(stage, epochs=max(1, round(stage.epochs * options.epochs / whole))) for stage in first]
    rest = max(1, options.epochs - sum(stage.epochs for stage in scaled))
    stages = (*scaled, replace(last, epochs=rest))
    # An average over more steps than the fit has would depend on the random initial weights.
    share = min(1.0, steps * options.epochs / recipe.steps)
    return replace(
        recipe,
        steps_per_epoch=steps,
        **_asked(options, "validation_fields", "statistics_fields", "precision", "views"),
        weight_average=max(0.0, 1 - (1 - recipe.weight_average) / share) if recipe.weight_average else 0.0,
        stages=stages,
    )


def _asked(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _run_name(row: Mapping[str, Any]) -> str:
    return "-".join(str(row[part]) for part in ("data", "network", "recipe", "seed"))


def _device() -> str:
    if keras.backend.backend() == "jax":
        import jax  # noqa: PLC0415 - one backend of several

        return str(jax.devices()[0].device_kind)
    gpus = [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
    return ", ".join(gpus) or str(machine()["processor"])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(out: Path, found: list[dict[str, Any]]) -> None:
    file = _made(out) / "evidence.json"
    earlier = json.loads(file.read_bytes()) if file.exists() else []
    rows = list({_run_name(row): row for row in (*earlier, *found)}.values())
    with atomic_write(file) as partial:
        partial.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    with atomic_write(out / "README.md") as partial:
        partial.write_text("\n".join(_page(rows)) + "\n", encoding="utf-8")


def _page(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from ("# Evidence", "", _INTRODUCTION, "")
    if any(row["recipe"].startswith(_EARLIER) for row in rows):
        yield from (_EARLIER_RECIPES, "")
    yield f"| {' | '.join(_COLUMNS)} |"
    yield f"| {' | '.join('---' for _ in _COLUMNS)} |"
    for row in rows:
        cut = row["macro_f1_by_thresholds"]
        described = [row["data"], row["network"], row["recipe"], f"{row['budget']:,}"]
        figures = [f"{figure:.3f}" for figure in (row["micro_f1"], row["macro_f1"], cut["0.2"], cut["0.5"])]
        statistics = f"of {row['statistics_fields']} fields" if row["statistics_fields"] else "as they ran"
        how = f"{row['precision']}, batch statistics {statistics}, seed {row['seed']}, {row['device']}"
        yield f"| {' | '.join((*described, *figures, how))} |"
    yield ""
    yield "These commands made the rows. Each keeps the rows of the others:"
    yield ""
    for command in dict.fromkeys(row["command"] for row in rows):
        yield f"    {command}"
    for row in rows:
        name = f"{row['data']}, {row['network']}, {row['recipe']}, seed {row['seed']}"
        yield f"\n## {name}\n\n![Loss, F1 and accuracy of {name}]({_run_name(row)}.png)"


if __name__ == "__main__":
    main()
