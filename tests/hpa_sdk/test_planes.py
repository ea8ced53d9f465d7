"""Planes are read as they are, and what is no plane is refused with its reason."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.planes import MAX_PIXELS
from hpa_sdk.fields.reading import read_plane, read_planes
from hpa_sdk.fields.samples import Channel, FieldPlanes, Sample
from tests.pseudocoloured import jpeg, make_plane, pseudocolour, write_published
from tests.small import random_planes, write_planes


@pytest.mark.parametrize(
    ("extension", "dtype"),
    [(".png", np.uint8), (".png", np.uint16), (".tif", np.uint8), (".tif", np.uint16), (".jpg", np.uint8)],
)
def test_planes_are_read_as_opencv_reads_them(tmp_path: Path, extension: str, dtype: type) -> None:
    sample = write_planes(tmp_path, "fält", random_planes(np.random.default_rng(1), dtype=dtype), extension)
    planes = read_planes(sample)
    assert planes.dtype == dtype
    for plane, file in zip(planes, sample.files, strict=True):
        np.testing.assert_array_equal(plane, cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED))


def test_a_jpeg_in_the_colour_of_its_channel_is_its_plane(tmp_path: Path) -> None:
    (sample,) = find_samples(write_published(tmp_path / "atlas", {"fält": "Cytosol"}))
    planes = [make_plane(seed) for seed in range(4)]
    found = read_planes(sample)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - planes).mean() < 3
    with pytest.raises(PlaneError, match=r"fält_red\.jpg: the plane is a colour \(RGB\) picture"):
        read_plane(sample.files[0])


@pytest.mark.parametrize("colours", [[0], [1, 2], [0, 1, 2]])
def test_a_jpeg_in_another_colour_is_refused(tmp_path: Path, colours: list[int]) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg(pseudocolour(make_plane(), colours)))
    with pytest.raises(PlaneError, match=r"x\.jpg: the pseudocolour is not green alone"):
        read_plane(path, Channel.GREEN)


def test_a_small_pseudocoloured_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(jpeg(pseudocolour(make_plane(side=15), [1])))
    with pytest.raises(PlaneError, match="15x15 pixels; a side needs at least"):
        read_plane(path, Channel.GREEN)


def test_a_big_endian_tiff_gives_the_same_numbers(tmp_path: Path) -> None:
    plane = np.arange(400, dtype=np.uint16).reshape(20, 20) * 100
    Image.fromarray(plane.astype(">u2")).save(tmp_path / "x.tif")
    np.testing.assert_array_equal(read_plane(tmp_path / "x.tif"), plane)
    assert read_plane(tmp_path / "x.tif").dtype == np.uint16


def test_the_first_bytes_count_and_not_the_extension(tmp_path: Path) -> None:
    Image.new("L", (20, 20), 9).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.tif")
    assert read_plane(tmp_path / "x.tif").max() == 9


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1", "I", "F"])
def test_a_picture_that_is_not_grey_of_8_or_16_bits_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tif" if mode in {"I", "F"} else "x.png")
    Image.new(mode, (20, 20)).save(path)
    with pytest.raises(PlaneError, match=r"not grey of 8 or 16 bits.*Export each channel"):
        read_plane(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"hello world", "no PNG, JPEG or TIFF"), (b"\x89PNG\r\n\x1a\n", "damaged|can't be read")],
)
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(PlaneError, match=message) as caught:
        read_plane(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("extension", [".png", ".tif", ".jpg"])
def test_a_truncated_picture_is_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    Image.fromarray(random_planes(np.random.default_rng(0))[0]).save(path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(PlaneError, match=r"damaged|can't be read"):
        read_plane(path)


def test_a_plane_of_one_pixel_is_refused(tmp_path: Path) -> None:
    Image.new("L", (1, 1)).save(tmp_path / "x.png")
    with pytest.raises(PlaneError, match="1x1 pixels; a side needs at least"):
        read_plane(tmp_path / "x.png")


def test_a_huge_plane_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    assert MAX_PIXELS < 10_000 * 10_000
    path = tmp_path / "x.png"
    Image.new("L", (10_000, 10_000)).save(path, compress_level=1)
    # Without its picture data the file can't be decoded: only a check of the header can find the size.
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PlaneError, match="10000x10000 pixels, more than the"):
        read_plane(path)


def test_a_stack_of_pictures_is_refused(tmp_path: Path) -> None:
    pages = [Image.new("L", (20, 20), shade) for shade in (1, 2)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(PlaneError, match="more than one picture"):
        read_plane(tmp_path / "x.tif")


def test_a_missing_plane_is_named(fields: list[Sample]) -> None:
    fields[0].files[3].unlink()
    with pytest.raises(PlaneError, match="the yellow plane is missing") as caught:
        read_planes(fields[0])
    assert caught.value.where == str(fields[0].files[3])


@pytest.mark.parametrize("odd", [Image.new("L", (64, 63)), Image.new("I;16", (64, 64))])
def test_planes_that_differ_in_size_or_depth_are_refused(fields: list[Sample], odd: Image.Image) -> None:
    odd.save(fields[0].files[2])
    with pytest.raises(PlaneError, match=r"differ in size or depth \(red 64x64 uint8"):
        read_planes(fields[0])


def test_a_source_reads_what_is_no_four_files(tmp_path: Path) -> None:
    planes = random_planes(np.random.default_rng(2), dtype=np.uint16)

    class Camera:
        def read(self) -> FieldPlanes:
            return FieldPlanes(planes)

    np.testing.assert_array_equal(read_planes(Sample("x", (tmp_path / "x.nd2",), Camera())), planes)
