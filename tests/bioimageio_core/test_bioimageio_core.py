"""The format's own library opens a package without a network, runs it, and finds the answers that are in it."""

from __future__ import annotations

import io
import os
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

core: Any = pytest.importorskip("bioimageio.core", reason="run by make test-bioimageio, in an environment of its own")
PACKAGES = Path(os.environ["HPA_PACKAGES"])
pytestmark = pytest.mark.filterwarnings("ignore")  # that library warns as it likes


@pytest.fixture(params=["image", "planes"])
def package(request: pytest.FixtureRequest) -> Path:
    return PACKAGES / f"{request.param}.zip"


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))
    yield
    assert not asked


@pytest.mark.parametrize("name", ["image", "planes", "elsewhere"])
def test_it_passes_with_one_field_and_with_two(name: str) -> None:
    summary = core.test_model(PACKAGES / f"{name}.zip")
    assert summary.status == "passed", summary
    assert not [error for detail in summary.details for error in detail.errors]
    names = [detail.name for detail in summary.details]
    assert any("Reproduce test outputs" in name for name in names)
    for batch_size in (1, 2):
        assert any(f"batch_size: {batch_size}" in name for name in names)


def test_it_says_who_made_it_and_what_the_numbers_mean(package: Path) -> None:
    model = core.load_description(package)
    assert [author.name for author in model.authors] == ["A. Person"]
    assert model.cite[0].doi == "10.1038/s41592-019-0658-6"
    (output,) = model.outputs
    assert output.axes[1].channel_names[27] == "rods_and_rings"
    assert model.config.hpa["labels"][27] == "Rods & rings"
    assert model.config.hpa["thresholds"] == [0.5] * 28


def test_other_answers_than_those_in_the_package_are_found(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(package) as whole, zipfile.ZipFile(tmp_path / "changed.zip", "w") as changed:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "test_output.npy":
                array = io.BytesIO()
                np.save(array, np.load(io.BytesIO(content)) + np.float32(0.01))
                content = array.getvalue()
            changed.writestr(name, content)
    assert core.test_model(tmp_path / "changed.zip").status != "passed"
