"""The image equals the study's formula."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.patch import Patch
from hpa_sdk.preprocessing import PERCENTILE, Normalization, Preprocessing, White
from tests.small import random_planes


def study_image(planes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The study's cell 4: blend in float64, resize, divide."""
    red, green, blue, yellow = planes.astype(np.float64)
    image = np.stack((red / 2 + yellow / 2, green / 2 + yellow / 2, blue / 2), -1)
    return np.divide(cv2.resize(image, (299, 299)), 255)


@pytest.mark.parametrize("shape", [(512, 512), (299, 299), (64, 64), (2048, 2048), (300, 700), (17, 1000)])
def test_the_image_is_the_study_s_to_a_millionth(shape: tuple[int, int]) -> None:
    planes = np.random.default_rng(5).integers(0, 256, (4, *shape), np.uint8)
    image = Preprocessing()(planes)
    assert image.shape == (299, 299, 3)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, study_image(planes), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_image_is_the_study_s_on_every_real_field(real_data: Path) -> None:
    samples = list(find_samples(real_data / "real_cells"))
    assert len(samples) == 283
    for sample in samples:
        planes = read_planes(sample)
        np.testing.assert_allclose(Preprocessing()(planes), study_image(planes), rtol=0, atol=1e-6)


@pytest.mark.parametrize("white", [4095, 4095.0, [4095, 4095, 4095, 4095]])
def test_twelve_bits_give_the_image_of_eight(white: White) -> None:
    planes = random_planes(np.random.default_rng(2))
    scaled = (planes.astype(np.uint16) * 273) // 17  # 4095 / 255 = 273 / 17
    np.testing.assert_allclose(Preprocessing()(scaled, white=white), Preprocessing()(planes), atol=3e-4)


def test_each_channel_can_have_its_own_white() -> None:
    planes = np.full((4, 32, 32), 1000, np.uint16)
    image = Preprocessing()(planes, white=[1000, 2000, 4000, 500])
    np.testing.assert_allclose(image[0, 0], [0.5 + 0.5, 0.25 + 0.5, 0.125], atol=1e-6)


def test_sixteen_bits_by_dtype_and_by_percentile() -> None:
    planes = np.random.default_rng(3).integers(0, 50_000, (4, 64, 64), np.uint16)
    np.testing.assert_array_equal(Preprocessing().white_levels(planes, white="dtype"), [65535] * 4)
    levels = Preprocessing().white_levels(planes, white="percentile")
    np.testing.assert_allclose(levels, [np.percentile(plane, PERCENTILE) for plane in planes], rtol=1e-6)
    assert np.isfinite(Preprocessing()(planes * 0, white="percentile")).all()


def test_pixels_above_white_count_as_white() -> None:
    planes = np.full((4, 32, 32), 60_000, np.uint16)
    assert Preprocessing()(planes, white=4095).max() == pytest.approx(1)


def test_eight_bits_need_no_white_and_ignore_it() -> None:
    planes = random_planes(np.random.default_rng(2))
    np.testing.assert_array_equal(Preprocessing()(planes, white=4095), Preprocessing()(planes))
    np.testing.assert_array_equal(Preprocessing().white_levels(planes), [255] * 4)


def test_sixteen_bits_without_white_are_refused() -> None:
    with pytest.raises(PlaneError, match="white=4095 for a 12-bit camera"):
        Preprocessing()(np.zeros((4, 32, 32), np.uint16))


@pytest.mark.parametrize("white", [0, -1, float("nan"), float("inf"), [1, 2, 3], "bright"])
def test_a_white_level_that_is_none_is_refused(white: Any) -> None:
    with pytest.raises(PlaneError, match="is no white level"):
        Preprocessing()(np.zeros((4, 32, 32), np.uint16), white=white)


@pytest.mark.parametrize(
    "planes", [np.zeros((3, 9, 9), np.uint8), np.zeros((9, 9), np.uint8), np.zeros((4, 0, 9), np.uint8)]
)
def test_an_array_of_another_shape_is_refused(planes: npt.NDArray[Any]) -> None:
    with pytest.raises(PlaneError, match="Stack the planes"):
        Preprocessing()(planes)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.bool_])
def test_an_array_of_another_type_is_refused(dtype: Any) -> None:
    with pytest.raises(PlaneError, match="not uint8 or uint16"):
        Preprocessing()(np.zeros((4, 9, 9), dtype))


FORMS: dict[str, dict[str, Any]] = {
    "of the study": {},
    "of four colours": {"size": 256, "blend": np.eye(4).tolist()},
    "of the field's own size": {"size": None},
    "with mean and deviation": {"size": 128, "mean": (0.1, 0.2, 0.3), "deviation": (0.5, 0.6, 0.7), "layout": "nchw"},
    "normalized": {"size": 128, "normalization": Normalization(kind="zero_mean_unit_variance")},
    "of planes": {"place": "graph"},
    "of three channels": {"size": 64, "channels": ("red", "green", "yellow"), "blend": np.eye(3).tolist()},
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(512, 512), (512, 384), (299, 299), (64, 96), (1000, 256), (700, 513)])
def test_a_patch_is_preprocessed_as_its_field(name: str, dtype: type, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    form, white = Preprocessing(**FORMS[name]), (255.0, 200.0, 4095.0, 3000.5)
    for _ in range(6):
        (top, bottom), (left, right) = (np.sort(rng.choice(side + 1, 2, replace=False)).tolist() for side in shape)
        field: npt.NDArray[Any] = np.zeros((4, *shape), dtype)
        field[:, top:bottom, left:right] = rng.integers(0, np.iinfo(dtype).max, (4, bottom - top, right - left))
        patch = Patch(field[:, top:bottom, left:right].copy(), top, left, shape)
        np.testing.assert_array_equal(patch.field(), field)
        image, levels = form.patch_input(patch, white=white)
        expected, of_field = form.model_input(field, white=white)
        np.testing.assert_allclose(image, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(levels, of_field)
        assert (image.dtype, image.flags.c_contiguous) == (expected.dtype, True)
