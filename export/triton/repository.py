"""Adds a model file to a Triton model repository, in the folder structure that the server needs."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.triton.config import LABELS, Serving, write_config
from export.unchanged import unchanged
from hpa_sdk.errors import OutputError
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.onnx_file import map_file


def export_triton(model: Path, repository: Path, serving: Serving, *, name: str | None = None) -> Path:
    """Add a model to a Triton model repository, as version 1.

    Parameters
    ----------
    model : pathlib.Path
        An ONNX file of the contract, with its card.
    repository : pathlib.Path
        The repository; made if it is missing. The model's folder in it is written atomically.
    serving : Serving
        The settings of the server.
    name : str, optional
        The model's name on the server. Default: the card's. Characters that a folder name can't have become ``_``.

    Returns
    -------
    pathlib.Path
        The model's folder.

    Raises
    ------
    ModelFileError, ModelCardError
        The model is not of this contract, has no card, or is written while it is read.
    OutputError
        The repository has a model of this name, or can't be written.
    """
    with unchanged(model):
        file, card = read_model(model)
        content = bytes(map_file(model))
    folder = repository / (re.sub(r"[^\w.-]", "_", name or card.name, flags=re.ASCII).lstrip(".") or "model")
    config = write_config(folder.name, file, card.tensors.scores, serving)
    with _whole_folder(folder) as partial:
        (partial / "config.pbtxt").write_text(config, encoding="utf-8", newline="\n")
        (partial / LABELS).write_text("".join(f"{label}\n" for label in card.labels), encoding="utf-8", newline="\n")
        (partial / "1").mkdir()
        (partial / "1" / "model.onnx").write_bytes(content)
    return folder


@contextmanager
def _whole_folder(final: Path) -> Iterator[Path]:
    if final.exists():
        raise OutputError(
            "the repository has a model of this name",
            where=final,
            remedy="Delete it if no server uses it, or choose another name with --name.",
        )
    partial = final.with_name(f".{uuid.uuid4().hex[:8]}.{final.name}")
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(final)
    except OSError as error:
        raise OutputError(
            f"the folder can't be written ({error.strerror})",
            where=final,
            remedy="Name a repository that you may write to, on a disk with room for the model.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
