"""Measures the share of an explanation's mass inside the organelle that it explains, on simulated fields.

    python -m benchmarks.explain resnet.onnx --fields 8

Each field has one label whose location the simulator knows. The baseline is the organelle's share of the field's area:
a map at this level has no information. The cells' share is printed too: a map that only finds cells reaches it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hpa_sdk import Predictor
from hpa_sdk.explain.occlusion import Grid, cover_and_ask
from hpa_sdk.labels import Label
from training.simulation.fields import simulate_field
from training.simulation.scene import Scene
from training.simulation.scene_building import build_scene

PLACES = {Label.NUCLEOPLASM: "nucleus", Label.NUCLEOLI: "nucleus", Label.NUCLEAR_SPECKLES: "nucleus"} | {
    Label.CYTOSOL: "cytoplasm",
    Label.MITOCHONDRIA: "cytoplasm",
}
"""The location of the protein of a label, as named in the scene."""

_INSIDE = 0.5


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a fitted network")
    parser.add_argument("--fields", type=int, default=8, help="fields a label")
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--stride", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    predictor = Predictor.load(options.model, device=options.device)
    click.echo(f"{'label':<18} {'organelle':<10} {'mass inside':>11} {'area':>6} {'cells':>6} {'above area in':>14}")
    for label, place in PLACES.items():
        rows = []
        for number in tqdm(range(options.fields), unit=" fields", disable=None, leave=False):
            planes, organelle, cells = _field(label, place, options.size, [options.seed, int(label), number])
            grid = Grid.over(planes, window=options.window, stride=options.stride)
            page = cover_and_ask(predictor, planes, grid, labels=[label]).maps[0].clip(0)
            rows.append((page[organelle].sum() / max(page.sum(), 1e-12), organelle.mean(), cells.mean()))
        inside, area, cell = np.mean(rows, axis=0)
        above = sum(mass > share for mass, share, _ in rows)
        above_area = f"{above} of {len(rows)}"
        click.echo(f"{label!s:<18} {place:<10} {inside:>11.1%} {area:>6.1%} {cell:>6.1%} {above_area:>14}")


def _field(
    label: Label, place: str, size: int, seed: list[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Draw a field, and give the masks of the organelle and of the cells."""
    planes = simulate_field([label], np.random.default_rng(seed), size=size)
    # A field draws its scene first, so the same random state gives the same scene.
    scene = build_scene([label], size, np.random.default_rng(seed))
    maps = {"nucleus": scene.nucleus, "cytoplasm": scene.cytoplasm.astype(np.float32)}
    return planes, _shown(scene, maps[place]), _shown(scene, (scene.owner >= 0).astype(np.float32))


def _shown(scene: Scene, where: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    shown: npt.NDArray[np.bool_] = scene.field(where) > _INSIDE
    return shown


if __name__ == "__main__":
    main()
