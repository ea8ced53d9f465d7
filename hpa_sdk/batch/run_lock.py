"""Lets one run at a time work at an output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import OutputError
from hpa_sdk.files.file_lock import hold_lock


@contextmanager
def lock_output(output: Path) -> Iterator[None]:
    """Hold an output for one run during the block, by a lock file beside it: a killed run blocks nobody.

    Parameters
    ----------
    output : pathlib.Path
        The output; it need not be there yet.

    Raises
    ------
    OutputError
        Another run is at work with the output, or no lock can be taken beside it.
    """
    if not output.parent.is_dir():  # some versions of the lock would make it
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
