"""Allows one run at a time to write an output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import OutputError
from hpa_sdk.files.file_lock import lock_beside


@contextmanager
def lock_output(output: Path) -> Iterator[None]:
    """Lock an output for one run during the block, with a lock file next to it: a killed run blocks no other.

    Parameters
    ----------
    output : pathlib.Path
        The output; it need not exist yet.

    Raises
    ------
    OutputError
        Another run is using the output, or no lock can be taken next to it.
    """
    with lock_beside(
        output,
        what="the output",
        busy=lambda: OutputError(
            "another run is at work with this output",
            where=output,
            remedy="Wait until it is done, end it, or name another output.",
        ),
    ):
        yield
