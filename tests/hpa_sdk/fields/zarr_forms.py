"""Writes OME-Zarr folders of every form, and reads a folder of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.reading import read_planes
from tests.hpa_sdk.workstation.written import NAMES, ORDER, fields_of, stack, station

SCALE = [{"type": "scale", "scale": [1, 0.1, 0.1]}]


def open_group(path: Path, version: str = "0.4") -> Any:
    """Make an empty group of a version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)


def planes(seed: int = 0) -> npt.NDArray[Any]:
    """Return four planes in the order of `NAMES`."""
    return stack(seed=seed)[:, 0]


def expected(seed: int = 0) -> npt.NDArray[Any]:
    """Return the same planes as red, green, blue and yellow."""
    return planes(seed)[list(ORDER)]


def describe(group: Any, ome: dict[str, Any], version: str = "0.4") -> None:
    """Put OME metadata where their version has them."""
    if version == "0.4":
        group.attrs.update(ome)
    else:
        group.attrs["ome"] = {"version": version, **ome}


def scales(axes: str = "cyx", unit: str = "micrometer", transforms: Any = SCALE) -> dict[str, Any]:
    """Describe one array named 0."""
    kinds = {"c": "channel", "t": "time"}
    listed = [
        {"name": axis, "type": kinds.get(axis, "space"), **({"unit": unit} if axis in "zyx" and unit else {})}
        for axis in axes
    ]
    dataset = {"path": "0", **({"coordinateTransformations": transforms} if transforms else {})}
    return {"axes": listed, "datasets": [dataset]}


OMERO: dict[str, Any] = {"channels": [{"label": name, "color": "FFFFFF", "window": {}} for name in NAMES]}


def put(group: Any, data: npt.NDArray[Any], version: str = "0.4", **ome: Any) -> Any:
    """Make a group a picture of axes c, y, x, unless its metadata are given."""
    options = {"chunks": (*[1] * (data.ndim - 2), *data.shape[-2:]), **ome.pop("array", {})}
    array = group.create_array("0", shape=data.shape, dtype=data.dtype, **options)
    array[:] = data
    written = {"multiscales": [scales()], "omero": OMERO, **ome}
    describe(group, {key: value for key, value in written.items() if value is not None}, version)
    return array


def outcomes(folder: Path, **rules: Any) -> dict[str, int | str]:
    """Say of each field of a folder's ``exports`` which seed its planes are of, or why it fails."""
    found: dict[str, int | str] = {}
    for sample in fields_of(station(folder, **rules)):
        try:
            read = read_planes(sample)
        except HpaError as error:
            found[sample.id] = str(error)
        else:
            found[sample.id] = next(seed for seed in range(9) if np.array_equal(read, expected(seed)))
    return found
