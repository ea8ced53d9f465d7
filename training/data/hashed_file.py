"""Binds what is loaded from a file to the file's hash, although both read it on their own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hpa_sdk.files.file_state import FileState, stamp_of
from hpa_sdk.models.onnx_file import file_sha256
from training.errors import RunError


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file as it was when it was hashed.

    Attributes
    ----------
    state : FileState
        What it was.
    sha256 : str
        SHA-256 of its content, in hexadecimal.
    """

    state: FileState
    sha256: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Hash a file.

        Raises
        ------
        OSError
            It can't be read.
        """
        # A change right after another one would leave the same times.
        time.sleep(stamp_of(path).unsettled_seconds)
        state = FileState.of(path)
        return cls(state, file_sha256(path))

    def check(self) -> None:
        """Make sure that whatever was loaded from the file since has its hash.

        Raises
        ------
        RunError
            The file was written, replaced or removed meanwhile.
        """
        try:
            same = stamp_of(self.state.path) == self.state.stamp
        except OSError:
            same = False
        if not same:
            raise RunError(
                "the file was changed while it was read",
                where=self.state.path,
                remedy="Run again when nobody writes to it any more.",
            )
