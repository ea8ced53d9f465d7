"""Opens pages in a real browser without a window, and holds them to what every page here has to keep."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
AXE = Path(os.environ.get("AXE_CORE", Path(__file__).parents[1] / "build" / "axe-core" / "axe.min.js"))
"""The accessibility check; ``make test-page`` fetches it."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(
            f"no browser on the path ({', '.join(BROWSERS)}). Install one: on Debian and Ubuntu 'apt install chromium';"
            " elsewhere Chromium, Chrome or Edge"
        )
    with playwright.sync_playwright() as started:
        # A container's root user can't have Chromium's sandbox.
        opened = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()
