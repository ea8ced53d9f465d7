"""Writes how a result was made to a file next to it, so that it can be identified and made again years later."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk import __version__
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import escaped
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelIdentity
from hpa_sdk.models.model_names import origin_of
from hpa_sdk.models.onnx_file import file_sha256

_LIBRARIES = ("numpy", "opencv-python", "pillow", "scikit-image", "scipy", "onnxruntime", "onnxruntime-gpu")


def provenance_path(output: Path) -> Path:
    """Return the path of an output's provenance file, next to the output."""
    return output.with_name(f"{output.name}.provenance.json")


class Provenance:
    """The facts known at the start of a run; `write` adds those known at its end.

    Parameters
    ----------
    models : sequence of (ModelIdentity, ModelCard)
        The model and its card; of an ensemble, all of them.
    settings : mapping of str to object
        The settings of the run.
    views : int
        How many views of a field each model answers for.
    thresholds : numpy.ndarray
        float32, one for each class.
    """

    def __init__(
        self,
        models: Sequence[tuple[ModelIdentity, ModelCard]],
        settings: Mapping[str, object],
        *,
        views: int,
        thresholds: npt.NDArray[np.float32],
    ) -> None:
        first, *others = [_of_model(model, card) for model, card in models]
        self._began = time.monotonic()  # the system clock can be set back
        self._facts: dict[str, object] = {
            "hpa_sdk": __version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "libraries": dict(_versions()),
            "command": sys.argv,
            # The base of relative paths in the command and the settings.
            "working_folder": os.getcwd(),  # noqa: PTH109 - a text
            "model": first,
            "others": others,
            "views": views,
            "thresholds": [float(str(threshold)) for threshold in thresholds],
            "settings": dict(settings),
            "started": _now(),
        }

    def write(self, output: Path, **facts: object) -> None:
        """Write the provenance of a finished output.

        Parameters
        ----------
        output : pathlib.Path
            The output, which is hashed.
        **facts : object
            Further facts as JSON values: devices, counts.

        Raises
        ------
        OutputError
            It can't be written.
        """
        metadata = self._facts | {
            "finished": _now(),
            "seconds": round(time.monotonic() - self._began, 3),
            **facts,
            "output": {"file": str(output.absolute()), "bytes": output.stat().st_size, "sha256": file_sha256(output)},
        }
        # A file name that is not valid Unicode is written escaped.
        with atomic_write(provenance_path(output)) as partial:
            partial.write_bytes(msgspec.json.format(msgspec.json.encode(_readable(metadata)), indent=2) + b"\n")


def _of_model(model: ModelIdentity, card: ModelCard) -> dict[str, object]:
    return {
        "file": str(model.where),
        "sha256": model.sha256,
        "name": card.name,
        "card_sha256": hashlib.sha256(card.to_json().encode()).hexdigest(),
        # Whole, because it can be from a file of its own, or from a catalogue.
        "card": msgspec.json.decode(card.to_json()),
        "catalogue": origin_of(model),
    }


def _readable(value: object) -> object:
    if isinstance(value, (str, Path)):
        return escaped(str(value))
    if isinstance(value, Mapping):
        return {key: _readable(part) for key, part in value.items()}
    return [_readable(part) for part in value] if isinstance(value, (list, tuple)) else value


def _versions() -> list[tuple[str, str]]:
    found = []
    for library in _LIBRARIES:
        try:
            found.append((library, version(library)))
        except PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
