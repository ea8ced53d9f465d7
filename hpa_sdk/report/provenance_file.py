"""Reads the provenance file of ``hpa predict``: the model, the paths and the threshold of its results."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from hpa_sdk.batch.provenance import provenance_path
from hpa_sdk.errors import ModelCardError
from hpa_sdk.fields.remote.archive import is_address
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ensemble_sha256
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.results.result import Result

_log = logging.getLogger("hpa_sdk")


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file at the time of the run."""

    file: str
    sha256: str


class ModelFile(File, frozen=True, kw_only=True):
    """The model file, and the model card that was used with it. Earlier versions did not write the card."""

    card: msgspec.Raw = msgspec.Raw(b"null")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of ``hpa predict`` that a report needs."""

    paths: tuple[str, ...]
    root: str | None = None
    threshold: float | Literal["card"] = "card"
    rules: FieldRules | None = None


class RunProvenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where results come from.

    Attributes
    ----------
    hpa_sdk, system, started, finished : str
        The version, the system and the times of the run.
    command : tuple of str
        The command.
    model, output : File
        The model, with its card, and the results at the time of the run.
    others : tuple of ModelFile
        The further models of an ensemble.
    views : int
        How many views of a field each model answered for.
    thresholds : tuple of float
        The thresholds of the run. Earlier versions did not write them.
    settings : Settings
        The settings of the run.
    working_folder : str or None
        The base of relative paths. Earlier versions did not write it: the present folder is taken instead, which may be
        another one.
    """

    hpa_sdk: str
    system: str
    started: str
    finished: str
    command: tuple[str, ...]
    model: ModelFile
    output: File
    settings: Settings
    working_folder: str | None = None
    others: tuple[ModelFile, ...] = ()
    views: int = 1
    thresholds: tuple[float, ...] = ()

    def model_file(self) -> Path | None:
        """Return the model file if it is unchanged."""
        path = self._at(self.model.file)
        return path if path.is_file() and file_sha256(path) == self.model.sha256 else None

    def card(self) -> ModelCard | None:
        """Return the model card of the run; None if it was not written or can't be used."""
        if bytes(self.model.card) == b"null":
            return None
        try:
            return ModelCard.from_json(bytes(self.model.card))
        except ModelCardError as error:
            _log.warning("the model card in the provenance is not used: %s", error)
            return None

    def named(self, result: Result) -> Result:
        """Return a result with what answered it, if it does not name that itself: as `Result.by`.

        A review of it must not count for one model of an ensemble.
        """
        if result.model_sha256:
            return result
        models = (self.model.sha256, *(other.sha256 for other in self.others))
        made_by = ensemble_sha256(models, self.views)
        return replace(result, model_sha256=made_by, models=() if models == (made_by,) else models, views=self.views)

    def search_paths(self) -> list[Path]:
        """Return the paths where planes were found, as far as they still exist."""
        named = self.settings.paths if self.settings.root is None else (self.settings.root,)
        local = (self._at(path) for path in named if not is_address(path))
        return [path for path in local if path.exists() or not path.suffix]

    def _at(self, path: str) -> Path:
        return Path(path) if self.working_folder is None else Path(self.working_folder, path)

    def facts(self) -> dict[str, str]:
        """Return the facts for a reader."""
        models = "; ".join(f"{model.file}, sha256 {model.sha256}" for model in (self.model, *self.others))
        return {
            "command": " ".join(self.command),
            "predicted by": f"hpa-sdk {self.hpa_sdk} on {self.system}",
            "predicted": f"{self.started} to {self.finished}",
            "predicted with model": models + f"; the mean of {self.views} views" * (self.views > 1),
        }


def read_provenance(results: Path) -> RunProvenance | None:
    """Read where results come from; None if there is no provenance, or it is of other results."""
    path = provenance_path(results)
    if not path.is_file():
        return None
    try:
        provenance = msgspec.json.decode(path.read_bytes(), type=RunProvenance)
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("%s is not used: it can't be read (%s)", path, error)
        return None
    if file_sha256(results) != provenance.output.sha256:
        _log.warning("%s is not used: the results were changed after it was written", path)
        return None
    return provenance
