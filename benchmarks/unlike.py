"""Measures whether the distance of embeddings tells fields from other pictures, for both ways to measure it.

    python -m benchmarks.unlike MODEL FIELDS OTHER_FIELDS --out docs/evidence/unlike.md

Needs scikit-image for its pictures. One half of FIELDS is the reference; the other half, which it has not seen, is
compared with photographs, stains, drawn brightfield pictures and noise. OTHER_FIELDS give a figure for real fields of
another kind, and are used for nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import click
import cv2
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from hpa_sdk import Predictor
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.quality.measures import Planes
from hpa_sdk.quality.quality import OUTLYING
from hpa_sdk.quality.reference import learn_spread

_SIDE = 512
_NOISE = 20
_NEIGHBOURS = 3
_EXEMPLARS = 64  # as many embeddings as fit in a reference
_PHOTOGRAPHS = (
    "astronaut",
    "camera",
    "chelsea",
    "coffee",
    "rocket",
    "page",
    "coins",
    "moon",
    "brick",
    "grass",
    "gravel",
)
_STAINS = ("immunohistochemistry", "retina")

Embeddings = npt.NDArray[np.float32]


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("fields", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="page to write")
    options = parser.parse_args()
    planes = [read_planes(sample) for sample in find_samples(options.fields)]
    order = np.random.default_rng(0).permutation(len(planes))
    with Predictor.load(options.model, device="cpu", quality=False) as predictor:

        def embed(pictures: list[Planes]) -> Embeddings:
            return np.stack([answer.embedding for answer in predictor.predict_planes(pictures)])

        usual = embed(planes)[order]
        reference, held_out = usual[::2], usual[1::2]
        strange = {name: embed(pictures) for name, pictures in _pictures(planes).items()}
        strange["real fields of another kind"] = embed([read_planes(each) for each in find_samples(options.other)])
        name = predictor.card.name
    spread = learn_spread(reference)
    rows = []
    for kind, found in strange.items():
        by_spread = _auroc(spread.distance(held_out), spread.distance(found))
        by_neighbours = _auroc(_to_neighbours(held_out, reference), _to_neighbours(found, reference))
        flagged = np.mean([spread.share_beyond(each) < OUTLYING for each in found])
        rows.append(f"| {kind} | {len(found)} | {by_spread:.3f} | {by_neighbours:.3f} | {flagged:.0%} |")
    usual_flagged = np.mean([spread.share_beyond(each) < OUTLYING for each in held_out])
    rows.append(f"| held-out fields | {len(held_out)} | 0.500 | 0.500 | {usual_flagged:.0%} |")
    page = _PAGE.format(model=name, reference=len(reference), fields=options.fields.name, rows="\n".join(rows))
    with atomic_write(options.out) as partial:
        partial.write_text(page, encoding="utf-8")
    click.echo(page)


def _pictures(fields: list[Planes]) -> Mapping[str, list[Planes]]:
    rng = np.random.default_rng(0)
    data = import_module("skimage.data")
    bright = [np.clip(170 - 0.3 * field[0] + rng.normal(0, 4, field[0].shape), 0, 255) for field in fields[:_NOISE]]
    flat = [rng.integers(0, 256, (4, _SIDE, _SIDE)).astype(np.uint8) for _ in range(_NOISE)]
    dim = [np.clip(rng.normal(20, 5, (4, _SIDE, _SIDE)), 0, 255).astype(np.uint8) for _ in range(_NOISE)]
    return {
        "photographs": [_as_planes(getattr(data, name)()) for name in _PHOTOGRAPHS],
        "stains and a retina": [_as_planes(getattr(data, name)()) for name in _STAINS],
        "drawn brightfield": [np.stack([plane.astype(np.uint8)] * 4) for plane in bright],
        "noise": flat + dim,
    }


def _as_planes(picture: npt.NDArray[np.uint8]) -> Planes:
    """Return the colours of a picture as red, green and blue, and its grey as yellow."""
    colours = np.dstack([picture] * 3) if picture.ndim == 2 else picture[..., :3]  # noqa: PLR2004 - a grey picture
    resized = cv2.resize(colours, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.stack([*resized.transpose(2, 0, 1), cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY)])


def _to_neighbours(embeddings: Embeddings, reference: Embeddings) -> npt.NDArray[np.float64]:
    """Return 1 - the cosine to the third nearest of as many fields as a reference could hold."""
    one, other = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (embeddings, reference[:_EXEMPLARS]))
    distances: npt.NDArray[np.float64] = 1 - np.sort(one @ other.T, axis=1)[:, -_NEIGHBOURS]
    return distances


def _auroc(usual: npt.NDArray[np.float64], strange: npt.NDArray[np.float64]) -> float:
    truth = np.r_[np.zeros(len(usual)), np.ones(len(strange))]
    return float(roc_auc_score(truth, np.r_[usual, strange]))


_PAGE = """\
# Unlike the training: what the distance of embeddings finds

This page shows how well the distance of a picture's embedding to those of a [reference](../quality.md#references) tells
fields from other pictures. `python -m benchmarks.unlike MODEL FIELDS OTHER_FIELDS --out docs/evidence/unlike.md` writes
it.

Model: {model}. Reference: {reference} fields of {fields}, compared with the other half of them. AUROC: 1 if every
picture lies further out than every held-out field. Flagged: fewer than 1% of the reference's fields lie as far out.

| pictures | number | AUROC, Mahalanobis | AUROC, third nearest neighbour of 64 | flagged |
| --- | --- | --- | --- | --- |
{rows}
"""


if __name__ == "__main__":
    main()
