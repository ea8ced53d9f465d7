"""Reads a model file once, so that the same bytes are opened, checked and recorded."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.files.file_state import FileStamp, stamp_of
from hpa_sdk.models.model_package import read_packed_description, read_packed_model
from hpa_sdk.models.onnx_file import check_model_size, model_file_errors


class ModelIdentity:
    """Identifies the bytes of a model without holding them.

    Parameters
    ----------
    sha256 : str or concurrent.futures.Future of str
        SHA-256 of the file, in hexadecimal.
    path : pathlib.Path, optional
        Absolute path that it was read from.
    stamp : FileStamp, optional
        State of the file at that time.

    Attributes
    ----------
    path : pathlib.Path or None
        As above. None for a model from memory.
    """

    def __init__(self, sha256: str | Future[str], path: Path | None = None, stamp: FileStamp | None = None) -> None:
        self.path = path
        self._stamp = stamp
        self._sha256 = sha256

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return self._sha256 if isinstance(self._sha256, str) else self._sha256.result()

    @property
    def where(self) -> Path:
        """Where the model was read from, for messages."""
        return self.path or Path("model")

    def is_on_disk(self) -> bool:
        """Whether the file is unchanged, according to its stamp. True if there never was a file."""
        if self.path is None or self._stamp is None:
            return True
        try:
            return stamp_of(self.path).matches(self._stamp)
        except OSError:
            return False


def ensemble_sha256(models: Sequence[str], views: int) -> str:
    """Identify what answers: one model that runs once on a field by its own SHA-256, all else by one of its parts.

    Parameters
    ----------
    models : sequence of str
        The SHA-256 of each model file, in hexadecimal.
    views : int
        How many views of a field each model runs on.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    if len(models) == 1 and views == 1:
        return models[0]
    return hashlib.sha256("\0".join([*models, f"views={views}"]).encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ModelContent:
    """The bytes of a model, and their identity.

    Attributes
    ----------
    identity : ModelIdentity
        The path that they were read from, and their SHA-256.
    model : bytes
        The serialized ONNX model: the file itself, or the content of a bioimage.io package.
    description : bytes or None
        The description in the package.
    """

    identity: ModelIdentity
    model: bytes
    description: bytes | None = None

    @classmethod
    def of(cls, model: Path | bytes | ModelContent) -> ModelContent:
        """Read a model given in any form.

        Raises
        ------
        ModelFileError
            As for `read`, or a package contains no readable ONNX file.
        """
        if isinstance(model, ModelContent):
            return model
        return (
            cls.read(model) if isinstance(model, Path) else _content(model, ModelIdentity(_hash_in_background(model)))
        )

    @classmethod
    def read(cls, path: Path, *, sha256: str | None = None) -> ModelContent:
        """Read a model file, or the one inside a package.

        Parameters
        ----------
        path : pathlib.Path
            The file.
        sha256 : str, optional
            The SHA-256 that it must have, in hexadecimal.

        Raises
        ------
        ModelFileError
            The file is missing, empty, can't be read, is larger than an ONNX file can be, was changed while it was
            read, or has another SHA-256; or it is a package that does not contain exactly one readable ONNX file.
        """
        with model_file_errors(path):
            check_model_size(path)
            with path.open("rb") as file:
                before = FileStamp.of_status(os.fstat(file.fileno()))
                data = file.read()
                after = FileStamp.of_status(os.fstat(file.fileno()))
            if not data:
                raise ValueError
        if before != after:
            raise ModelFileError(
                "the file was changed while it was read", where=path, remedy="Load it again when it is written."
            )
        identity = ModelIdentity(_hash_in_background(data), path.absolute(), after)
        if sha256 is not None and identity.sha256 != sha256.lower():
            raise ModelFileError(
                f"the file has the SHA-256 {identity.sha256}, not {sha256}",
                where=path,
                remedy="Put the file that is meant there, or give the SHA-256 of this one.",
            )
        return _content(data, identity)


def _content(data: bytes, identity: ModelIdentity) -> ModelContent:
    packed = read_packed_model(io.BytesIO(data), identity.where)
    if packed is None:
        return ModelContent(identity, data)
    return ModelContent(identity, packed, read_packed_description(io.BytesIO(data), identity.where))


def _hash_in_background(data: bytes) -> Future[str]:
    # Takes a fifth of a second for the larger of the two networks. The runtime needs that time anyway to open it.
    thread = ThreadPoolExecutor(1, thread_name_prefix="hpa-sha256")
    digest = thread.submit(lambda: hashlib.sha256(data).hexdigest())
    thread.shutdown(wait=False)
    return digest
