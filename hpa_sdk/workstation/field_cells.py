"""Answers for the cells of fields that arrive, and writes one table for each field."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.cells.masks import MaskFolder
from hpa_sdk.cells.predict import check_one_model
from hpa_sdk.cells.segmenter import Segmenter, check_packages
from hpa_sdk.cells.summary import counts_of
from hpa_sdk.cells.writers import open_cell_writer
from hpa_sdk.errors import OutputError, SettingError
from hpa_sdk.fields.file_group import FileGroup
from hpa_sdk.fields.stack_samples import samples_of
from hpa_sdk.fields.trained_scale import whole_field_rules
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.prediction import Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.cell_counts import CellCounts
from hpa_sdk.results.result_store import PARTIAL
from hpa_sdk.workstation.station import Station

_log = logging.getLogger("hpa_sdk")

CELLS_FOLDER = "cells"
"""Folder for the tables, in the folder for answers."""


class FieldCells:
    """Answers for the cells of fields, as the table ``[cells]`` of a station file says.

    Parameters
    ----------
    station : Station
        With the table ``[cells]``.
    predictor : Predictor
        Predicts.

    Raises
    ------
    SettingError
        The packages for segmentation are not installed, the folder of masks does not exist, or several models were
        loaded.
    """

    def __init__(self, station: Station, predictor: Predictor) -> None:
        check_one_model(predictor.others)
        masks = station.cells and station.cells.masks
        segmenter: Segmenter | None = MaskFolder(masks) if masks else None
        if segmenter is None:
            check_packages()
        channels = ("blue",) if segmenter is None else segmenter.channels
        whole, stacks, _ = whole_field_rules(predictor.card, station, predictor.white, channels)
        self._reading = whole or stacks
        self._station = station
        self._segmenter = segmenter
        self._predictor = predictor
        self._files = FieldFiles(Path(station.output) / CELLS_FOLDER)

    def remove_partials(self) -> None:
        """Remove the partial tables of a process that was killed. Only the one that watches may do so.

        Raises
        ------
        OutputError
            The folder can't be used.
        """
        try:
            for file in self._files.folder.rglob(".*.csv"):
                if PARTIAL.fullmatch(file.name):
                    file.unlink()
        except OSError as error:
            raise OutputError(
                f"the tables of cells can't be written ({error.strerror or error})",
                where=self._files.folder,
                remedy="Check that the folder is writable.",
            ) from error

    def write(self, group: FileGroup, names: Sequence[str]) -> tuple[list[FileState], dict[str, CellCounts]]:
        """Answer for the cells of a group of files, and write a table for each of its fields.

        An earlier table of the same field is replaced. A field that can't be read gets a table with the reason.

        Parameters
        ----------
        group : FileGroup
            The files.
        names : sequence of str
            The ids of its fields.

        Returns
        -------
        read : list of FileState
            The files that were read, with their state at that time.
        counts : dict of str to CellCounts
            The cells of each field, counted, by its id as results have it.

        Raises
        ------
        OutputError
            A table can't be written.
        DeviceError
            The device failed.
        """
        read: list[FileState] = []
        counts: dict[str, CellCounts] = {}
        named = [
            replace(sample, id=name) for sample, name in zip(samples_of(self._reading, group), names, strict=False)
        ]
        for answer in self._predictor.cells(named, segmenter=self._segmenter, rules=self._station):
            name = escaped(answer.id)
            try:
                path = self._files.path(name, ".csv")
            except SettingError as error:  # another field has this table; the field itself is answered all the same
                _log.warning("%s", error)
                counts[name] = CellCounts(error=str(error))
                continue
            with open_cell_writer(path, "csv", self._predictor.card.label_scheme) as table:
                table.write(answer)
            counts[name] = counts_of(answer)
            predictions = answer.answers if isinstance(answer, CellAnswers) else ()
            read += next((list(one.files) for one in predictions if isinstance(one, Prediction)), [])
        return read, counts
