"""Writes the label image of a field as an OME-TIFF, which Fiji, QuPath, napari and CellProfiler open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.cells.cell import Segmentation
from hpa_sdk.fields.channel_stack import load
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import escaped

_MOST_OF_16_BITS = 65_535


def write_label_image(path: Path, segmentation: Segmentation, *, id: str) -> None:  # noqa: A002 - the field's own word
    """Write the label image: uint16, or uint32 if a cell has a number above 65,535; compressed without loss.

    Parameters
    ----------
    path : pathlib.Path
        The file. With the ending ``_cells.ome.tif`` after the id, `hpa_sdk.cells.masks.MaskFolder` finds it again.
    segmentation : Segmentation
        The cells. Their pixel size goes into the file if it is known.
    id : str
        The field's id: the name of the picture in the file.

    Raises
    ------
    OutputError
        No file can be written there.
    PlaneError
        tifffile is not installed.
    """
    tifffile = load("tifffile", extra="cells", path=path)
    labels = segmentation.labels
    small = labels.max(initial=0) <= _MOST_OF_16_BITS
    metadata: dict[str, Any] = {"axes": "YX", "Name": escaped(id)}
    if segmentation.pixel_size is not None:
        size = {"PhysicalSizeX": segmentation.pixel_size, "PhysicalSizeY": segmentation.pixel_size}
        metadata |= size | {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    with atomic_write(path) as partial:
        tifffile.imwrite(
            partial,
            labels.astype(np.uint16 if small else np.uint32),
            ome=True,
            compression="zlib",
            photometric="minisblack",
            metadata=metadata,
        )
