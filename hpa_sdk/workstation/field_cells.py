"""Answers for the cells of fields that arrive or are sent, and writes one table for each field."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.cells.masks import MaskFolder
from hpa_sdk.cells.predict import check_settings
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.cells.summary import counts_of
from hpa_sdk.cells.writers import check_class_names, open_cell_writer
from hpa_sdk.errors import OutputError, SettingError
from hpa_sdk.fields.file_group import FileGroup
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.stack_samples import samples_of
from hpa_sdk.fields.trained_scale import whole_field_rules
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.prediction import Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.cell_counts import CellCounts
from hpa_sdk.results.result_store import PARTIAL, UPLOADS
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

    Attributes
    ----------
    channels : tuple of str
        The planes that are read even if the model does not take them.
    folder : pathlib.Path
        The folder for the tables.

    Raises
    ------
    SettingError
        The packages for segmentation are not installed, the folder of masks does not exist, several models were
        loaded, or a reference was given that cells can't use.
    OutputError
        A class of the model has the name of a column of the tables.
    """

    def __init__(self, station: Station, predictor: Predictor) -> None:
        check_settings(predictor.card, predictor.others, predictor.given_reference)
        check_class_names(predictor.card.label_scheme)
        masks = station.cells and station.cells.masks
        segmenter: Segmenter
        if masks:
            segmenter = MaskFolder(masks)
        else:
            from hpa_sdk.cells.classical import ClassicalSegmenter  # noqa: PLC0415 - OpenCV code that only this needs

            segmenter = ClassicalSegmenter.of_model(predictor.card, station, predictor.white)
        self.channels = segmenter.channels
        self.folder = station.output / CELLS_FOLDER
        self._station = station
        self._segmenter = segmenter
        self._predictor = predictor

    def samples(self, group: FileGroup, rules: FieldRules) -> list[Sample]:
        """Return the fields in a group of files as their cells are found in them: whole and at their own scale.

        Parameters
        ----------
        group : FileGroup
            The files, with those of `channels`.
        rules : FieldRules
            The rules by which the fields are read.
        """
        whole, stacks, _ = whole_field_rules(self._predictor.card, rules, self._predictor.white, self.channels)
        return samples_of(whole or stacks, group)

    def remove_partials(self) -> None:
        """Remove the partial tables of a process that was killed. Only the one that watches may do so.

        Raises
        ------
        OutputError
            The folder can't be used.
        """
        try:
            for file in self.folder.rglob(".*.csv"):
                # A server that does not watch may be writing tables of what was sent to it.
                sent = self.folder / UPLOADS in file.parents
                if PARTIAL.fullmatch(file.name) and not sent:
                    file.unlink()
        except OSError as error:
            raise OutputError(
                f"the tables of cells can't be written ({error.strerror or error})",
                where=self.folder,
                remedy="Check that the folder is writable.",
            ) from error

    def write(
        self, samples: Sequence[Sample], names: Sequence[str], files: FieldFiles
    ) -> tuple[list[FileState], dict[str, CellCounts]]:
        """Answer for the cells of fields, and write a table for each of them.

        An earlier table of the same field is replaced. A field that can't be read gets a table with the reason.

        Parameters
        ----------
        samples : sequence of Sample
            The fields, as `samples` gives them; masks are found by their ids.
        names : sequence of str
            The ids of their results.
        files : FieldFiles
            Names the tables, in `folder`.

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
        # A stack that was replaced meanwhile can have more scenes, or fewer.
        named = dict(zip(names, samples, strict=False))
        answers = self._predictor.cells(list(named.values()), segmenter=self._segmenter, rules=self._station)
        for own, answer in zip(named, answers, strict=True):
            name = escaped(own)
            try:
                path = files.path(name, ".csv")
            except SettingError as error:  # there can be no such table; the field itself is answered all the same
                _log.warning("%s", error)
                counts[name] = CellCounts(error=str(error))
                continue
            with open_cell_writer(path, "csv", self._predictor.card.label_scheme) as table:
                table.write(replace(answer, id=own))
            counts[name] = counts_of(answer)
            predictions = answer.answers if isinstance(answer, CellAnswers) else ()
            read += next((list(one.files) for one in predictions if isinstance(one, Prediction)), [])
        return read, counts
