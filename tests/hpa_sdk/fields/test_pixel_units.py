"""The pixel size of a TIFF is read in any known unit; an unknown unit is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hpa_sdk.fields.channel_stack import micrometres, pixel_size
from tests.hpa_sdk.workstation.written import BY_NUMBER, edit_description, look, refusal, stack, write_ome_tiff

# Micrometres of the units of length in the OME schema of 2016-06.
OME_UNITS = {
    "Ym": 1e30,
    "Zm": 1e27,
    "Em": 1e24,
    "Pm": 1e21,
    "Tm": 1e18,
    "Gm": 1e15,
    "Mm": 1e12,
    "km": 1e9,
    "hm": 1e8,
    "dam": 1e7,
    "m": 1e6,
    "dm": 1e5,
    "cm": 1e4,
    "mm": 1e3,
    "µm": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "fm": 1e-9,
    "am": 1e-12,
    "zm": 1e-15,
    "ym": 1e-18,
    "Å": 1e-4,
    "thou": 25.4,
    "li": 25400 / 12,
    "in": 25400.0,
    "ft": 304800.0,
    "yd": 914400.0,
    "mi": 1609344000.0,
    "ua": 1.495978707e17,
    "ly": 9.4607304725808e21,
    "pc": 3.0856775814913673e22,
    "pt": 25400 / 72,
}


def write(path: Path, **sizes: Any) -> Path:
    return write_ome_tiff(path / "exports" / "x.ome.tif", stack(), **sizes)


def sized(x: float, y: float, **units: str) -> dict[str, Any]:
    return {"PhysicalSizeX": x, "PhysicalSizeY": y, **{f"PhysicalSize{axis}Unit": unit for axis, unit in units.items()}}


@pytest.mark.parametrize(("unit", "factor"), OME_UNITS.items())
def test_each_unit_of_ome_is_read(tmp_path: Path, unit: str, factor: float) -> None:
    write(tmp_path, **sized(0.1 / factor, 0.1 / factor, X=unit, Y=unit))
    assert look(tmp_path).pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize(
    "sizes",
    [
        sized(0.1, 100, X="µm", Y="nm"),
        sized(1000, 0.1, X="Å", Y="µm"),
        sized(0.1, 0.1, X="µm"),
        sized(100, 0.1, X="nm"),
        sized(0.1, 1e-4, Y="mm"),
        sized(0.1, 0.1),
        sized(1e5, 1e5, X="pm", Y="pm"),
        sized(0.1, 0.1, X="\u03bcm", Y="\u00b5m"),
    ],
)
def test_each_side_has_a_unit_of_its_own(tmp_path: Path, sizes: dict[str, Any]) -> None:
    write(tmp_path, **sizes)
    assert look(tmp_path).pixel_size == pytest.approx(0.1)


def test_sides_are_compared_in_one_unit(tmp_path: Path) -> None:
    write(tmp_path, **sized(0.1, 0.1, X="µm", Y="nm"))
    assert "0.1 nm high and 0.1 µm wide" in refusal(tmp_path)


@pytest.mark.parametrize("unit", ["furlong", "mM", "MM", "micro"])
def test_an_unknown_unit_is_named_and_ignored(tmp_path: Path, unit: str) -> None:
    edit_description(write(tmp_path, **sized(0.1, 0.1, X="nm", Y="µm")), ('XUnit="nm"', f'XUnit="{unit}"'))
    reading = look(tmp_path)
    assert reading.pixel_size is None
    assert f"the pixel size is not used: its unit {unit!r} is not a known length" in reading.notes


@pytest.mark.parametrize("unit", ["pixel", "reference frame"])
def test_no_length_is_no_size_and_no_note(tmp_path: Path, unit: str) -> None:
    write(tmp_path, **sized(1, 1, X=unit, Y=unit))
    reading = look(tmp_path)
    assert reading.pixel_size is None
    assert not any("unit" in note for note in reading.notes)


@pytest.mark.parametrize("size", ["0.0", "-1", "nan", "inf", "wide", ""])
def test_a_size_that_is_none_is_ignored(tmp_path: Path, size: str) -> None:
    edit_description(write(tmp_path, **sized(0.5, 0.5)), ('SizeX="0.5"', f'SizeX="{size}"'))
    assert look(tmp_path).pixel_size is None


@pytest.mark.parametrize(
    ("unit", "per"),
    [
        *(("um", 10), ("\\u00B5m", 10), ("micron", 10), ("Microns", 10)),
        *(
            ("micrometer", 10),
            ("nm", 0.01),
            ("mm", 1e4),
            ("cm", 1e5),
            ("m", 1e7),
            ("inch", 254_000),
            ("Inches", 254_000),
        ),
        ("in", 254_000),
    ],
)
def test_units_of_imagej_are_read(tmp_path: Path, unit: str, per: float) -> None:
    (tmp_path / "exports").mkdir()
    write_imagej(tmp_path / "exports" / "x.tif", (per, per), unit=unit)
    assert look(tmp_path, channels=BY_NUMBER).pixel_size == pytest.approx(0.1)


def write_imagej(path: Path, resolution: tuple[float, float], **metadata: Any) -> None:
    tifffile.imwrite(path, stack()[:, 0], imagej=True, resolution=resolution, metadata={"axes": "CYX", **metadata})


def test_a_micro_sign_of_one_byte_is_read(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    path = tmp_path / "exports" / "x.tif"
    write_imagej(path, (10, 10), unit="um")
    path.write_bytes(path.read_bytes().replace(b"unit=um", b"unit=\xb5m"))
    assert look(tmp_path, channels=BY_NUMBER).pixel_size == pytest.approx(0.1)


def test_imagej_may_have_another_unit_for_y(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    write_imagej(tmp_path / "exports" / "x.tif", (10, 0.01), unit="um", yunit="nm")
    assert look(tmp_path, channels=BY_NUMBER).pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize(("unit", "reported"), [("pixel", False), ("pixels", False), ("cubit", True)])
def test_a_unit_of_imagej_that_is_none(tmp_path: Path, unit: str, reported: bool) -> None:
    (tmp_path / "exports").mkdir()
    write_imagej(tmp_path / "exports" / "x.tif", (10, 10), unit=unit)
    reading = look(tmp_path, channels=BY_NUMBER)
    assert reading.pixel_size is None
    assert any(f"its unit {unit!r}" in note for note in reading.notes) == reported


@pytest.mark.parametrize(
    ("per", "unit", "expected"),
    [
        (254_000, "INCH", 0.1),
        (100_000, "CENTIMETER", 0.1),
        (5_000, "CENTIMETER", 2.0),
        (72, "INCH", None),
        (300, "INCH", None),
        (4800, "INCH", None),
        (10, "NONE", None),
        (10**8, "INCH", None),
    ],
)
def test_tiff_resolution_counts_if_it_is_a_microscopes(
    tmp_path: Path, per: int, unit: str, expected: float | None
) -> None:
    (tmp_path / "exports").mkdir()
    path = tmp_path / "exports" / "x.tif"
    tifffile.imwrite(path, stack()[:, 0], photometric="minisblack", resolution=(per, per), resolutionunit=unit)
    reading = look(tmp_path, channels=BY_NUMBER)
    assert reading.pixel_size == (pytest.approx(expected) if expected else None)
    assert any("is the resolution of the TIFF" in note for note in reading.notes) == bool(expected)


def test_a_resolution_that_is_not_square_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    path = tmp_path / "exports" / "x.tif"
    tifffile.imwrite(path, stack()[:, 0], photometric="minisblack", resolution=(10**5, 2 * 10**5), resolutionunit=3)
    assert look(tmp_path, channels=BY_NUMBER).pixel_size is None


def test_one_unit_serves_both_sides_of_other_formats() -> None:
    where = Path("x")
    assert micrometres((100, 100), "nanometer", where) == pytest.approx(0.1)
    assert micrometres((1000, 1000), "angstrom", where) == pytest.approx(0.1)
    assert pixel_size((0.1, None), ("µm", "µm"), where) == (None, ())
    assert micrometres((np.inf, np.inf), "µm", where) is None
