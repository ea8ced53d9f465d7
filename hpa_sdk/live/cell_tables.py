"""Reads the cells of one result from the table that was written for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpa_sdk.cells.cells_file import CellResult, read_cells
from hpa_sdk.cells.field_files import file_name
from hpa_sdk.cells.outlines import flat
from hpa_sdk.cells.summary import count_cells, shares_of
from hpa_sdk.errors import SampleError, TableError
from hpa_sdk.live.answered_files import ChangedError
from hpa_sdk.live.cell_records import CellRecord, FieldCellsRecord
from hpa_sdk.live.result_view import Row
from hpa_sdk.results.cell_counts import CellCounts

_AGAIN = "Predict the field again to see its cells."


def cells_of(row: Row, folder: Path) -> FieldCellsRecord:
    """Return the cells of a result.

    Parameters
    ----------
    row : Row
        The result.
    folder : pathlib.Path
        The folder of tables; nothing outside it is ever opened.

    Raises
    ------
    SampleError
        The field was answered as a whole only.
    ChangedError
        The table is not that of this result.
    TableError
        The table can't be read.
    """
    counts = row.result.cells
    if counts is None:
        raise SampleError(
            f"the cells of {row.result.id!r} were not answered",
            remedy="Put the table [cells] in the station file, or start with --cells, and predict the field again.",
        )
    table = folder / f"{file_name(row.result.id)}.csv"
    try:
        found = list(read_cells(table))
    except TableError as error:
        raise TableError(f"the table of its cells can't be used: {error.what}", where=table, remedy=_AGAIN) from error
    cells = [one for one in found if one.cell is not None]
    if any(one.result.id != row.result.id for one in found) or _counted(cells) != replace(
        counts, height=0, width=0, error="", notes=()
    ):
        raise ChangedError(
            "the table of cells is not that of this answer",
            where=table,
            remedy=_AGAIN,
        )
    return FieldCellsRecord(
        id=row.result.id,
        number=row.number,
        store=row.store,
        counts=counts,
        segmentation=found[0].segmentation,
        cells=[_record(one) for one in cells],
    )


def _counted(cells: Sequence[CellResult]) -> CellCounts:
    names = next((one.result.label_scheme.names for one in cells if one.result.error is None), ())
    rows = (
        (one.cell is not None and one.cell.border, None if one.result.error is not None else one.result.labels)
        for one in cells
    )
    return shares_of(count_cells("", rows), names)


def _record(found: CellResult) -> CellRecord:
    cell, result = found.cell, found.result
    return CellRecord(
        cell=0 if cell is None else cell.number,
        border=cell is not None and cell.border,
        indices=result.indices,
        probabilities=result.probabilities,
        outline=flat(found.outline),
        error=None if result.error is None else str(result.error),
    )
