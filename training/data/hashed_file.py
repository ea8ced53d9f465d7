"""Makes sure that what was loaded from a file matches the file's hash, although the file is read twice."""

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
    """The state of a file when it was hashed.

    Attributes
    ----------
    state : FileState
        Its state.
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
        # Two changes in quick succession could have the same times.
        time.sleep(stamp_of(path).unsettled_seconds)
        state = FileState.of(path)
        return cls(state, file_sha256(path))

    def check(self) -> None:
        """Make sure that the file did not change since it was hashed.

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
