"""Cells come out as large as in training, whatever the microscope's pixels."""

from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.rules import Trained
from hpa_sdk.fields.trained_scale import for_model, to_trained_scale
from tests.hpa_sdk.workstation.written import fields_of, stack, station, write_ome_zarr
from tests.small import CARD

KAGGLE = Trained(pixel_size=0.32, side=512)
HERE = Path("x.tif")


def nucleus(pixel_size: float, height: float, width: float, *, diameter: float = 20) -> npt.NDArray[np.uint16]:
    """Four planes of a field of so many micrometres, with a bright disc in the middle."""
    shape = round(height / pixel_size), round(width / pixel_size)
    down, across = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(down + 0.5 - shape[0] / 2, across + 0.5 - shape[1] / 2) * pixel_size
    return np.broadcast_to(np.where(distance < diameter / 2, 4000, 100).astype(np.uint16), (4, *shape))


@pytest.mark.parametrize("pixel_size", [0.08, 0.1625, 0.32, 0.65])
@pytest.mark.parametrize(("height", "width"), [(163.84, 163.84), (90, 133), (250, 120)])
def test_a_nucleus_of_20_um_is_as_large_as_in_training(pixel_size: float, height: float, width: float) -> None:
    planes, _ = to_trained_scale(nucleus(pixel_size, height, width), pixel_size, KAGGLE, HERE)
    assert planes.shape == (4, 512, 512)
    assert planes.dtype == np.uint16
    for plane in planes:
        inside = plane > 2050
        assert 2 * np.sqrt(inside.sum() / np.pi) * 0.32 == pytest.approx(20, rel=0.03)
        np.testing.assert_allclose(np.argwhere(inside).mean(0), 255.5, atol=2)


def test_a_field_of_the_training_itself_stays_as_it_is() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (4, 512, 512)).astype(np.uint8)
    scaled, notes = to_trained_scale(planes, 0.32, KAGGLE, HERE)
    np.testing.assert_array_equal(scaled, planes)
    assert notes == ()


def test_finer_pixels_are_averaged_as_the_training_planes_were() -> None:
    planes = np.random.default_rng(0).integers(0, 4096, (4, 2048, 2048)).astype(np.uint16)
    scaled, _ = to_trained_scale(planes, 0.08, KAGGLE, HERE)
    means = planes.reshape(4, 512, 4, 512, 4).mean((2, 4))
    np.testing.assert_allclose(scaled, means, atol=0.5)


def test_coarser_pixels_are_interpolated() -> None:
    planes = np.random.default_rng(0).integers(0, 4096, (4, 256, 256)).astype(np.uint16)
    scaled, notes = to_trained_scale(planes, 0.64, KAGGLE, HERE)
    np.testing.assert_array_equal(scaled[1], cv2.resize(planes[1], (512, 512), interpolation=cv2.INTER_LINEAR))
    assert any("coarser" in note for note in notes)


def test_cropping_and_padding_are_reported() -> None:
    planes = np.full((4, 1024, 1024), 9, np.uint8)
    scaled, notes = to_trained_scale(planes, 0.32, KAGGLE, HERE)
    assert (scaled == 9).all()
    assert any("its centre, 25% of it, is seen" in note for note in notes)
    scaled, notes = to_trained_scale(planes[:, :256, :256], 0.32, KAGGLE, HERE)
    assert (scaled[:, 128:384, 128:384] == 9).all()
    assert scaled.sum() == 9 * 4 * 256 * 256
    assert any("it fills 25%, the rest is black" in note for note in notes)


def test_nothing_is_rescaled_where_a_pixel_size_is_unknown() -> None:
    planes = np.zeros((4, 40, 40), np.uint8)
    for pixel_size, trained in ((None, KAGGLE), (0.1, None)):
        scaled, (note,) = to_trained_scale(planes, pixel_size, trained, HERE)
        assert scaled is planes
        assert "unknown" in note


@pytest.mark.parametrize("pixel_size", [1e-9, 0.001, 1e3, 1e30])
def test_a_pixel_size_that_can_t_be_is_refused(pixel_size: float) -> None:
    with pytest.raises(PlaneError, match="Check the pixel size"):
        to_trained_scale(np.zeros((4, 100, 100), np.uint8), pixel_size, KAGGLE, HERE)


def test_a_station_rescales_what_it_reads(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "exports" / "x.zarr", stack(height=200, width=300), "0.4", pixel_size=0.16)
    rules = station(tmp_path, "[trained]\npixel_size = 0.32\nside = 50")
    (sample,) = fields_of(rules)
    assert sample.source is not None
    found = sample.source.read()
    assert found.planes.shape == (4, 50, 50)
    assert any("its centre, 17% of it, is seen" in note for note in found.notes)


def test_the_scale_is_the_card_s_unless_the_station_has_its_own(tmp_path: Path) -> None:
    here = station(tmp_path)
    card = replace(CARD, training=replace(CARD.training, pixel_size=0.16, field_side=1024))
    assert for_model(CARD, here).trained is None
    assert for_model(card, here).trained == Trained(pixel_size=0.16, side=1024)
    own = msgspec.structs.replace(here, trained=KAGGLE)
    assert for_model(card, own).trained == KAGGLE
