"""Predicts a folder of fields with Dask, one Parquet file per part: python examples/dask_fields.py MODEL FOLDER OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import dask

from hpa_sdk import Predictor, Sample, find_samples
from hpa_sdk.results import open_writer

FIELDS_A_PART = 500


def answer(model: str, samples: list[Sample], out: Path) -> int:
    """Predict some fields into a file, atomically; failures are rows with their reason."""
    predictor = Predictor.load(model, device="cpu", threads=1)  # here: sessions can't be sent
    with open_writer(out, "parquet") as writer:
        for each in predictor.stream(samples):
            writer.write(each)
    return len(samples)


def main(model: str, folder: str, out: str) -> None:
    """Predict what is missing; run it again to resume after a stop."""
    Path(out).mkdir(exist_ok=True)
    samples = list(find_samples(folder, recursive=True))
    tasks = []
    for at in range(0, len(samples), FIELDS_A_PART):
        part = Path(out) / f"part-{at:07}.parquet"
        if not part.exists():
            tasks.append(dask.delayed(answer)(model, samples[at : at + FIELDS_A_PART], part))
    print(sum(dask.compute(*tasks, scheduler="processes")), "fields predicted")


if __name__ == "__main__":
    main(*sys.argv[1:])
