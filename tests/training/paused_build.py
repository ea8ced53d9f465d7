"""Prepares the images of a data set and holds still before one of the flushes, so that a test can kill it right there.

Arguments: the data set, the folder of images, and which flush: the first file's start, then images and record in turn.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from unittest.mock import patch

from training.data.dataset import read_dataset
from training.data.prepared import prepare


def main(data: str, folder: str, number: str) -> None:
    """Prepare, and say on standard output when the flush is reached."""
    flush, flushes = os.fsync, iter(range(1, 1000))

    def hold(file: int) -> None:
        if next(flushes) == int(number):
            sys.stdout.write("held\n")
            sys.stdout.flush()
            threading.Event().wait()
        flush(file)

    with patch("os.fsync", hold):
        prepare(read_dataset(Path(data)), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
