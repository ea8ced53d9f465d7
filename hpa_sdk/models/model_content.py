"""Reads a model file once, so that whatever is opened, checked and recorded of it are the same bytes."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.files.file_state import FileStamp, stamp_of
from hpa_sdk.models.model_package import read_packed_model
from hpa_sdk.models.onnx_file import check_model_size, model_file_errors


class ModelIdentity:
    """Which bytes a model is, without the bytes.

    Parameters
    ----------
    sha256 : str or concurrent.futures.Future of str
        SHA-256 of the file, in hexadecimal.
    path : pathlib.Path, optional
        Where it was read from, absolute.
    stamp : FileStamp, optional
        What the file was then.

    Attributes
    ----------
    path : pathlib.Path or None
        As above; None for a model that never lay in a file.
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
        """Where it lay, for messages."""
        return self.path or Path("model")

    def is_on_disk(self) -> bool:
        """Whether the file still is what it was, by its stamp; true where there never was a file."""
        if self.path is None or self._stamp is None:
            return True
        try:
            return stamp_of(self.path).matches(self._stamp)
        except OSError:
            return False


@dataclass(frozen=True, slots=True, eq=False)
class ModelContent:
    """The bytes of one model, and which they are.

    Attributes
    ----------
    identity : ModelIdentity
        Where they were read from, and their SHA-256.
    model : bytes
        The serialized ONNX model: the file itself, or what a bioimage.io package holds.
    """

    identity: ModelIdentity
    model: bytes

    @classmethod
    def of(cls, model: Path | bytes | ModelContent) -> ModelContent:
        """Take a model in any of its forms.

        Raises
        ------
        ModelFileError
            As for `read`; or a package holds no ONNX file that can be read.
        """
        if isinstance(model, ModelContent):
            return model
        return (
            cls.read(model) if isinstance(model, Path) else _content(model, ModelIdentity(_hash_in_background(model)))
        )

    @classmethod
    def read(cls, path: Path) -> ModelContent:
        """Read a model file, or the one that a package holds.

        Raises
        ------
        ModelFileError
            The file is missing, empty, can't be read, is larger than an ONNX file can be, or was written to while it
            was read; or it is a package without one ONNX file that can be read.
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
        return _content(data, ModelIdentity(_hash_in_background(data), path.absolute(), after))


def _content(data: bytes, identity: ModelIdentity) -> ModelContent:
    packed = read_packed_model(io.BytesIO(data), identity.where)
    return ModelContent(identity, data if packed is None else packed)


def _hash_in_background(data: bytes) -> Future[str]:
    # A fifth of a second for the larger of the two networks, which a runtime needs anyway to open it.
    thread = ThreadPoolExecutor(1, thread_name_prefix="hpa-sha256")
    digest = thread.submit(lambda: hashlib.sha256(data).hexdigest())
    thread.shutdown(wait=False)
    return digest
