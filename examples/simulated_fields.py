"""Makes the simulated fields of examples/fields again: varied classes, and small enough for a repository.

    python examples/simulated_fields.py examples/fields

The label sets come first: of those that the simulator draws one after the other, those that have a class which no
earlier one has. No model is asked. Each field is drawn at 512 pixels and then halved by the mean of four pixels, which
takes a quarter of the space.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from hpa_sdk import Label
from training.simulation import draw_labels, simulate

COUNT = 12
SEED = 2026
SIDE = 256


def main(out: Path) -> None:
    """Write the planes and the table of their labels."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        table = simulate(Path(folder), count=COUNT, seed=SEED, labels=varied_label_sets())
        for plane in sorted(Path(folder).glob("*.png")):
            with Image.open(plane) as picture:
                halved = cv2.resize(np.asarray(picture), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            Image.fromarray(halved).save(out / plane.name, optimize=True)
        (out / table.name).write_bytes(table.read_bytes())


def varied_label_sets() -> list[tuple[Label, ...]]:
    """Draw label sets, and keep each that has a class which no earlier one has."""
    rng, seen, kept = np.random.default_rng(SEED), set[Label](), list[tuple[Label, ...]]()
    while len(kept) < COUNT:
        drawn = draw_labels(rng)
        if not seen.issuperset(drawn):
            kept.append(tuple(drawn))
            seen.update(drawn)
    return kept


if __name__ == "__main__":
    main(Path(sys.argv[1]))
