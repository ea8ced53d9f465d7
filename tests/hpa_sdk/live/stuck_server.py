"""Serves the page in a process of its own, and never finishes the table of the cells of a field that is sent."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.writers import CsvCellWriter
from hpa_sdk.live import page
from hpa_sdk.prediction import Failure
from hpa_sdk.workstation.station import read_station
from tests.hpa_sdk.live.celled import with_cells


def _never_finish(_: CsvCellWriter, answers: CellAnswers | Failure) -> None:
    print("writing", answers.id, flush=True)  # noqa: T201 - what the test reads
    time.sleep(600)


if __name__ == "__main__":
    setattr(CsvCellWriter, "write", _never_finish)  # noqa: B010 - mypy refuses the plain assignment
    page.run(
        with_cells(read_station(Path(sys.argv[1]))),
        host="127.0.0.1",
        port=0,
        token=None,
        watches=False,
        existing="do",
        stop=threading.Event(),
        on_url=lambda url: print(url, flush=True),  # noqa: T201 - as above
    )
