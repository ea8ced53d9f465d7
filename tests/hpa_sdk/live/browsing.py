"""Opens the live page in a real browser without a window, and holds it to what every page here has to keep."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.hpa_sdk.live.serving import Page
from tests.hpa_sdk.workstation.watching import wait_until


@contextmanager
def visiting(browser: Any, page: Page, *, path: str = "/", **options: Any) -> Iterator[Any]:
    """Open the page, and check at the end that it asked nobody but its own server and that no script failed."""
    asked: list[str] = []
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1400, "height": 900}, **options)
    visit = context.new_page()
    visit.on("request", lambda request: asked.append(request.url))
    visit.on("pageerror", lambda error: wrong.append(str(error)))
    visit.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    # Chromium may let requests pass that soon follow on the first route of an open page.
    visit.route("**/intercepted-from-the-start", lambda route: route.continue_())
    visit.goto(page.url + path)
    try:
        yield visit
        hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in {"data", "blob"}}
        assert hosts == {urlsplit(page.url).netloc}
        # The browser reports intended refusals as errors of its own.
        assert [text for text in wrong if "the server responded with a status of" not in text] == []
    finally:
        context.close()


def drop(visit: Any, files: list[Path]) -> None:
    """Drop files on the page, as a hand with a mouse does."""
    visit.evaluate(
        """async ([files]) => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            const target = document.querySelector("main");
            for (const kind of ["dragenter", "dragover", "drop"]) {
                target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
            }
        }""",
        [[[file.name, list(file.read_bytes())] for file in files]],
    )


def until(visit: Any, condition: Callable[[], object]) -> None:
    """Wait for something while the browser handles its events, also while the page is loaded again."""
    failure = importlib.import_module("playwright.sync_api").Error

    def holds() -> bool:
        visit.wait_for_timeout(20)
        try:
            return bool(condition())
        except failure as error:
            if "navigation" not in str(error):
                raise
            return False

    wait_until(holds)


def hold(visit: Any, address: str | re.Pattern[str]) -> list[Any]:
    """Hold back all requests to an address, which are then in the list."""
    held: list[Any] = []

    def keep(route: Any) -> None:
        held.append(route)

    visit.route(address, keep)
    return held


def shown_labels(visit: Any) -> list[str]:
    """Read the labels of the field that is shown."""
    texts: list[str] = visit.locator("#field .chip").all_inner_texts()
    return texts
