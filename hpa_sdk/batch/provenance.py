"""Writes beside a result how it was made, so that it can be told apart and made again years later."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from hpa_sdk import __version__
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import escaped
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelIdentity
from hpa_sdk.models.onnx_file import file_sha256

_LIBRARIES = ("numpy", "opencv-python", "pillow", "onnxruntime", "onnxruntime-gpu")


def provenance_path(output: Path) -> Path:
    """Give the place of an output's provenance: beside it."""
    return output.with_name(f"{output.name}.provenance.json")


class Provenance:
    """What is known of a run from its start; `write` adds what is known at its end.

    Parameters
    ----------
    model : ModelIdentity
        The model.
    card : ModelCard
        Its card.
    settings : mapping of str to object
        What the run was asked to do.
    """

    def __init__(self, model: ModelIdentity, card: ModelCard, settings: Mapping[str, object]) -> None:
        self._began = time.monotonic()  # the clock may go back; this one does not
        self._facts: dict[str, object] = {
            "hpa_sdk": __version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "libraries": dict(_versions()),
            "command": sys.argv,
            # Where relative paths in the command and the settings begin.
            "working_folder": os.getcwd(),  # noqa: PTH109 - a text
            "model": {
                "file": str(model.where),
                "sha256": model.sha256,
                "name": card.name,
                "card_sha256": hashlib.sha256(card.to_json().encode()).hexdigest(),
            },
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
            What else is known of it, as JSON has it: devices, counts.

        Raises
        ------
        OutputError
            It can't be written.
        """
        told = self._facts | {
            "finished": _now(),
            "seconds": round(time.monotonic() - self._began, 3),
            **facts,
            "output": {"file": str(output.absolute()), "bytes": output.stat().st_size, "sha256": file_sha256(output)},
        }
        # A file name that is no Unicode is written escaped.
        with atomic_write(provenance_path(output)) as partial:
            partial.write_bytes(msgspec.json.format(msgspec.json.encode(_readable(told)), indent=2) + b"\n")


def _readable(told: object) -> object:
    if isinstance(told, (str, Path)):
        return escaped(str(told))
    if isinstance(told, Mapping):
        return {key: _readable(value) for key, value in told.items()}
    return [_readable(part) for part in told] if isinstance(told, (list, tuple)) else told


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
