"""Allows one watch at a time to use a ledger, and only for the ledger's own folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hpa_sdk.errors import OutputError
from hpa_sdk.files.file_lock import hold_lock
from hpa_sdk.results.result_ledger import Ledger


@contextmanager
def lock_ledger(ledger: Ledger, folder: Path) -> Iterator[None]:
    """Lock a ledger for a watch on a folder during the block: a killed watch blocks no other.

    Raises
    ------
    OutputError
        Another watch is using the ledger, or the ledger belongs to another folder.
    """
    with hold_lock(
        ledger.path.with_name(f"{ledger.path.name}.lock"),
        busy=lambda: OutputError(
            f"another watch is at work with this ledger: {ledger.fact('holder') or 'it is just starting'}",
            where=ledger.path,
            remedy="Stop that one, or name another folder for results.",
        ),
        no_lock=lambda error: OutputError(
            f"the lock of the ledger can't be taken ({error})",
            where=ledger.path,
            remedy="Name a ledger on a disk of this computer: the key 'ledger' of the station file.",
        ),
    ):
        since = datetime.now(UTC).isoformat(timespec="seconds")
        ledger.set_fact("holder", f"process {os.getpid()} on {socket.gethostname()} since {since}")
        _check_folder(ledger, os.path.normcase(os.path.abspath(folder)))  # noqa: PTH100 - it takes out ".." too
        yield


def _check_folder(ledger: Ledger, folder: str) -> None:
    known = ledger.fact("folder")
    if known not in {None, folder}:
        raise OutputError(
            f"this ledger is of the folder {known}, not of {folder}",
            where=ledger.path,
            remedy="Name another folder for results: fields of two folders may have the same names.",
        )
    ledger.set_fact("folder", folder)
