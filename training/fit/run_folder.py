"""Writes the run folder: the complete result of a fit, with all that the export needs."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import keras
import msgspec

from hpa_sdk.errors import OutputError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.contract import RUN_CARD, RUN_NETWORK, RUN_RECORD
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.preprocessing import White
from training.data.split import SplitName
from training.errors import RunError
from training.exported_weights import Parent
from training.fit.recipe import Recipe
from training.fit.saving import save
from training.network_forms import NetworkName

PROGRESS = "progress.json"
"""File in the folder of an unfinished run with the progress of the fit."""

InitialWeights = Literal["imagenet", "none"] | Path

_PACKAGES = ("keras", "numpy", "opencv-python", "pillow", "scikit-learn")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a fit.

    Attributes
    ----------
    network : str
        One of `training.networks.NETWORK_NAMES`.
    recipe : Recipe
        Stages, steps and sizes, adjusted to the network.
    data : tuple of pathlib.Path
        Folders or tables as `training.data.dataset.read_dataset` takes them.
    weights : "imagenet", "none" or pathlib.Path
        Start of the backbone.
    split : str
        ``"study"`` or ``"stratified"``.
    seed : int
        Seed for fields, views, initial weights and dropout.
    pixel_size : float or None
        Micrometres a pixel of the planes, for the card.
    white : optional
        White level of 16-bit planes.
    also : tuple of pathlib.Path
        Old data, of which a share is fitted on too, so that its classes are not forgotten.
    share : float or None
        Share of the old data in all drawn fields, between 0 and 1; None without old data.
    """

    network: NetworkName
    recipe: Recipe
    data: tuple[Path, ...]
    weights: InitialWeights
    split: SplitName = "study"
    seed: int = 0
    pixel_size: float | None = None
    white: White | None = None
    also: tuple[Path, ...] = ()
    share: float | None = None

    def record(self) -> dict[str, Any]:
        """Return the plan in the form of the record."""
        data = [str(source.resolve()) for source in self.data]
        weights = str(self.weights.resolve() if isinstance(self.weights, Path) else self.weights)
        plain: dict[str, Any] = json.loads(
            msgspec.json.encode(
                {
                    "network": self.network,
                    "recipe": self.recipe,
                    "data": data,
                    "weights": weights,
                    "split": self.split,
                    "seed": self.seed,
                    "pixel_size": self.pixel_size,
                    "white": self.white,
                    "also": [str(source.resolve()) for source in self.also] or None,
                    "share": self.share,
                }
            )
        )
        return plain


