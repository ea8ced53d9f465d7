"""Writes the cells of a field as GeoJSON with their classes and measurements, as QuPath imports them.

QuPath (0.4 and later) reads ``objectType``, ``name``, ``classification``, ``measurements`` and ``metadata`` of each
feature, its id as a UUID, ``nucleusGeometry`` beside ``geometry``, and coordinates in pixels from the upper left
corner: ``QuPathTypeAdapters.java`` in https://github.com/qupath/qupath. The form itself is RFC 7946.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.cells.cell import Cell, CellAnswers
from hpa_sdk.cells.outlines import Polygon, colour_of, outline_of
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import escaped
from hpa_sdk.prediction import Failure, Prediction


def write_geojson(path: Path, answers: CellAnswers) -> None:
    """Write the cells of a field as one FeatureCollection. Only one cell at a time is in memory.

    The class of a cell is its label with the highest probability; ``metadata`` has all of them. Cells whose nucleus is
    known have it too.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    answers : CellAnswers
        The cells and their answers.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    found = answers.segmentation
    nuclei = None if found.nuclei is None else np.where(found.nuclei, found.labels, 0)
    with (
        atomic_write(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.write('{"type": "FeatureCollection", "features": [')
        for at, (cell, answer) in enumerate(zip(found.cells, answers.answers, strict=True)):
            feature = _feature(escaped(answers.id), cell, answer)
            feature["geometry"] = _geometry(outline_of(found.labels, cell))
            if nuclei is not None and (nucleus := outline_of(nuclei, cell)):
                feature["nucleusGeometry"] = _geometry(nucleus)
            file.write(f"{',' if at else ''}\n{json.dumps(feature, ensure_ascii=False, allow_nan=False)}")
        file.write("\n]}\n")


def main_label(answer: Prediction | Failure) -> int | None:
    """Return the index of the label with the highest probability; None for a cell without labels."""
    if isinstance(answer, Failure) or not answer.labels:
        return None
    return max(map(int, answer.labels), key=lambda index: (answer.probabilities[index], -index))


def _geometry(pieces: tuple[Polygon, ...]) -> dict[str, Any]:
    rings = [[_closed(piece)] for piece in pieces]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def _feature(id: str, cell: Cell, answer: Prediction | Failure) -> dict[str, Any]:  # noqa: A002 - the field's own word
    measurements: dict[str, float] = {"Area px^2": cell.area}
    if cell.area_um2 is not None:
        measurements["Area µm^2"] = round(cell.area_um2, 4)
    properties: dict[str, Any] = {
        "objectType": "cell",
        "name": f"cell {cell.number}",
        "measurements": measurements,
        "metadata": {"field": id, "cell": str(cell.number), "border": "yes" if cell.border else "no"},
    }
    if isinstance(answer, Failure):
        properties["metadata"]["error"] = str(answer.error)
    else:
        named = zip(answer.scheme.names, answer.probabilities, strict=True)
        measurements |= {f"Probability {name}": round(float(probability), 6) for name, probability in named}
        properties["metadata"]["labels"] = ";".join(label.hpa_name for label in answer)
        properties["metadata"] |= {"warnings": ";".join(answer.warnings)} if answer.warnings else {}
    main = main_label(answer)
    if main is not None and isinstance(answer, Prediction):
        properties["classification"] = {"name": answer.scheme.names[main], "color": list(colour_of(main))}
    # The same cell of the same field has the same id in every run.
    own = uuid.uuid5(uuid.NAMESPACE_URL, f"hpa-sdk:{id}#{cell.number}")
    return {"type": "Feature", "id": str(own), "properties": properties}


def _closed(piece: Polygon) -> list[list[float]]:
    points = piece.tolist()
    return [*points, points[0]]
