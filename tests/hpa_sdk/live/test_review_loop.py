"""The loop from a review by keyboard to an adapted model, with real processes and a real browser."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.review_loop import run_loop
from tests.starter import needs_starter


@needs_starter
@pytest.mark.slow
def test_reviews_by_keyboard_make_the_next_model(tmp_path: Path, browser: Any) -> None:
    seen = run_loop(browser, tmp_path / "Gerät 2", [10], new=2, side=256)
    assert len(seen.keyed) == 10
    assert any(row.startswith("all 10 ") for row in seen.figures)
    assert any(row.startswith("all 2 ") for row in seen.figures)
    assert seen.sha256[:12] in seen.status
    assert seen.parent[:12] in seen.status
