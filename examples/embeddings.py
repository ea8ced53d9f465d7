"""Draws fields that are similar for a model: each row is a field and those whose embeddings are nearest to its own.

    python examples/embeddings.py starter examples/fields neighbours.png

The embedding is the output of the last but one layer, 512 numbers per field. A map of all fields in two dimensions is
one more line, with the package umap-learn: `umap.UMAP(metric="cosine").fit_transform(embeddings)`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.neighbors import NearestNeighbors

from hpa_sdk import Predictor, find_samples, read_planes
from hpa_sdk.fields.composite import composite, show

ROWS = 6
NEAREST = 5


def main(model: str, folder: str, out: str) -> None:
    """Embed, find neighbours, draw."""
    samples = list(find_samples(Path(folder)))
    predictions = Predictor.load(model).predict(samples)
    embeddings = np.stack([prediction.embedding for prediction in predictions])
    count = min(NEAREST, len(samples) - 1)
    distances, nearest = NearestNeighbors(n_neighbors=count, metric="cosine").fit(embeddings).kneighbors()

    figure, axes = plt.subplots(
        min(ROWS, len(samples)), 1 + count, squeeze=False, figsize=(12, 15), layout="constrained"
    )
    for row, shown in enumerate(axes):
        for axis, place, distance in zip(shown, [row, *nearest[row]], [0.0, *distances[row]], strict=True):
            axis.imshow(composite(show(read_planes(samples[place]), side=256)))
            names = sorted(label.hpa_name for label in predictions[place]) or ["no label"]
            axis.set_title("\n".join([f"distance {distance:.2f}", *names]), fontsize=7, loc="left")
            axis.set_axis_off()
    figure.savefig(out, dpi=150)
    print(f"{out}: {len(samples)} fields, {embeddings.shape[1]} numbers each")


if __name__ == "__main__":
    main(*sys.argv[1:])