class Run:
    """A run folder.

    It is started when it holds the plan, and finished when it holds a card, which is written last.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing.
    plan : Plan
        The plan of the fit.
    fingerprint : str
        The data set's.
    resume : bool
        Resume a stopped fit, or start one if there is none.
    weights_sha256 : str, optional
        Hash of the file with the initial weights.
    planes_sha256 : str, optional
        Hash of what the file system says of the planes.
    sizes : sequence of int
        Numbers of new and of old fields.
    parent : Parent, optional
        The network that the fit starts from: an exported model, or that of another run.

    Raises
    ------
    RunError
        The folder holds a run and `resume` is False, or a run of another plan, with other initial weights or
        other data, or a finished run, or a record that can't be read, or remains of a run without a record.
    OutputError
        The folder can't be made.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        fingerprint: str,
        *,
        resume: bool = False,
        weights_sha256: str | None = None,
        planes_sha256: str | None = None,
        sizes: Sequence[int] = (),
        parent: Parent | None = None,
    ) -> None:
        self.folder = folder
        record = {**plan.record(), "data_fingerprint": fingerprint}
        # A change of these need not change the result, so it is only logged; other initial weights are refused.
        around = {
            "backend": keras.backend.backend(),
            "weights_sha256": weights_sha256,
            "planes_sha256": planes_sha256,
        }
        if (folder / RUN_RECORD).exists():
            self._check(record, around, parent, resume=resume)
        else:
            refuse_remains(folder)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"the run folder can't be made ({error.strerror})",
                    where=folder,
                    remedy="Name a new folder in a place that you may write to.",
                ) from error
            facts: dict[str, Any] = {"sizes": list(sizes)} if len(sizes) > 1 else {}
            if parent is not None:
                facts["parent"] = _facts_of(parent)
            self.write(RUN_RECORD, _as_json(record | around | facts))

    def _check(self, asked: dict[str, Any], around: dict[str, Any], parent: Parent | None, *, resume: bool) -> None:
        if not resume:
            raise RunError(
                "the folder already holds a run",
                where=self.folder,
                remedy="Name another folder, or resume that run with --resume.",
            )
        found = self._read()
        differing = [name for name in asked if found.get(name) != asked[name]]
        # Records of earlier versions lack these.
        began = {name: found.get(name) or value for name, value in around.items()}
        if began["weights_sha256"] != around["weights_sha256"]:
            differing.append("content of its initial weights")
        if differing:
            raise RunError(
                f"the folder holds a run with another {' and another '.join(differing)}",
                where=self.folder,
                remedy=f"Resume with what {RUN_RECORD} says, or name another folder.",
            )
        if parent is None and found.get("parent"):
            raise RunError(
                f"the run from which this fit started is not beside its network any more ({RUN_CARD} or {RUN_RECORD} is"
                " missing or of another network), so nothing says which data the network knows",
                where=self.folder,
                remedy=f"Put {RUN_CARD} and {RUN_RECORD} back beside the network, or fit anew in another folder.",
            )
        if (self.folder / RUN_CARD).exists():
            raise RunError("the run is finished", where=self.folder, remedy="There is nothing to resume.")
        if began["backend"] != around["backend"]:
            _log.warning(
                "%s was started by Keras on %s and is resumed on %s: its card will name only %s.",
                self.folder,
                began["backend"],
                around["backend"],
                around["backend"],
            )
        if began["planes_sha256"] != around["planes_sha256"]:
            _log.warning(
                "%s was started on planes that have been written since: if their content changed, its network is"
                " fitted on both. Fit in a new folder then.",
                self.folder,
            )

    def _read(self) -> dict[str, Any]:
        path = self.folder / RUN_RECORD
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise RunError(
                f"the record of the run can't be read ({error})", where=path, remedy="Fit anew in another folder."
            ) from error

    def finish(self, network: keras.Model, card: ModelCard) -> None:
        """Save the fitted network, add both hashes to the record, then write the card that makes the run complete."""
        save(self.folder / RUN_NETWORK, network, network.save)
        text = card.to_json()
        hashes = {
            "network_sha256": file_sha256(self.folder / RUN_NETWORK),
            "card_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        self.write(RUN_RECORD, _as_json(self._read() | hashes))
        self.write(RUN_CARD, text)

    def write(self, name: str, text: str) -> None:
        """Write a text file into the folder."""
        with atomic_write(self.folder / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="\n")  # the same bytes, and hash, on every system


def refuse_remains(folder: Path) -> None:
    """Refuse a folder in which a new fit would use the state or the network of another run.

    Raises
    ------
    RunError
        The folder holds remains of a run whose record is missing.
    """
    for name in (PROGRESS, RUN_NETWORK, RUN_CARD):
        if (folder / name).exists():
            raise RunError(
                f"the folder holds the {name} of another run, and no {RUN_RECORD}",
                where=folder,
                remedy="Name another folder, or delete what is left of that run.",
            )


def _as_json(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect a fit."""
    backend = keras.backend.backend()
    return {"python": platform.python_version()} | {name: version(name) for name in (*_PACKAGES, backend)}


def parent_run(network: Path, sha256: str) -> Parent | None:
    """Return the fit that left a network in its run folder; None if the network is elsewhere, or another one.

    Parameters
    ----------
    network : pathlib.Path
        The file of the network.
    sha256 : str
        SHA-256 of its content, in hexadecimal.

    Raises
    ------
    RunError, ModelCardError
        The record or the card beside it can't be read, so that nothing says what the network knows.
    """
    card, record = network.with_name(RUN_CARD), network.with_name(RUN_RECORD)
    if network.name != RUN_NETWORK or not card.is_file() or not record.is_file():
        return None
    try:
        found = msgspec.json.decode(record.read_bytes(), type=dict[str, Any])
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise RunError(
            f"the record of the run can't be read ({error})",
            where=record,
            remedy="Without it, nothing says which data the network knows: copy the network to another folder to fit"
            " from it all the same.",
        ) from error
    if found.get("network_sha256") not in {None, sha256}:  # missing in records of earlier versions
        return None
    return Parent(sha256, ModelCard.from_json(card.read_bytes(), where=str(card)))


def _facts_of(parent: Parent) -> dict[str, str]:
    """Return what names a parent. What it knows is in the card of the fit: see `training.fit.model_card.known_data`."""
    return {
        "name": parent.card.name,
        "sha256": parent.sha256,
        "data_fingerprint": parent.card.training.data_fingerprint,
    }


def code_revision() -> str:
    """Return the git revision of this checkout, with ``+`` where files differ from it; ``"unknown"`` outside git."""
    try:
        completed = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],  # noqa: S607 - the user's git
            cwd=Path(__file__).parent,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return completed.stdout.strip()
