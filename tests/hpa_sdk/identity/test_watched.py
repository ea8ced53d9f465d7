"""Results and pictures of a watch are of the bytes that they name and follow every change of the files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.hpa_sdk.identity.watched import Watched
from tests.hpa_sdk.identity.world import World


@pytest.mark.parametrize(("seed", "share"), [(1, 0.0), (2, 0.02)])
def test_no_result_or_picture_is_of_other_bytes(tmp_path: Path, seed: int, share: float) -> None:
    world = World(tmp_path / "world", fields=3, seed=seed)
    watched = Watched(world, tmp_path / "answers")
    watched.start()
    try:
        with world.disturbed(share):
            for at in range(25):
                world.do_anything()
                time.sleep(world.random.choice([0, 0.01, 0.1]))
                watched.look()
                if at % 10 == 9:
                    watched.start()
        watched.settle()
    finally:
        watched.stop()
    assert watched.wrong == []
    assert watched.pictures >= len(world.names)
