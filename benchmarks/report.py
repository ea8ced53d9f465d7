"""Measures how large a report of many fields becomes, and how fast a browser opens it.

    python -m benchmarks.report --fields shared/data/real_cells --count 1000

The fields are repeated until there are enough, each under an id of its own; probabilities are drawn at random. The page
is opened when its first card and picture are on the screen; loaded, when the browser has read the whole file.
"""

from __future__ import annotations

import argparse
import shutil
import time
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from hpa_sdk import Prediction, Sample, find_samples
from hpa_sdk.labels import Label
from hpa_sdk.report.build import LARGEST, Sources, make_report
from hpa_sdk.workstation.result_store import ResultStore
from hpa_sdk.workstation.results import Result
from tests.browser import BROWSERS

_REPEATS = 5


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=Path, required=True, help="folder or table of fields")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--size", type=float, default=LARGEST, help="MB that the page may have")
    options = parser.parse_args()
    samples = list(islice(cycle(find_samples(options.fields)), options.count))
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_results(samples, folder)
        page = folder / "report.html"
        began = time.monotonic()
        make_report(Sources(results=folder), page=page, size=options.size)
        click.echo(f"made in {time.monotonic() - began:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
        times = [_open(page) for _ in range(_REPEATS)]
        for told, seconds in zip(("opened", "loaded", "large picture"), np.median(times, axis=0), strict=True):
            click.echo(f"{told:<14} {seconds:.2f} s, median of {_REPEATS}")


def _write_results(samples: list[Sample], folder: Path) -> None:
    rng = np.random.default_rng(1)
    with ResultStore(folder) as store:
        for number, sample in enumerate(samples):
            prediction = Prediction.from_probabilities(
                rng.beta(0.2, 2, len(Label)).astype(np.float32),
                id=f"{number:05} {sample.id}",
                thresholds=np.full(len(Label), 0.3, np.float32),
                embedding=np.zeros(512, np.float32),
                white=np.full(4, 255, np.float32),
            )
            store.add(Result.of(prediction, model_sha256="", device="none", files=sample.files))


def _open(page: Path) -> tuple[float, float, float]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is asked for

    with sync_playwright() as started:
        found = next(filter(None, map(shutil.which, BROWSERS)))
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        visit = browser.new_page()
        began = time.monotonic()
        visit.goto(page.as_uri(), wait_until="commit")
        visit.locator(".card img").first.wait_for()
        opened = time.monotonic() - began
        visit.wait_for_load_state("load")
        loaded = time.monotonic() - began
        began = time.monotonic()
        visit.locator(".card").nth(3).click()
        visit.locator("#stage canvas").first.wait_for()
        large = time.monotonic() - began
        browser.close()
    return opened, loaded, large


if __name__ == "__main__":
    main()
