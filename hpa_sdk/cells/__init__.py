"""Finds the cells of a field and answers for each of them."""

from typing import TYPE_CHECKING

from hpa_sdk.lazy_import import lazy_names

if TYPE_CHECKING:
    from hpa_sdk.cells.cell import Cell, CellAnswers, Segmentation
    from hpa_sdk.cells.cells_file import CellResult, read_cells
    from hpa_sdk.cells.classical import ClassicalSegmenter
    from hpa_sdk.cells.masks import MaskFolder
    from hpa_sdk.cells.segmenter import Segmenter
    from hpa_sdk.cells.settings import SegmentationSettings

__all__ = [
    "Cell",
    "CellAnswers",
    "CellResult",
    "ClassicalSegmenter",
    "MaskFolder",
    "Segmentation",
    "SegmentationSettings",
    "Segmenter",
    "read_cells",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Cell": "cell",
        "CellAnswers": "cell",
        "CellResult": "cells_file",
        "ClassicalSegmenter": "classical",
        "MaskFolder": "masks",
        "Segmentation": "cell",
        "SegmentationSettings": "settings",
        "Segmenter": "segmenter",
        "read_cells": "cells_file",
    },
)
