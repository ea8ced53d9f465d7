"""Opens the ledger of an output, for exclusive use by one run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from hpa_sdk.batch.row_ledger import RowLedger

OneLedger = TypeVar("OneLedger", bound=RowLedger)


def ledger_path(output: Path) -> Path:
    """Return the path of an output's ledger, next to the output."""
    return output.with_name(f"{output.name}.ledger")


@contextmanager
def open_ledger(
    kind: Callable[[Path], OneLedger], output: Path, settings: str, log: Callable[[str], None]
) -> Iterator[OneLedger]:
    """Open the ledger of an output during the block, within `lock_output`, and remove what a killed run left.

    Parameters
    ----------
    kind : callable
        Opens or creates a ledger at a path.
    output : pathlib.Path
        The output, next to which the ledger is.
    settings : str
        What all fields of the run share. Answers of other settings are not used.
    log : callable
        Called with a line for the user if the settings differ from those of the run before.

    Raises
    ------
    OutputError
        The ledger can't be used, or another process is using it.
    """
    with closing(kind(ledger_path(output))) as ledger:
        remove_partials(output)
        if ledger.replace_fact("settings", settings) not in {None, settings}:
            log(
                "A model, the views, the white level, a runtime option, the scale, the limits of quality or the"
                " comparison changed: every field is predicted again."
            )
        yield ledger


def remove_partials(output: Path) -> None:
    """Remove what a killed run left of an output, within `lock_output`. Files that can't be removed do no harm."""
    partial = re.compile(rf"\.[0-9a-f]{{8}}\.{re.escape(output.name)}")  # as atomic_write names them
    for path in output.parent.iterdir():
        if partial.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()
