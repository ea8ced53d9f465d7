"""What the tests of the live page share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.serving import Page, serving
from tests.hpa_sdk.workstation.watching import make_station


@pytest.fixture
def station(tmp_path: Path, small_model: Path) -> Station:
    """A station of fields of four files, with empty folders, and a model that gives noise some labels."""
    return make_station(tmp_path, small_model)


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Page]:
    """A page as below, for tests that leave it as it was, or don't mind what is there."""
    with serving(make_station(tmp_path_factory.mktemp("shared"), model)) as served:
        yield served


@pytest.fixture
def page(station: Station) -> Iterator[Page]:
    """A page that answers what is sent to it, and watches nothing."""
    with serving(station) as served:
        yield served
