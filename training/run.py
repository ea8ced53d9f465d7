"""Writes the run folder: all that is left of a fit, and all that the export needs."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import keras
import msgspec

from hpa_sdk.contract import RUN_CARD, RUN_NETWORK, RUN_RECORD
from hpa_sdk.model_card import ModelCard
from hpa_sdk.whole_file import whole_file
from training.errors import RunError
from training.recipe import Recipe

_PACKAGES = ("keras", "numpy", "opencv-python", "pillow", "scikit-learn")


class Run:
    """A run folder.

    It is finished when it holds a card, which is written last.

    Parameters
    ----------
    folder : pathlib.Path
        Made where it is missing.

    Raises
    ------
    RunError
        The folder already holds a run.
    """

    def __init__(self, folder: Path) -> None:
        if (folder / RUN_RECORD).exists():
            raise RunError("the folder already holds a run", where=folder, remedy="Name another folder, or remove it.")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def record(self, *, recipe: Recipe, data: Path, seed: int) -> None:
        """Write down what is about to be done, and with what."""
        told = {"data": str(data.resolve()), "seed": seed, "recipe": msgspec.to_builtins(recipe)}
        self._write(RUN_RECORD, json.dumps(told, indent=2, ensure_ascii=False))

    def finish(self, network: keras.Model, card: ModelCard) -> None:
        """Keep the fitted network, then the card that makes the run complete."""
        with whole_file(self.folder / RUN_NETWORK) as partial:
            network.save(partial)
        self._write(RUN_CARD, card.to_json())

    def _write(self, name: str, text: str) -> None:
        with whole_file(self.folder / name) as partial:
            partial.write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that shape a fit."""
    backend = keras.backend.backend()
    return {"python": platform.python_version()} | {name: version(name) for name in (*_PACKAGES, backend)}


def code_revision() -> str:
    """Give the git revision of this checkout, with ``+`` where files differ from it; ``"unknown"`` outside git."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],  # noqa: S607 - the user's git
            cwd=Path(__file__).parent,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()
