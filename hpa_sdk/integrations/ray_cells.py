"""Distributes the prediction of cells over a Ray cluster: a dataset of fields becomes one with a row for each cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import ray
import ray.data

from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.cells.writers import open_cell_writer
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.integrations.ray import actor_resources, count_slots, describe, load_in_actor, to_sample
from hpa_sdk.labels import LabelScheme
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor

FIELDS_A_CALL = 8
"""Fields that an actor gets at once; fewer than without cells, since a field has hundreds of rows."""


def cells_dataset(
    fields: ray.data.Dataset,
    options: Mapping[str, Any],
    *,
    segmenter: Callable[[], Segmenter] | None = None,
    actors: int | None = None,
    cpus: int = 1,
) -> ray.data.Dataset:
    """Predict the cells of the fields of a dataset, lazily.

    Parameters
    ----------
    fields, options, actors, cpus
        As for `hpa_sdk.integrations.ray.predict_dataset`.
    segmenter : callable, optional
        Makes in each actor what finds the cells, such as ``partial(MaskFolder, Path("/shared/masks"))``. Default: the
        built-in segmentation.

    Returns
    -------
    ray.data.Dataset
        With the rows and columns of ``hpa cells -o cells.parquet``, in the order of `fields`. A field without cells, or
        one that failed, has one row with the reason in ``error``. Work that is lost with a node is repeated.

    Raises
    ------
    SettingError
        No node of the cluster has the resources for an actor.
    """
    resources = actor_resources(options, cpus)
    slots = count_slots(resources)  # before a node is asked, which would wait without end
    sha256, card, _ = ray.get(ray.remote(describe).remote(options["model"], options.get("card")))
    cells = fields.map_batches(
        _CellActor,
        batch_size=FIELDS_A_CALL,
        batch_format="pyarrow",
        # An actor that starts hours later must not load another file.
        fn_constructor_args=(
            {**options, "sha256": options.get("sha256") or sha256},
            card.label_scheme,
            segmenter,
        ),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors or slots),
        num_cpus=resources["CPU"],
        num_gpus=resources["GPU"],
    )
    cells.context.execution_options.preserve_order = True
    return cells


def write_cells(cells: ray.data.Dataset, path: Path) -> int:
    """Write the cells as one Parquet file of this machine, for `hpa report` and `hpa_sdk.cells.read_cells`.

    ``cells.write_parquet(folder)`` writes one file for each block instead, from all nodes at once.

    Parameters
    ----------
    cells : ray.data.Dataset
        What `cells_dataset` returns.
    path : pathlib.Path
        The file; it appears complete or not at all.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    rows = 0
    with atomic_write(path) as partial:
        tables = iter(cells.iter_batches(batch_size=None, batch_format="pyarrow"))
        first = next(tables)
        with pyarrow.parquet.ParquetWriter(partial, first.schema) as file:
            for table in (first, *tables):
                file.write_table(table)
                rows += table.num_rows
    return rows


class _CellActor:
    """Has its own session for its whole lifetime, because sessions can't be sent."""

    def __init__(
        self, options: Mapping[str, Any], scheme: LabelScheme, segmenter: Callable[[], Segmenter] | None
    ) -> None:
        self._scheme = scheme
        self._segmenter = segmenter and segmenter()
        self._predictor, self._channels = load_in_actor(options)

    def __call__(self, fields: pa.Table) -> pa.Table:
        samples = [to_sample(row, self._channels) for row in fields.to_pylist()]
        predictor = self._predictor
        # Through a file, so that the rows are those of `hpa cells` in every detail.
        with TemporaryDirectory() as folder:
            path = Path(folder) / "cells.parquet"
            with open_cell_writer(path, "parquet", self._scheme) as writer:
                if isinstance(predictor, Predictor):
                    for answers in predictor.cells(samples, segmenter=self._segmenter):
                        writer.write(answers)
                else:
                    for sample in samples:
                        writer.write(Failure(sample.id, predictor))
            return pyarrow.parquet.read_table(path)
