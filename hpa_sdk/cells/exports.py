"""Writes the files of each field that other programs open, as its cells are answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.crops import CropWriter, open_crops
from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.cells.geojson import write_geojson
from hpa_sdk.cells.label_image import write_label_image
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.prediction import Failure

CROP_SIDE = 640
"""Default height and width of a crop in pixels."""


class CellExports:
    """The files of fields; see `open_exports`."""

    def __init__(self, label_images: FieldFiles | None, geojson: FieldFiles | None, crops: CropWriter | None) -> None:
        self._label_images = label_images
        self._geojson = geojson
        self._crops = crops
        self._samples: dict[str, Sample] = {}

    def remember(self, found: Iterator[Sample | Failure]) -> Iterator[Sample | Failure]:
        """Pass fields on, and keep those that are not answered yet: crops need their planes again."""
        for one in found:
            if isinstance(one, Sample) and self._crops is not None:
                self._samples[one.id] = one
            yield one

    def write(self, answers: CellAnswers | Failure) -> None:
        """Write the files of a field; none for one that failed or has no cells.

        Raises
        ------
        OutputError
            A file can't be written.
        PlaneError, SettingError
            This field alone has no files: its planes can't be read again, or another field has a file of this name.
        """
        sample = self._samples.pop(answers.id, None)
        if isinstance(answers, Failure) or not answers.segmentation.cells:
            return
        if self._label_images is not None:
            path = self._label_images.path(answers.id, "_cells.ome.tif")
            write_label_image(path, answers.segmentation, id=answers.id)
        if self._geojson is not None:
            write_geojson(self._geojson.path(answers.id, ".geojson"), answers)
        if self._crops is not None and sample is not None:
            self._crops.write(answers.id, answers.segmentation, read_field(sample).planes)


@contextmanager
def open_exports(
    *,
    label_images: Path | None = None,
    geojson: Path | None = None,
    crops: Path | None = None,
    crop_side: int = CROP_SIDE,
    masked: bool = False,
) -> Iterator[CellExports]:
    """Open folders for label images, GeoJSON and crops; each is made if it is given.

    Parameters
    ----------
    label_images, geojson, crops : pathlib.Path, optional
        The folders.
    crop_side, masked
        As for `hpa_sdk.cells.crops.open_crops`.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """
    label_files = None if label_images is None else FieldFiles(label_images)
    geojson_files = None if geojson is None else FieldFiles(geojson)
    if crops is None:
        yield CellExports(label_files, geojson_files, None)
        return
    with open_crops(crops, side=crop_side, masked=masked) as writer:
        yield CellExports(label_files, geojson_files, writer)
