"""Predicts a folder of fields on a Ray cluster, into Parquet: python examples/ray_fields.py MODEL FOLDER OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import ray.data

from hpa_sdk import find_samples
from hpa_sdk.integrations.ray import predict_dataset

FIELDS_A_PART = 20_000


def main(model: str, folder: str, out: str) -> None:
    """Predict what is missing; run it again to resume after a stop. Every node must reach all three paths."""
    options = {"model": str(Path(model).resolve()), "device": "cpu", "threads": 1}
    samples = find_samples(folder, recursive=True)
    rows = [{"id": each.id, "files": [str(file.resolve()) for file in each.files]} for each in samples]
    predicted = 0
    for at in range(0, len(rows), FIELDS_A_PART):
        part = Path(out).resolve() / f"part-{at:07}"
        if not part.exists():
            some = rows[at : at + FIELDS_A_PART]
            unfinished = part.with_name(f"_{part.name}")  # a name that Parquet readers ignore
            predict_dataset(ray.data.from_items(some), options).write_parquet(str(unfinished), mode="overwrite")
            unfinished.rename(part)
            predicted += len(some)
    print(predicted, "fields predicted")


if __name__ == "__main__":
    main(*sys.argv[1:])
