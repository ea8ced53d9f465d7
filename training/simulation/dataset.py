"""Writes simulated fields to a folder in the form of the real training set, so that one reader reads both."""

from __future__ import annotations

import uuid
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from hpa_sdk.errors import OutputError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import Label
from training.simulation.fields import PLANE_NAMES, simulate_cells
from training.simulation.label_draw import draw_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

_TABLE_NAME = "train.csv"
_FAST_COMPRESSION = 1
_FIELDS_A_TASK = 4


def simulate(
    out: Path,
    *,
    count: int,
    seed: int,
    size: int = 512,
    workers: int | None = None,
    labels: Sequence[Collection[Label]] | None = None,
    masks: bool = False,
) -> Path:
    """Write a simulated training set: four planes per field, then the table of their labels.

    Parameters
    ----------
    out : Path
        Folder to write into; made if it is missing.
    count : int
        Number of fields.
    seed : int
        Seed of the whole set: the same seed gives the same files, for any number of workers.
    size : int
        Rows and columns of a field, in pixels.
    workers : int, optional
        Number of processes; 1 uses this process, None one per processor core.
    labels : sequence of collections of Label, optional
        Labels of each field; without them `draw_labels` draws them.
    masks : bool
        Also write a label image of the cells of each field, `masks/ID_cells.png`: 16 bits, 0 outside cells.

    Returns
    -------
    Path
        The table, `train.csv` in `out`, with columns `Id` and `Target`.

    Raises
    ------
    OutputError
        `out` already holds a `train.csv`.
    ValueError
        The number of label sets is not the number of fields.
    """
    table = out / _TABLE_NAME
    if table.exists():
        raise OutputError(
            "the folder already holds a training set",
            where=table,
            remedy="Choose another folder, or delete this one first.",
        )
    if labels is not None and len(labels) != count:
        message = f"{len(labels)} label sets were given for {count} fields"
        raise ValueError(message)
    out.mkdir(parents=True, exist_ok=True)
    folder = out / "masks" if masks else None
    if folder is not None:
        folder.mkdir(exist_ok=True)
    write = partial(_write_field, out, seed, size, folder)
    wanted = [None] * count if labels is None else [tuple(one) for one in labels]
    in_process = workers == 1
    pool = (
        nullcontext()
        if in_process
        else ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
    )
    with pool as executor:
        rows = (
            map(write, range(count), wanted)
            if executor is None
            else executor.map(write, range(count), wanted, chunksize=_FIELDS_A_TASK)
        )
        written = list(tqdm(rows, total=count, unit="field", disable=None))
    with atomic_write(table) as partial_table:
        lines = ["Id,Target", *(f"{field_id},{target}" for field_id, target in written), ""]
        partial_table.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    return table


def _write_field(
    out: Path, seed: int, size: int, masks: Path | None, index: int, labels: Collection[Label] | None
) -> tuple[str, str]:
    """Write the planes of one field; return its row of the table."""
    sequence = np.random.SeedSequence(seed, spawn_key=(index,))
    rng = np.random.default_rng(sequence)
    field_labels = draw_labels(rng) if labels is None else sorted(set(labels))
    field_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"simulated field {index} of seed {seed}"))
    field = simulate_cells(field_labels, rng, size=size)
    if masks is not None:
        Image.fromarray(field.cells).save(masks / f"{field_id}_cells.png", compress_level=_FAST_COMPRESSION)
    for name, plane in zip(PLANE_NAMES, field.planes, strict=True):
        Image.fromarray(plane).save(out / f"{field_id}_{name}.png", compress_level=_FAST_COMPRESSION)
    return field_id, " ".join(str(int(label)) for label in field_labels)
