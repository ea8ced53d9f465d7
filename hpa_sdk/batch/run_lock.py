"""Allows one run at a time to write an output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import OutputError
from hpa_sdk.files.file_lock import hold_lock


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
    if not output.parent.is_dir():  # some versions of the lock would create it
        raise OutputError("the folder is missing", where=output, remedy="Make it, or name a file in another one.")
    with hold_lock(
        output.with_name(f".{output.name}.lock"),
        busy=lambda: OutputError(
            "another run is at work with this output",
            where=output,
            remedy="Wait until it is done, end it, or name another output.",
        ),
        no_lock=lambda error: OutputError(
            f"no lock can be taken beside the output ({error})",
            where=output,
            remedy="Name a file in a folder that you may write to, on a disk that knows locks.",
        ),
    ):
        yield
