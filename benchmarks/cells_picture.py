"""Takes the picture of the page on cells: a simulated field in the report, with one of its cells chosen.

    python -m benchmarks.cells_picture docs/pictures/cells.jpg

The starter answers for each cell of the simulated fields in examples/fields.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

from hpa_sdk.cli import main as hpa
from tests.browser import BROWSERS

_FIELDS = Path("examples/fields")


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--cells", type=Path, help="rows of cells to show, instead of those of the starter")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        cells, page = options.cells or Path(name) / "cells.csv", Path(name) / "report.html"
        if options.cells is None:
            hpa(["cells", "starter", str(_FIELDS), "-o", str(cells)], standalone_mode=False)
        hpa(["report", str(cells), "-o", str(page)], standalone_mode=False)
        _take(page, options.picture)


def _take(page: Path, picture: Path) -> None:
    with sync_playwright() as started:
        found = next(filter(None, map(shutil.which, BROWSERS)))
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        visit = browser.new_page(viewport={"width": 1200, "height": 760})
        visit.goto(page.as_uri())
        visit.locator("#sort").select_option("mixed")
        visit.locator(".card", has=visit.locator("img")).first.click()
        visit.locator("#stage path:not(.border):not([aria-label$='no label'])").first.click()
        visit.locator("#facts dl").evaluate("(files) => files.remove()")  # paths of this machine
        screenshot = visit.screenshot()
        browser.close()
    with Image.open(io.BytesIO(screenshot), formats=["PNG"]) as full:
        full.convert("RGB").save(picture, quality=85)


if __name__ == "__main__":
    main()
