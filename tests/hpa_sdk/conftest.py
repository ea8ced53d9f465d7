"""What tests of the SDK share: one browser, since a process can't have two at once, and a cache of a test's own."""

from pathlib import Path

import pytest

from tests.browser import browser

__all__ = ["browser", "cache"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for what runtimes make of models."""
    folder = tmp_path / "キャッシュ"
    monkeypatch.setenv("HPA_CACHE", str(folder))
    return folder
