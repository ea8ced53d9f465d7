"""Reads the answers for cells back, from each of the formats that they are written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from hpa_sdk.cells.cell import Cell
from hpa_sdk.cells.outlines import Polygon, from_wkt
from hpa_sdk.errors import TableError
from hpa_sdk.results.result import Result, ResultError
from hpa_sdk.results.results_file import read_rows

_AGAIN = "Run hpa cells again, or mend the row."


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """The result of one cell.

    Attributes
    ----------
    result : Result
        Its labels and probabilities, or why there are none. The id is that of its field.
    cell : Cell or None
        The cell; None if the row says why a whole field has none.
    outline : tuple of numpy.ndarray
        Its pieces, each a `hpa_sdk.cells.outlines.Polygon`; empty without a cell.
    segmentation : str
        What found the cell.
    pixel_size : float or None
        Micrometres per pixel, if it is known.
    embedding : tuple of float
        Only of Parquet files; else empty.
    """

    result: Result
    cell: Cell | None
    outline: tuple[Polygon, ...] = ()
    segmentation: str = ""
    pixel_size: float | None = None
    embedding: tuple[float, ...] = ()


def read_cells(path: Path) -> Iterator[CellResult]:
    """Read the results of cells, in the order of the file, one by one.

    Parameters
    ----------
    path : pathlib.Path
        What `hpa_sdk.cells.writers.open_cell_writer` writes.

    Raises
    ------
    TableError
        The file does not exist, has another format, or its rows are not of cells.
    """
    empty = True
    for row, result in read_rows(path):
        if "cell" not in row:
            raise _no_cells(path)
        empty = False
        yield _cell_result(row, result)
    if empty:
        raise _no_cells(path)


def has_cells(path: Path) -> bool:
    """Whether a file of results has a row per cell, which its first row says."""
    return any("cell" in row for row, _ in islice(read_rows(path), 1))


def _no_cells(path: Path) -> TableError:
    return TableError("its rows are not of cells", where=path, remedy="Name a file that hpa cells wrote.")


def _cell_result(row: Mapping[str, Any], result: Result) -> CellResult:
    try:
        if row.get("cell") in {None, ""}:
            return CellResult(result=result, cell=None, segmentation=row.get("segmentation") or "")
        cell = Cell(
            number=int(row["cell"]),
            box=(int(row["top"]), int(row["left"]), int(row["bottom"]), int(row["right"])),
            centre=(float(row["row"]), float(row["column"])),
            area=int(row["area"]),
            area_um2=_number(row["area_um2"]),
            border=bool(int(row["border"])),
        )
        return CellResult(
            result=result,
            cell=cell,
            outline=from_wkt(row["outline"]),
            segmentation=row["segmentation"] or "",
            pixel_size=_number(row["pixel_size"]),
            embedding=tuple(row.get("embedding") or ()),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        wrong = ResultError(f"the cell of a row can't be used ({error!r})", None, _AGAIN)
        return CellResult(result=replace(result, error=wrong, labels=(), indices=(), probabilities=()), cell=None)


def _number(value: object) -> float | None:
    return None if value in {None, ""} else float(value)  # type: ignore[arg-type]
