"""Writes the cells of a file of results as AnnData, for scanpy and other tools of single-cell analysis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hpa_sdk.cells.cell import Cell
from hpa_sdk.cells.cells_file import read_cells
from hpa_sdk.errors import TableError
from hpa_sdk.fields.channel_stack import load
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import LabelScheme

_OBS = ("field", "cell", "top", "left", "bottom", "right", "row", "column", "area", "area_um2", "border")


def write_h5ad(path: Path, results: Path, *, model: Mapping[str, str]) -> int:
    """Write the cells that were answered. Cells and fields that failed are left out.

    ``X`` has the embeddings, as in the file that SubCellPortable writes: float32, (cells, width); without columns if
    the results have no embeddings, as CSV and JSON lines do not. ``obsm["probabilities"]`` is (cells, classes),
    ``obsm["spatial"]`` the centre in pixels (x, y), ``obs`` has the columns of the rows. ``uns`` has the names of the
    classes and the model.

    All cells are in memory at once, since the form has one array for all: 0.9 GB for 100,000 cells with embeddings of
    512 numbers. So it is made of a file of results, which is written as the cells arrive.

    Parameters
    ----------
    path : pathlib.Path
        The file to write.
    results : pathlib.Path
        A file that `hpa_sdk.cells.writers.open_cell_writer` wrote: Parquet, to have embeddings.
    model : mapping of str to str
        What identifies the model, such as its name and SHA-256.

    Returns
    -------
    int
        Number of cells written.

    Raises
    ------
    OutputError
        No file can be written there.
    PlaneError
        anndata is not installed.
    TableError
        The results can't be read, are of several label schemes, or no cell was answered.
    """
    anndata = load("anndata", extra="anndata", path=path)
    pandas = load("pandas", extra="anndata", path=path)
    rows: list[tuple[object, ...]] = []
    labels, sources, probabilities, embeddings = [], [], [], []
    schemes: dict[LabelScheme, None] = {}
    for found in read_cells(results):
        if found.cell is None or found.result.error is not None:
            continue
        schemes[found.result.label_scheme] = None
        rows.append(_row(found.result.id, found.cell))
        labels.append(";".join(found.result.labels))
        sources.append(found.segmentation)
        probabilities.append(np.asarray(found.result.probabilities, np.float32))
        embeddings.append(np.asarray(found.embedding, np.float32))
    if not rows:
        raise TableError("no cell in it was answered", where=results, remedy="Look at the column error.")
    widths = {len(embedding) for embedding in embeddings}
    if len(schemes) > 1 or len(widths) > 1:
        raise TableError(
            "its cells were answered by several models", where=results, remedy="Name the results of one model."
        )
    (scheme,) = schemes
    obs = pandas.DataFrame(rows, columns=_OBS, index=[f"{row[0]}#{row[1]}" for row in rows])
    obs = obs.assign(field=obs["field"].astype("category"), border=obs["border"].astype(bool), labels=labels)
    obs["segmentation"] = pandas.Categorical(sources)
    data = anndata.AnnData(X=np.stack(embeddings), obs=obs)
    data.var_names = [f"embedding_{at}" for at in range(data.n_vars)]
    data.obsm["probabilities"] = np.stack(probabilities)
    data.obsm["spatial"] = obs[["column", "row"]].to_numpy(np.float32)
    data.uns["model"] = dict(model)
    data.uns["classes"] = np.array(scheme.names)
    data.uns["scheme"] = scheme.name
    with atomic_write(path) as partial:
        data.write_h5ad(partial, compression="gzip")
    return len(rows)


def _row(field: str, cell: Cell) -> tuple[object, ...]:
    area = np.nan if cell.area_um2 is None else cell.area_um2
    return (field, cell.number, *cell.box, *cell.centre, cell.area, area, cell.border)
