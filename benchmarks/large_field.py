"""Measures the processor time and the memory of the segmentation of one large field.

    python -m benchmarks.large_field --side 8192

The field is simulated, with a pixel size of 0.32 um, at which cells are found without reducing it.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import cv2
import numpy as np
import psutil

from hpa_sdk.cells import ClassicalSegmenter
from hpa_sdk.preprocessing import Planes
from training.simulation.fields import simulate_field

_PIXEL = 0.32
_GIB = 2**30
_PATTERN = 4
_SECONDS = 0.02


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=8192, help="height and width in pixels")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    planes = _field(options.side)
    process = psutil.Process()
    before, stop, most = process.memory_info().rss, threading.Event(), [0]

    def watch() -> None:
        while not stop.wait(_SECONDS):
            most[0] = max(most[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.process_time()
    found = ClassicalSegmenter().segment(planes, id="field", pixel_size=_PIXEL)
    seconds = time.process_time() - begun
    stop.set()
    watcher.join()
    text = (
        f"{options.side} x {options.side} x 4, {planes.nbytes / _GIB:.2f} GiB: {len(found.cells)} cells",
        f"{seconds:.1f} s of processor time, one core",
        f"{(most[0] - before) / _GIB:.2f} GiB of memory beside the planes",
    )
    sys.stdout.write("\n".join((*text, "")))


def _field(side: int) -> Planes:
    """Return a field of simulated ones that are repeated."""
    fields = [simulate_field([0, 25], np.random.default_rng(seed)) for seed in range(_PATTERN**2)]
    rows = [np.concatenate(fields[at : at + _PATTERN], axis=2) for at in range(0, len(fields), _PATTERN)]
    pattern = np.concatenate(rows, axis=1)
    size = pattern.shape[1] // 2
    small = np.stack([cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA) for plane in pattern])
    times = -(-side // size)
    return np.ascontiguousarray(np.tile(small, (1, times, times))[:, :side, :side])


if __name__ == "__main__":
    main()
