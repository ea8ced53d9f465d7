"""Writes files that hold one channel each, and finds the fields in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from hpa_sdk.errors import PlaneError, SampleError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.workstation.written import fields_of, station

COLOURS = ("red", "green", "blue", "yellow")

LEICA = "[channels]\nred = [2]\ngreen = ['01']\nblue = [0]\nyellow = [3]\n"


def write(folder: Path, names: Iterable[str], planes: Any) -> None:
    """Write one plane a file: `names` and `planes` go together."""
    for name, plane in zip(names, planes, strict=True):
        path = folder / "exports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(plane).save(path)


def colours(field: str, extension: str = ".tif") -> list[str]:
    return [f"{field}_{colour}{extension}" for colour in COLOURS]


def by_pattern(folder: Path, pattern: str = "hpa", more: str = "", channels: str = "", text: str = "") -> Station:
    return station(folder, text, files=f"white = 4095\npattern = '{pattern}'\n{more}", channels=channels)


def failures(rules: Station) -> dict[str, str]:
    """The reason why each field that fails does."""
    reasons = {}
    for sample in fields_of(rules):
        try:
            read_planes(sample)
        except (PlaneError, SampleError) as error:
            reasons[sample.id] = str(error)
    return reasons
