"""Measures the size of a report of many fields and how fast a browser opens it, and takes its pictures.

    python -m training simulate FIELDS --count 1000 --seed 8
    python -m benchmarks.report own.onnx FIELDS --pictures docs/pictures

The model predicts the fields, and the report judges the answers by the folder's own table. All times start when the
browser starts to open the file. First picture: the first card has its picture; usable: the grid was filtered and shows
the result; loaded: the whole file is read. Finally a click opens a field in large, which is timed separately.
"""

from __future__ import annotations

import argparse
import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from hpa_sdk.cli import main as hpa
from hpa_sdk.report.build import LARGEST
from tests.browser import BROWSERS

_REPEATS = 5
_VIEWPORT: ViewportSize = {"width": 1200, "height": 760}


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("fields", type=Path, help="folder of fields with train.csv")
    parser.add_argument("--size", type=float, default=LARGEST, help="MB that the page may have")
    parser.add_argument("--pictures", type=Path, help="folder for two pictures of the page")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        results, page = Path(name) / "results.csv", Path(name) / "report.html"
        truth = options.fields / "train.csv"
        _run("predict", options.model, options.fields, "-o", results)
        began = time.monotonic()
        _run("report", results, "--truth", truth, "-o", page, "--size", options.size)
        click.echo(f"made in {time.monotonic() - began:.0f} s, {page.stat().st_size / 1e6:.1f} MB")
        times = [_time(page) for _ in range(_REPEATS)]
        for moment in times[0]:
            seconds = [found[moment] for found in times]
            spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
            click.echo(f"{moment:<14} {np.median(seconds):.2f} s, median of {_REPEATS} ({spread})")
        if options.pictures is not None:
            _take_pictures(page, options.pictures)


def _run(*arguments: object) -> None:
    hpa([str(argument) for argument in arguments], standalone_mode=False)


@contextmanager
def _browser() -> Iterator[Page]:
    with sync_playwright() as started:
        found = next(filter(None, map(shutil.which, BROWSERS)))
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser.new_page(viewport=_VIEWPORT)
        browser.close()


def _time(page: Path) -> dict[str, float]:
    """Open the page in a fresh browser, and give the times in seconds."""
    seconds = {}
    with _browser() as visit:
        began = time.monotonic()
        visit.goto(page.as_uri(), wait_until="commit")
        visit.locator(".card img").first.wait_for()
        seconds["first picture"] = time.monotonic() - began
        visit.locator("#show").select_option("unsure")
        visit.locator(".card img").first.wait_for()
        seconds["usable"] = time.monotonic() - began
        visit.wait_for_load_state("load")
        seconds["loaded"] = time.monotonic() - began
        began = time.monotonic()
        visit.locator(".card").nth(3).click()
        visit.locator("#stage canvas").first.wait_for()
        seconds["large picture"] = time.monotonic() - began
    return seconds


def _take_pictures(page: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with _browser() as visit:
        visit.goto(page.as_uri())
        visit.locator("#tools").evaluate("(tools) => tools.scrollIntoView()")
        visit.locator("#sort").select_option("order")
        _wait_for_pictures(visit)
        _keep(visit.screenshot(), folder / "report.png")
        visit.locator(".card").nth(1).click()
        visit.locator("#controls button", has_text="Four planes").click()
        visit.locator("#stage canvas").nth(3).wait_for()
        _keep(visit.screenshot(), folder / "report-field.png")


def _wait_for_pictures(visit: Page) -> None:
    """Wait until each visible card has its picture."""
    visit.wait_for_function(
        "() => [...document.querySelectorAll('.card')]"
        ".filter((card) => card.getBoundingClientRect().top < innerHeight)"
        ".every((card) => card.querySelector('img')?.complete)"
    )


def _keep(screenshot: bytes, path: Path) -> None:
    """Write a picture in 256 colours, small enough for the repository."""
    with Image.open(io.BytesIO(screenshot), formats=["PNG"]) as full:
        full.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
