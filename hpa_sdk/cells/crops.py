"""Writes a crop of each cell and channel, named and listed as SubCellPortable reads them.

File names are those of HPACellSegmentatorPortable (``[prefix]_cell[number]_crop_[colour].png``, with ``_masked`` for
crops without the other cells), and the table is the ``path_list.csv`` of SubCellPortable:
https://github.com/CellProfiling/SubCellPortable.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Cell, Segmentation
from hpa_sdk.cells.field_files import FieldFiles, file_name
from hpa_sdk.errors import SettingError, count_of
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.preprocessing import Planes

COLUMNS = ("r_image", "y_image", "b_image", "g_image", "output_prefix")
"""The columns of ``path_list.csv``. Paths are relative to its folder: start SubCellPortable there."""

_log = logging.getLogger("hpa_sdk")


class CropWriter:
    """Writes the crops of one field after the other; see `open_crops`."""

    def __init__(self, files: FieldFiles, rows: csv.DictWriter[str], side: int, *, masked: bool) -> None:
        self._files = files
        self._rows = rows
        self._side = side
        self._masked = masked
        rows.writeheader()

    def write(self, id: str, segmentation: Segmentation, planes: Planes) -> None:  # noqa: A002 - the field's own word
        """Write the crops of a field.

        Parameters
        ----------
        id : str
            The field's id.
        segmentation : Segmentation
            Its cells.
        planes : numpy.ndarray
            uint8 or uint16 of shape (4, H, W), of the size of the label image. Grey levels stay as they are.

        Raises
        ------
        OutputError
            A crop can't be written.
        SettingError
            The planes have another size than the label image, or the id is too long for the name of a file.
        """
        if planes.shape[1:] != segmentation.labels.shape:
            raise SettingError(
                f"the planes of shape {planes.shape} are not those of the label image {segmentation.labels.shape}",
                where=id,
                remedy="Give the planes that were segmented.",
            )
        cut = []
        for cell in segmentation.cells:
            top, left, bottom, right = cell.box
            if max(bottom - top, right - left) > self._side:
                cut.append(cell.number)
            ending = f"_cell{cell.number}_crop_masked" if self._masked else f"_cell{cell.number}_crop"
            paths = {channel: self._files.path(id, f"{ending}_{channel}.png") for channel in Channel}
            crop = _crop(planes, segmentation.labels, cell, self._side, masked=self._masked)
            for path, plane in zip(paths.values(), crop, strict=True):
                with atomic_write(path) as partial:
                    partial.write_bytes(cv2.imencode(".png", plane)[1].tobytes())
            names = {f"{channel[0]}_image": self._name_of(path) for channel, path in paths.items()}
            self._rows.writerow({**names, "output_prefix": f"{file_name(id)}_cell{cell.number}"})
        if cut:
            _log.warning(
                "%s: %s larger than a crop of %d pixels and cut; the first: %d. Choose larger crops.",
                *(id, count_of(len(cut), "cell"), self._side, cut[0]),
            )

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self._files.folder).as_posix()


@contextmanager
def open_crops(folder: Path, *, side: int, masked: bool = False) -> Iterator[CropWriter]:
    """Open a folder for crops. Its ``path_list.csv`` appears when the block ends without an error.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.
    side : int
        Height and width of every crop in pixels: SubCellPortable takes crops of one size together. What lies outside
        the field is black.
    masked : bool
        Whether the pixels outside the cell are black.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """
    files = FieldFiles(folder)
    files.path("path_list", ".csv")
    with (
        atomic_write(folder / "path_list.csv") as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield CropWriter(files, csv.DictWriter(file, COLUMNS, lineterminator="\n"), side, masked=masked)


def _crop(planes: Planes, labels: npt.NDArray[np.int32], cell: Cell, side: int, *, masked: bool) -> Planes:
    crop: Planes = np.zeros((len(planes), side, side), planes.dtype)
    top, left, bottom, right = cell.box
    y, x = (top + bottom - side) // 2, (left + right - side) // 2
    rows, columns = slice(max(y, 0), max(y + side, 0)), slice(max(x, 0), max(x + side, 0))
    part = planes[:, rows, columns]
    if masked:
        part = np.where(labels[rows, columns] == cell.number, part, 0)
    height, width = part.shape[1:]
    crop[:, rows.start - y : rows.start - y + height, columns.start - x : columns.start - x + width] = part
    return crop
