"""What the tests of training share."""

from collections.abc import Iterator

import pytest

from tests.training.plane_server import Site, serve


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of planes on this machine."""
    with serve() as site:
        yield site
