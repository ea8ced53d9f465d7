"""A model in the package has a name everywhere, needs nothing else, and is refused if it is not the released one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from hpa_sdk import Sample
from tests.conftest import ROOT
from tests.hpa_sdk.models.conftest import Lab

pytestmark = pytest.mark.slow


class Installation:
    """A copy of the package, with a small model as its starter."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.catalogue = ""
        package = folder / "hpa_sdk"
        shutil.copytree(ROOT / "hpa_sdk", package, ignore=shutil.ignore_patterns("__pycache__", "*.onnx"))
        self.file = package / "models" / "starter.onnx"
        shutil.copyfile(model, self.file)
        entries = package / "models" / "catalogue.toml"
        text, replaced = re.subn(
            r'(?<=address = "starter.onnx"\nsha256 = ")\w{64}', self.sha256, entries.read_text(encoding="utf-8")
        )
        assert replaced == 1
        entries.write_text(text, encoding="utf-8")

    @property
    def sha256(self) -> str:
        return sha256(self.file.read_bytes()).hexdigest()

    def hpa(self, *arguments: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of this copy, in another folder, with a proxy that does not answer."""
        changes = {
            "PYTHONPATH": str(path or self.folder),
            "HPA_MODELS": str(self.store),
            "HPA_CATALOGUE": self.catalogue,
            "HTTPS_PROXY": "http://127.0.0.1:9",
        }
        return subprocess.run(
            [sys.executable, "-m", "hpa_sdk.cli", *map(str, arguments)],
            cwd=self.folder.parent,
            env={**os.environ, **changes},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )


@pytest.fixture
def installation(tmp_path: Path, model: Path) -> Installation:
    return Installation(tmp_path / "installiert-ä", model)


@pytest.fixture
def lab_s_starter(lab: Lab, installation: Installation) -> Lab:
    """A lab whose catalogue gives the name to another model."""
    lab.list("starter")
    installation.catalogue = str(lab.catalogue)
    return lab


def test_the_packaged_model_is_known_and_here(installation: Installation) -> None:
    found = json.loads(installation.hpa("models", "info", "starter", "--json").stdout)["starter"]
    assert (found["file"], found["address"]) == (str(installation.file), str(installation.file))
    assert found["licence"].startswith("CC BY-SA 4.0")
    assert found["sha256"] == installation.sha256
    listed = installation.hpa("models", "list").stdout
    assert re.search(r"^starter +yes +fields", listed, re.MULTILINE)
    assert installation.hpa("models", "get", "starter").stdout == f"{installation.file}\n"
    assert installation.hpa("models", "verify").stdout == "starter: as released\n"
    assert not installation.store.exists()


def test_it_predicts_by_its_name_and_says_where_it_is_from(
    installation: Installation, fields: list[Sample], tmp_path: Path
) -> None:
    done = installation.hpa("predict", "starter", fields[0].files[0].parent, "-o", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    model = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))["model"]
    assert model["catalogue"]["name"] == "starter"
    assert model["catalogue"]["sha256_from"] == "package"
    assert not installation.store.exists()


@pytest.mark.parametrize("command", ["predict", "verify", "get"])
def test_an_altered_file_is_refused(installation: Installation, fields: list[Sample], command: str) -> None:
    altered = bytearray(installation.file.read_bytes())
    altered[-1] ^= 1  # in the card, so that nothing else would notice
    installation.file.write_bytes(altered)
    commands: dict[str, list[object]] = {
        "predict": ["predict", "starter", fields[0].files[0].parent],
        "verify": ["models", "verify", "starter"],
        "get": ["models", "get", "starter"],
    }
    done = installation.hpa(*commands[command])
    assert done.returncode == (1 if command == "verify" else 2)
    assert "the file of the model starter is not the one of this release of hpa-sdk: it has the SHA-256" in done.stderr
    assert "Install hpa-sdk again" in done.stderr
    assert not done.stdout


def test_a_missing_file_says_what_to_do(installation: Installation, fields: list[Sample]) -> None:
    installation.file.unlink()
    done = installation.hpa("predict", "starter", fields[0].files[0].parent)
    assert done.returncode == 2
    assert "this installation of hpa-sdk has no file of the model starter. Install hpa-sdk again." in done.stderr
    assert installation.hpa("models", "verify").returncode == 1
    assert re.search(r"^starter +- +fields", installation.hpa("models", "list").stdout, re.MULTILINE)


def test_a_package_in_an_archive_says_why(installation: Installation, tmp_path: Path, fields: list[Sample]) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", installation.folder))
    done = installation.hpa("predict", "starter", fields[0].files[0].parent, path=archive)
    assert done.returncode == 2
    assert "inside a zip archive" in done.stderr


def test_it_is_copied_to_a_folder_and_removed_from_there_alone(installation: Installation, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    done = installation.hpa("models", "get", "starter", "--to", stick)
    assert done.returncode == 0, done.stderr
    assert (stick / "starter" / "starter.onnx").read_bytes() == installation.file.read_bytes()
    assert "CC BY-SA 4.0" in (stick / "starter" / "LICENCE.txt").read_text(encoding="utf-8")
    refused = installation.hpa("models", "remove", "starter")
    assert refused.returncode == 2
    assert "a part of hpa-sdk and can't be removed" in refused.stderr
    installation.store = stick
    assert installation.hpa("models", "verify").stdout == "starter: as released\nstarter: as fetched\n"
    assert installation.hpa("models", "remove", "--forget", "starter").returncode == 0
    assert installation.file.is_file()


def test_a_lab_s_entry_takes_the_name(installation: Installation, lab_s_starter: Lab) -> None:
    done = installation.hpa("inspect", "starter")
    assert done.returncode == 0, done.stderr
    assert str(installation.store / "starter" / "small.onnx") in done.stdout
    assert f"the entry in {lab_s_starter.catalogue} is used" in done.stderr


def test_a_lost_catalogue_is_said_and_the_package_serves(installation: Installation) -> None:
    installation.catalogue = "missing.toml"
    done = installation.hpa("inspect", "starter")
    assert done.returncode == 0, done.stderr
    assert "the model starter that is here is used" in done.stderr
    assert str(installation.file) in done.stdout
