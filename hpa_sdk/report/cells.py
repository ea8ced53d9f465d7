"""Collects the cells of each field for the report page: their outlines, their answers, and how many show each label."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.cells.cell import Cell
from hpa_sdk.cells.cells_file import CellResult, has_cells, read_cells
from hpa_sdk.cells.outlines import flat
from hpa_sdk.cells.summary import FieldSummary, count_cells, shares_of
from hpa_sdk.cells.writers import FORMS
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.trained_scale import scale_notes
from hpa_sdk.labels import LabelScheme
from hpa_sdk.results.cell_counts import LABELS_OF_CELLS
from hpa_sdk.results.result import Result, ResultError

BYTES_OF_A_CELL = 500
"""About how many bytes of a report a cell takes."""

_DIGITS = 3
_ONE_RUN = "Give the cells of one run of hpa cells."
_log = logging.getLogger("hpa_sdk")


@dataclass(slots=True)
class FieldCells:
    """The cells of one field.

    Attributes
    ----------
    result : Result
        The field: its labels are those that at least one cell shows. It has no probabilities of its own.
    cells : list of dict
        The cells as the page takes them: number ``n``, ``border``, indices of ``labels``, probabilities ``p`` in
        thousandths or an ``error``, and the points of each piece of the outline ``o`` as x, y, x, y, ...
    measured : list of Cell
        The same cells, as they were measured.
    notes : tuple of str
        What a reader should know of the cells and of how they were found.
    """

    result: Result
    cells: list[dict[str, Any]] = field(default_factory=list)
    measured: list[Cell] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def fit(self, size: tuple[int, int]) -> bool:
        """Whether cells can be of a picture: in one of another size, those at its border would not touch the border.

        Parameters
        ----------
        size : tuple of int
            Width and height.
        """
        width, height = size
        for cell in self.measured:
            top, left, bottom, right = cell.box
            touches = top == 0 or left == 0 or bottom == height or right == width
            if bottom > height or right > width or touches != cell.border:
                return False
        return True

    @property
    def summary(self) -> FieldSummary:
        """The cells, counted."""
        names = self.result.label_scheme.names
        return count_cells(
            self.result.id,
            (
                (bool(cell["border"]), None if "error" in cell else tuple(names[at] for at in cell["labels"]))
                for cell in self.cells
            ),
        )


def is_cells_file(path: Path) -> bool:
    """Whether a file of results has a row for each cell."""
    return path.is_file() and path.suffix.lower().removeprefix(".") in FORMS and has_cells(path)


def read_field_cells(path: Path) -> dict[str, FieldCells]:
    """Read the cells of each field, by its id, in the order of the file.

    A field with two rows of one cell, as in a table of two runs, has an error in place of its cells: they would count
    twice.

    Raises
    ------
    TableError
        As for `hpa_sdk.cells.cells_file.read_cells`.
    """
    fields: dict[str, FieldCells] = {}
    for found in read_cells(path):
        own = fields.setdefault(found.result.id, FieldCells(_of_field(found.result)))
        if found.cell is not None:
            own.result = _joined(own.result, found.result)
            own.notes = tuple(dict.fromkeys((*own.notes, *found.result.notes)))
            own.cells.append(_record(found, found.cell))
            own.measured.append(found.cell)
    for own in fields.values():
        number, rows = max(Counter(cell.number for cell in own.measured).items(), key=itemgetter(1), default=(0, 0))
        if rows > 1:
            error = ResultError(f"the table has {rows} rows of cell {number} of this field", str(path), _ONE_RUN)
            own.result = replace(own.result, error=error, labels=(), indices=())
            own.cells, own.measured, own.notes = [], [], ()
    return fields


def cells_of_results(results: Sequence[Result], path: Path) -> dict[str, FieldCells]:
    """Read the cells of the fields of results. Those of other files that have the id of a field are left out.

    Raises
    ------
    SettingError
        None of the cells is of a field in the results, or the cells have other classes than these.
    """
    ids = Counter(result.id for result in results)
    found = {name: cells for name, cells in read_field_cells(path).items() if name in ids}
    if not found:
        raise SettingError(
            "none of the cells is of a field in the results",
            where=path,
            remedy="Give the cells of the same fields: the column id is that of the results.",
        )
    repeated = [name for name in found if ids[name] > 1]
    if repeated:
        _log.warning("The cells of %s are not shown: several results have this id.", ", ".join(repeated))
        found = {name: cells for name, cells in found.items() if name not in repeated}
    others = [
        result.id for result in results if result.id in found and not _same_files(result, found[result.id].result)
    ]
    if others:
        _log.warning("The cells of %s are not shown: they were found in other files.", ", ".join(others))
    return {name: cells for name, cells in found.items() if name not in others}


def _same_files(field: Result, cells: Result) -> bool:
    """Whether cells can be of a field: the files that were read for both are the same, or not recorded.

    For cells, planes of nuclei can be read that the model of the field does not take.
    """
    of_field, of_cells = (
        {path.replace("\\", "/").rpartition("/")[2]: stamp for path, stamp in zip(one.files, one.stamps, strict=False)}
        for one in (field, cells)
    )
    if not of_field or not of_cells:
        return True
    both = of_field.keys() & of_cells.keys()
    return bool(both) and all(of_field[name].resembles(of_cells[name]) for name in both)


def check_scheme(cells: Mapping[str, FieldCells], scheme: LabelScheme, path: Path) -> None:
    """Check that cells and fields have the same classes.

    Raises
    ------
    SettingError
        They have not.
    """
    others = {one.result.label_scheme for one in cells.values() if one.cells and one.result.error is None} - {scheme}
    if others:
        names = ", ".join(sorted({other.name for other in others}))
        differ = f"the fields were answered in the classes {scheme.name} and the cells in {names}"
        if names == scheme.name:
            differ = f"fields and cells were answered in two label schemes of the name {names}, with other classes"
        raise SettingError(differ, where=path, remedy="Make a report of the cells alone: hpa report CELLS.")


def cells_content(cells: Mapping[str, FieldCells], result: Result, size: tuple[int, int] | None) -> dict[str, Any]:
    """Return what the page shows of the cells of a field.

    It is ``cells``, ``counts``, ``shares``, ``mixed`` and ``cell_notes``. A field without cells has ``no_cells``, the
    reason.

    Parameters
    ----------
    cells : mapping of str to FieldCells
        The cells of fields, by the id of the field.
    result : Result
        The field.
    size : tuple of int or None
        Width and height of its picture, at full size. Outlines that do not fit it are not shown, and a note says so.
    """
    own = cells.get(result.id)
    if own is None:
        return {}
    if not own.cells:
        # A report of the cells alone says it as the error of the field.
        reason = own.result.error
        return {"no_cells": reason.what} if reason is not None and result.error is None else {}
    counts = shares_of(own.summary, own.result.label_scheme.names)
    content = {
        "cells": own.cells,
        "counts": [counts.cells, counts.border_cells, counts.failed],
        "cell_notes": [note for note in own.notes if note not in result.notes],
        "shares": [[one.index, one.shown, one.share, one.low, one.high, one.border_shown] for one in counts.shares],
        "mixed": counts.mixed,
    }
    if size is not None and not own.fit(size):
        content["cells"] = [{**cell, "o": []} for cell in own.cells]
        content["notes"] = (*result.notes, "the outlines of the cells do not fit this picture, and are not shown")
    return content


def _of_field(cell: Result) -> Result:
    """Return the record of a field that begins with the row of one of its cells."""
    if cell.error is not None:
        return replace(cell, probabilities=(), thresholds=())
    # The cell may have been brought to the scale of training, the field was not.
    scaled = scale_notes(cell.notes)
    notes = (LABELS_OF_CELLS, *(note for note in cell.notes if note not in scaled))
    return replace(cell, probabilities=(), thresholds=(), notes=notes)


def _joined(before: Result, cell: Result) -> Result:
    """Add the labels and warnings of a cell to those of its field. One cell that was answered is enough for a field."""
    if cell.error is not None:
        return before
    if before.error is not None:
        return _of_field(cell)
    indices = tuple(sorted({*before.indices, *cell.indices}))
    names = before.label_scheme.names
    warnings = tuple(dict.fromkeys((*before.warnings, *cell.warnings)))
    return replace(before, indices=indices, labels=tuple(names[at] for at in indices), warnings=warnings)


def _record(found: CellResult, cell: Cell) -> dict[str, Any]:
    result = found.result
    record: dict[str, Any] = {
        "n": cell.number,
        "border": int(cell.border),
        "labels": list(result.indices),
        "o": flat(found.outline),
    }
    if result.error is not None:
        return record | {"error": str(result.error)}
    return record | {"p": np.rint(np.multiply(result.probabilities, 10**_DIGITS)).astype(int).tolist()}
