"""Runs the whole loop with real processes: fields of another microscope, reviews by keyboard, and an adapted model.

    python -m benchmarks.review_loop
    python -m benchmarks.review_loop --fields 20 40 --work runs/review_loop

`hpa serve` watches a folder with the starter. Simulated fields arrive, and a person who knows the truth reviews them in
Chromium with the keyboard alone. `hpa review export` and `hpa adapt` make a model file of that. If `hpa adapt` refuses,
more fields arrive and are reviewed; after the last number of `--fields` the file is forced. Then `hpa serve` restarts
with the new file under the open page, new fields arrive and are reviewed. What is not as it must be is an error.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from benchmarks.adapt import MICROSCOPES
from benchmarks.keyboard_reviewer import LoopError, Reviewer, Truth
from benchmarks.live_page import headless_browser
from hpa_sdk.fields.samples import Channel
from hpa_sdk.labels import Label
from hpa_sdk.results.result import Result
from training.simulation.fields import simulate_field

_CLASSES = (0, 2, 5, 7, 14, 16, 21, 23, 25)  # of the lab: frequent ones of different places
_SECOND = 0.4  # share of the fields with two labels
_MICROSCOPE = "1.6 times as large"
_SEED = 31
_PATIENCE = 120.0
_STATION = """model = '{model}'
watch = 'exports'
output = 'answers'
device = 'cpu'
[files]
pattern = "hpa"
[arrival]
settle_seconds = 0.3
"""


@dataclass(slots=True)
class Loop:
    """What was seen.

    Attributes
    ----------
    keyed : dict of str to list of int
        The label set that was given for each field before the adaptation.
    refused : list of str
        What ``hpa adapt`` said each time it wrote nothing.
    adapted : str
        What it said in the end.
    forced : bool
        Whether it was forced.
    status : str
        What ``hpa review status`` said at the end.
    parent, sha256 : str
        SHA-256 of the starter and of the new file.
    figures : list of str
        The figures on the page at the end, one row each.
    before, after : float
        Macro F1 over the classes of the lab of both models, on the fields that arrived after the adaptation.
    keys : int
        Keys that were pressed for all reviews.
    """

    keyed: Truth = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    adapted: str = ""
    forced: bool = False
    status: str = ""
    parent: str = ""
    sha256: str = ""
    figures: list[str] = field(default_factory=list)
    before: float = 0.0
    after: float = 0.0
    keys: int = 0


def main() -> None:
    """Run the loop, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--fields", type=int, nargs="+", default=[20, 40], help="fields reviewed before each adaptation"
    )
    parser.add_argument("--new", type=int, default=40, help="fields reviewed with the new model")
    parser.add_argument("--side", type=int, default=512, help="rows and columns of a field")
    parser.add_argument("--work", type=Path, help="folder for all files; default: one that is removed")
    parser.add_argument("--picture", type=Path, help="PNG of the page at the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, headless_browser() as browser:
        if browser is None:
            raise LoopError("a browser and the package playwright are needed")
        place = options.work or Path(folder)
        began = time.monotonic()
        seen = run_loop(browser, place, options.fields, new=options.new, side=options.side, picture=options.picture)
        sys.stdout.write("\n".join((*_said(seen), f"{time.monotonic() - began:.0f} s\n")))


def run_loop(
    browser: Any,  # noqa: ANN401 - playwright may be absent
    place: Path,
    fields: Sequence[int],
    *,
    new: int,
    side: int = 512,
    picture: Path | None = None,
) -> Loop:
    """Run the loop in a folder.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        Opens the page.
    place : pathlib.Path
        For all files; made if it is not there.
    fields : sequence of int
        Fields that arrive and are reviewed before each try to adapt.
    new : int
        Fields that arrive and are reviewed after the restart.
    side : int
        Their rows and columns.
    picture : pathlib.Path, optional
        A picture of the page at the end.

    Raises
    ------
    LoopError
        Something is not as it must be.
    """
    seen = Loop()
    truth: Truth = {}
    watched, answers, own = place / "exports", place / "answers", place / "own.onnx"
    watched.mkdir(parents=True)
    answers.mkdir()
    visit = browser.new_page(viewport={"width": 1400, "height": 1100})
    with _serving(place, "starter", port=0) as port:
        reviewer = Reviewer(visit, truth)
        for turn, count in enumerate(fields):
            truth |= arrive(watched, f"turn{turn}", count, side=side)
            _wait_for_answers(answers, len(truth))
            if turn == 0:
                visit.goto(f"http://127.0.0.1:{port}/")
                reviewer.start()
            seen.keyed |= reviewer.review(count)
            exported = place / f"reviewed-{turn}"
            _hpa("review", "export", answers, exported)
            _check_export(exported, seen.keyed)
            last = turn == len(fields) - 1
            code, said = _run("adapt", "starter", exported, "-o", own)
            if code and last:
                seen.refused.append(said)
                seen.forced = True
                code, said = _run("adapt", "starter", exported, "-o", own, "--force")
            seen.adapted = said
            if not code:
                break
            if last:
                raise LoopError(f"no file even with --force: {said}")
            seen.refused.append(said)
    seen.sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    with _serving(place, own.name, port=port):
        visit.get_by_text("Live", exact=True).wait_for()
        fresh = arrive(watched, "new", new, side=side)
        truth |= fresh
        _wait_for_answers(answers, len(truth))
        reviewer.review(new)
        seen.keys = reviewer.keys
        results = _results(answers)
        _check_models(results, fresh, seen)
        seen.before = _macro_f1(_predicted(place), fresh)
        seen.after = _macro_f1({name: set(one.indices) for name, one in results.items()}, fresh)
        visit.locator("#figures th.model").nth(1).wait_for()
        seen.figures = _figures(visit, {seen.parent, seen.sha256})
        visit.wait_for_function("[...document.images].every(image => image.complete)")
        if picture is not None:
            visit.screenshot(path=str(picture), full_page=True)
    visit.close()
    seen.status = _hpa("review", "status", answers)
    return seen


def arrive(folder: Path, prefix: str, count: int, *, side: int) -> Truth:
    """Write fields of another microscope, file by file, and return their labels."""
    truth: Truth = {}
    record = MICROSCOPES[_MICROSCOPE]
    for at in range(count):
        rng = np.random.default_rng([_SEED, *prefix.encode(), at])
        number = 2 if rng.random() < _SECOND else 1
        labels = sorted(int(label) for label in rng.choice(_CLASSES, number, replace=False))
        planes = record(simulate_field([Label(label) for label in labels], rng, size=side), rng)
        name = f"{prefix}-{at:03}"
        for channel, plane in zip(Channel, planes, strict=True):
            (folder / f"{name}_{channel}.png").write_bytes(cv2.imencode(".png", plane)[1].tobytes())
        truth[name] = labels
    return truth


@contextmanager
def _serving(place: Path, model: str, *, port: int) -> Iterator[int]:
    """Run ``hpa serve`` with a station file in a process of its own, and give its port."""
    station, log = place / "station.toml", place / "serve.log"
    station.write_text(_STATION.format(model=model), encoding="utf-8")
    command = [sys.executable, "-m", "hpa_sdk.cli", "serve", str(station), "--port", str(port)]
    with log.open("w", encoding="utf-8") as stream, subprocess.Popen(command, stderr=stream) as process:  # noqa: S603 - our own
        try:
            yield int(_wait(lambda: re.search(r"http://127\.0\.0\.1:(\d+)/", log.read_text("utf-8")), "it serves")[1])
        finally:
            process.terminate()
            process.wait()


def _run(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "hpa_sdk.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603 - our own
    return done.returncode, (done.stdout + done.stderr).strip()


def _hpa(*arguments: object) -> str:
    code, said = _run(*arguments)
    if code:
        raise LoopError(f"hpa {arguments[0]} ended with {code}: {said}")
    return said


def _wait(condition: Callable[[], Any], what: str) -> Any:  # noqa: ANN401 - what the condition gives
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.1)
    raise LoopError(f"not within {_PATIENCE:.0f} s: {what}")


def _wait_for_answers(folder: Path, count: int) -> None:
    _wait(lambda: len(_results(folder)) == count, f"{count} fields are answered")


def _results(folder: Path) -> dict[str, Result]:
    files = sorted(folder.rglob("*.json"))
    return {one.id: one for one in (msgspec.json.decode(file.read_bytes(), type=Result) for file in files)}


def _check_export(folder: Path, keyed: Truth) -> None:
    with (folder / "train.csv").open(encoding="utf-8", newline="") as file:
        exported = {row["Id"]: sorted(map(int, row["Target"].split())) for row in csv.DictReader(file)}
    if exported != keyed:
        wrong = sorted(name for name in exported.keys() | keyed.keys() if exported.get(name) != keyed.get(name))
        raise LoopError(f"train.csv is not what was keyed: {', '.join(wrong)}")


def _check_models(results: dict[str, Result], fresh: Truth, seen: Loop) -> None:
    """Check that each field names the model that answered it."""
    models = {one.model_sha256 for name, one in results.items() if name not in fresh}
    if len(models) != 1:
        raise LoopError(f"the first fields name {len(models)} models")
    (seen.parent,) = models
    if seen.parent == seen.sha256 or {results[name].model_sha256 for name in fresh} != {seen.sha256}:
        raise LoopError("the results of the new fields do not name the new model")


def _predicted(place: Path) -> dict[str, set[int]]:
    """Return the label sets of the starter for all fields."""
    table = place / "starter.csv"
    _hpa("predict", "starter", place / "exports", "-o", table, "--device", "cpu")
    with table.open(encoding="utf-8", newline="") as file:
        return {row["id"]: set(map(int, row["indices"].split())) for row in csv.DictReader(file)}


def _macro_f1(predicted: dict[str, set[int]], truth: Truth) -> float:
    found = []
    for label in _CLASSES:
        true = {name for name, labels in truth.items() if label in labels}
        given = {name for name in truth if label in predicted[name]}
        if true:
            found.append(2 * len(true & given) / (len(true) + len(given)))
    return float(np.mean(found))


def _figures(visit: Any, models: set[str]) -> list[str]:  # noqa: ANN401 - playwright may be absent
    titles = visit.locator("#figures th.model").evaluate_all("heads => heads.map(head => head.title)")
    if set(titles) != models:
        raise LoopError(f"the page has figures of {titles}, and not of {models}")
    rows: list[str] = visit.locator("#figures tbody tr").all_inner_texts()
    return [" ".join(row.split()) for row in rows]


def _said(seen: Loop) -> Iterator[str]:
    yield f"{len(seen.keyed)} fields reviewed to adapt, train.csv is what was keyed; {seen.keys} keys in all"
    for said in seen.refused:
        yield f"hpa adapt wrote nothing:\n{said}"
    yield f"hpa adapt{' --force' if seen.forced else ''}:\n{seen.adapted}"
    yield f"new fields name the model {seen.sha256[:12]}, earlier ones {seen.parent[:12]}"
    yield f"macro F1 on the new fields: starter {seen.before:.3f}, own {seen.after:.3f}"
    yield "on the page:"
    yield from seen.figures
    yield f"hpa review status:\n{seen.status}"


if __name__ == "__main__":
    main()
