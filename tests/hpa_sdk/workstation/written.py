"""Writes what microscopes write, with the formats' own libraries, and reads it by a station file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.field_source import FieldReading, FieldSource
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.stack_samples import find_fields
from hpa_sdk.workstation.station import Station, read_station

NAMES = ("DAPI", "Alexa 488", "Microtubules", "ER")
"""Channels in the order of a microscope: by wavelength, not by ours."""

ORDER = (2, 1, 0, 3)
"""Where red, green, blue and yellow are among them."""

CHANNELS = """
[channels]
red = ["microtubules", "tubulin"]
green = ["alexa 488"]
blue = ["dapi"]
yellow = ["er"]
"""


BY_NUMBER = "[channels]\nred = [2]\ngreen = [1]\nblue = [0]\nyellow = [3]\n"

MICROMETRES: dict[str, Any] = {
    "PhysicalSizeX": 0.1,
    "PhysicalSizeY": 0.1,
    "PhysicalSizeXUnit": "µm",
    "PhysicalSizeYUnit": "µm",
}
"""How OME metadata say that a pixel measures 0.1 um."""


def stack(*, z: int = 1, height: int = 40, width: int = 48, dtype: type = np.uint16, seed: int = 0) -> npt.NDArray[Any]:
    """Four channels of 12 bits of noise: (4, z, H, W)."""
    return np.random.default_rng(seed).integers(1, 4096, (4, z, height, width)).astype(dtype)


def write_ome_tiff(path: Path, data: npt.NDArray[Any], axes: str = "CZYX", **metadata: Any) -> Path:
    """Write an OME-TIFF whose channels have `NAMES` unless `metadata` names others; it appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ome_metadata = {"axes": axes, "Channel": {"Name": list(NAMES)}, **metadata}
    aside = path.with_name(f".{path.name}")
    tifffile.imwrite(aside, data, ome=True, metadata=ome_metadata, photometric="minisblack")
    return aside.replace(path)


def write_ome_zarr(
    path: Path,
    data: npt.NDArray[Any],
    version: Literal["0.4", "0.5"],
    *,
    pixel_size: float = 0.1,
    unit: str = "micrometer",
) -> Path:
    """Write an OME-Zarr picture of axes c, z, y, x as the specification of the version has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    put_image(
        zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3), data, version, pixel_size, unit
    )
    return path


def put_image(
    group: Any, data: npt.NDArray[Any], version: str, pixel_size: float = 0.1, unit: str = "micrometer"
) -> None:
    """Make a Zarr group an OME-Zarr picture."""
    array = group.create_array("0", shape=data.shape, chunks=(1, 1, *data.shape[-2:]), dtype=data.dtype)
    array[:] = data
    space = [{"name": axis, "type": "space", "unit": unit} for axis in "zyx"]
    multiscales = {
        "axes": [{"name": "c", "type": "channel"}, *space],
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, pixel_size, pixel_size]}]}
        ],
    }
    omero = {"channels": [{"label": name, "color": "FFFFFF", "window": {}} for name in NAMES]}
    if version == "0.4":
        group.attrs.update({"multiscales": [{"version": "0.4", **multiscales}], "omero": omero})
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscales], "omero": omero}


def station(folder: Path, text: str = "", *, files: str = "white = 4095", channels: str = CHANNELS) -> Station:
    """Write a station file beside a folder ``exports`` and read it."""
    path = folder / "station.toml"
    head = 'model = "small.onnx"\nwatch = "exports"\noutput = "answers"\n'
    path.write_text(f"{head}[files]\n{files}\n{channels}\n{text}", encoding="utf-8")
    return read_station(path)


def look(folder: Path, **rules: Any) -> FieldReading:
    """Read the only field of a folder's ``exports``."""
    (sample,) = fields_of(station(folder, **rules))
    assert isinstance(sample.source, FieldSource)
    reading = sample.source.look()
    np.testing.assert_array_equal(read_planes(sample), reading.planes)
    return reading


def refusal(folder: Path, **rules: Any) -> str:
    """Say why the only field of a folder's ``exports`` is refused."""
    with pytest.raises(PlaneError) as caught:
        look(folder, **rules)
    assert str(folder / "exports") in str(caught.value.where)
    return str(caught.value)


def edit_description(path: Path, *replacements: tuple[str, str]) -> Path:
    """Replace parts of a TIFF's description."""
    text = str(tifffile.tiffcomment(path))
    for old, new in replacements:
        text = text.replace(old, new)
    tifffile.tiffcomment(path, text.encode())
    return path


def fields_of(rules: Station) -> Iterator[Sample]:
    """Find the fields in the watched folder of a station."""
    return find_fields(rules, rules.watch)
