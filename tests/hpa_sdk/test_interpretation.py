"""What a file's numbers mean is one rule for every format, depth, byte order and reader."""

import struct
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.picture_file import read_picture
from hpa_sdk.fields.reading import read_plane
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.scenes import open_scenes
from tests.hpa_sdk.made_tiff import READERS, plane_tiff, png_chunk
from tests.pseudocoloured import jpeg, make_plane, pseudocolour

TURNS: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    1: lambda plane: plane,
    2: np.fliplr,
    3: lambda plane: np.rot90(plane, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda plane: np.rot90(plane, -1),
    7: lambda plane: np.rot90(plane, 2).T,
    8: np.rot90,
}


@pytest.fixture(params=READERS)
def read(request: pytest.FixtureRequest) -> Any:
    return READERS[request.param]


def noise(dtype: Any = np.uint16, height: int = 40, width: int = 48) -> npt.NDArray[Any]:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_working_folder_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type) -> None:
    right, wrong = noise(dtype), noise(dtype)[::-1]
    for folder, plane in (("named", right), ("working", wrong)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "0001_red.tif", plane, photometric="minisblack")
    monkeypatch.chdir(tmp_path / "working")
    np.testing.assert_array_equal(read_plane(tmp_path / "named" / "0001_red.tif"), right)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "lzma", "zstd"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_min_is_white_is_undone(tmp_path: Path, read: Any, dtype: type, byteorder: Any, compression: Any) -> None:
    stored = noise(dtype)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, stored, photometric="miniswhite", byteorder=byteorder, compression=compression)
    found = read(path)
    np.testing.assert_array_equal(found, np.iinfo(dtype).max - stored)
    assert found.dtype == dtype
    assert found.dtype.isnative


def test_min_is_white_of_a_stack_is_undone(tmp_path: Path) -> None:
    stored = np.stack([noise(), noise()[::-1], noise()[:, ::-1], noise()[::-1, ::-1]])
    for truncate in (False, True):
        tifffile.imwrite(
            tmp_path / "x.tif", stored, photometric="miniswhite", metadata={"axes": "CYX"}, truncate=truncate
        )
        with open_scenes(tmp_path / "x.tif") as scenes:
            found = [stack.read(0) for stack in scenes["0"]()]
        np.testing.assert_array_equal(found, 65535 - stored)


def test_each_page_of_a_stack_goes_by_its_own_tags(tmp_path: Path) -> None:
    path = tmp_path / "x.ome.tif"
    stored = np.stack([noise()] * 4)
    # In parts, so that tifffile leaves no page to be known from the first.
    tifffile.imwrite(path, stored, photometric="minisblack", metadata={"axes": "CYX"}, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        cast("tifffile.TiffPage", file.pages.get(2)).tags["PhotometricInterpretation"].overwrite(0)
    with open_scenes(path) as scenes:
        found = [stack.read(0) for stack in scenes["0"]()]
    stored[2] = 65535 - stored[2]
    np.testing.assert_array_equal(found, stored)


def test_what_0_means_is_not_guessed(tmp_path: Path, read: Any) -> None:
    tags = plane_tiff(noise())
    (tmp_path / "x.tif").write_bytes(
        tags.replace(struct.pack("<HHII", 262, 4, 1, 1), struct.pack("<HHII", 260, 4, 1, 1))
    )
    with pytest.raises(PlaneError, match="does not say whether 0 is black or white"):
        read(tmp_path / "x.tif")


@pytest.mark.parametrize("orientation", TURNS)
def test_a_tiff_is_turned_upright(tmp_path: Path, read: Any, orientation: int) -> None:
    for number, options in enumerate(({}, {"compression": 8, "compress": zlib.compress}, {"rows": 7}, {"tile": 16})):
        path = tmp_path / f"{number}.tif"
        path.write_bytes(plane_tiff(noise(), tag_274=orientation, **options))  # type: ignore[arg-type]
        np.testing.assert_array_equal(read(path), TURNS[orientation](noise()))


@pytest.mark.parametrize("orientation", TURNS)
def test_a_png_is_turned_upright(tmp_path: Path, read: Any, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    file = BytesIO()
    Image.fromarray(noise()).save(file, "PNG", exif=exif)
    path = tmp_path / "x.png"
    path.write_bytes(file.getvalue())
    np.testing.assert_array_equal(read(path), TURNS[orientation](noise()))
    # An Exif chunk may also lie behind the pixels.
    Image.fromarray(noise()).save(path)
    behind = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    path.write_bytes(path.read_bytes()[:-12] + behind + path.read_bytes()[-12:])
    np.testing.assert_array_equal(read(path), TURNS[orientation](noise()))


@pytest.mark.parametrize("orientation", TURNS)
def test_a_jpeg_is_turned_upright(tmp_path: Path, read: Any, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    plane = make_plane()[:, :300]
    Image.fromarray(plane).save(tmp_path / "plain.jpg")
    Image.fromarray(plane).save(tmp_path / "x.jpg", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "x.jpg"), TURNS[orientation](read(tmp_path / "plain.jpg")))


def test_a_jpeg_in_pseudocolour_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    (tmp_path / "plain.jpg").write_bytes(jpeg(pseudocolour(make_plane(), [1])))
    Image.fromarray(pseudocolour(make_plane(), [1])).save(tmp_path / "x.jpg", exif=exif, quality=90)
    expected = np.rot90(read_plane(tmp_path / "plain.jpg", Channel.GREEN), -1)
    np.testing.assert_array_equal(read_plane(tmp_path / "x.jpg", Channel.GREEN), expected)


@pytest.mark.parametrize("orientation", [9, 77])
def test_an_unknown_orientation_is_refused(tmp_path: Path, read: Any, orientation: int) -> None:
    (tmp_path / "x.tif").write_bytes(plane_tiff(noise(), tag_274=orientation))
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(noise()).save(tmp_path / "x.png", exif=exif)
    for name in ("x.tif", "x.png"):
        with pytest.raises(PlaneError, match=f"Orientation tag is {orientation}, which is not defined.*Orientation 1"):
            read(tmp_path / name)


def test_what_was_done_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(plane_tiff(noise(), tag_262=0, tag_274=6))
    _, notes = read_picture(path)
    assert len(notes) == 2
    assert "PhotometricInterpretation 0" in notes[0]
    assert "Orientation 6" in notes[1]
    with open_scenes(path) as scenes:
        assert scenes["0"]()[0].notes == notes
    path.write_bytes(plane_tiff(noise()))
    assert read_picture(path)[1] == ()


@pytest.mark.parametrize(
    ("dtype", "tags", "name"),
    [
        (np.uint8, {"tag_339": 2}, "signed 8-bit"),
        (np.uint16, {"tag_339": 2}, "signed 16-bit"),
        (np.uint16, {"tag_339": 3}, "floating-point 16-bit"),
        (np.uint32, {"tag_339": 3}, "floating-point 32-bit"),
        (np.uint32, {}, "a picture of 32-bit"),
        (np.uint64, {"tag_339": 3}, "floating-point 64-bit"),
        (np.uint64, {"tag_339": 6}, "complex 64-bit"),
        (np.uint16, {"tag_339": 4}, "undefined 16-bit"),
        (np.uint16, {"tag_339": 9}, "SampleFormat 9"),
        (np.uint16, {"tag_258": 10}, "packed 10-bit"),
        (np.uint16, {"tag_258": 12}, "packed 12-bit"),
        (np.uint16, {"tag_258": 14}, "packed 14-bit"),
        (np.uint8, {"tag_258": 4}, "packed 4-bit"),
        (np.uint8, {"tag_262": 3}, "palette"),
        (np.uint8, {"tag_262": 6}, "YCbCr"),
        (np.uint8, {"tag_262": 32803}, "PhotometricInterpretation 32803"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_other_samples_are_refused_by_name(
    tmp_path: Path, read: Any, order: str, dtype: type, tags: dict[str, int], name: str
) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(plane_tiff(noise(dtype), order=order, **tags))  # type: ignore[arg-type]
    with pytest.raises(PlaneError, match=name) as caught:
        read(path)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_samples_of_a_camera_are_refused(tmp_path: Path, read: Any, bits: int) -> None:
    tifffile.imwrite(tmp_path / "x.tif", noise() >> (16 - bits), bitspersample=bits, photometric="minisblack")
    with pytest.raises(PlaneError, match=f"packed {bits}-bit pixels, not grey of 8 or 16 bits") as caught:
        read(tmp_path / "x.tif")
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        *({"compression": name} for name in ("zlib", "lzw", "packbits", "lzma", "zstd", "jpeg")),
        *({"compression": name, "predictor": True} for name in ("zlib", "lzw", "lzma", "zstd")),
        {"compression": "zlib", "tile": (16, 32), "predictor": True},
        {"compression": "lzw", "tile": (32, 16)},
        {"tile": (16, 16)},
        {"rowsperstrip": 7},
        {"compression": "zlib", "rowsperstrip": 7},
        {"bigtiff": True},
    ],
)
@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_both_readers_agree_with_tifffile(tmp_path: Path, dtype: type, byteorder: Any, options: dict[str, Any]) -> None:
    if options.get("compression") == "jpeg" and dtype is np.uint16:
        pytest.skip("JPEG in TIFF has 8 bits here")
    plane = noise(dtype) if options.get("compression") != "jpeg" else make_plane(side=64)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, plane, photometric="minisblack", byteorder=byteorder, **options)
    for read in READERS.values():
        np.testing.assert_array_equal(read(path), tifffile.imread(path))


@pytest.mark.parametrize(("compression", "compress"), [(1, bytes), (8, zlib.compress)])
def test_reversed_bits_are_put_right(tmp_path: Path, read: Any, compression: int, compress: Any) -> None:
    def reversed_bits(part: bytes) -> bytes:
        return bytes(int(f"{byte:08b}"[::-1], 2) for byte in compress(part))

    path = tmp_path / "x.tif"
    path.write_bytes(plane_tiff(noise(), compression=compression, compress=reversed_bits, tag_266=2))
    np.testing.assert_array_equal(read(path), noise())


OF_IMAGECODECS = [
    {"compression": "jpeg2000", "compressionargs": {"level": 0}},
    {"compression": "jpegxl", "compressionargs": {"lossless": True}},
    {"compression": "jpegxr", "compressionargs": {"level": 1.0}},
    {"compression": "lerc"},
    {"compression": "lerc", "compressionargs": {"compression": "zstd"}},
    {"compression": "lerc", "compressionargs": {"compression": "deflate"}},
    {"compression": "png"},
    {"compression": "pixtiff"},
    {"compression": "jpeg", "compressionargs": {"lossless": True}},
]
"""Compressions that Pillow does not know."""


@pytest.mark.parametrize("options", OF_IMAGECODECS)
@pytest.mark.parametrize("parts", [{}, {"rowsperstrip": 16}, {"tile": (16, 32)}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_imagecodecs_knows_is_read(tmp_path: Path, read: Any, dtype: type, parts: Any, options: Any) -> None:
    path = tmp_path / "x.tif"
    plane: npt.NDArray[Any] = np.right_shift(noise(dtype), 4 if dtype is np.uint16 else 0)  # JPEG has 12 bits at most
    tifffile.imwrite(path, plane, photometric="minisblack", **options, **parts)
    np.testing.assert_array_equal(read(path), plane)


@pytest.mark.parametrize("package", ["imagecodecs", "tifffile"])
def test_without_imagecodecs_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, noise(np.uint8), photometric="minisblack", compression="jpegxl")
    monkeypatch.setitem(sys.modules, package, None)
    message = r"compressed by JPEG XL \(Compression 50002\).*pip install 'hpa-sdk\[workstation\]'"
    with pytest.raises(PlaneError, match=message) as caught:
        read_plane(path)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"predictor": True}, {"tile": (16, 32), "predictor": True}])
@pytest.mark.parametrize("compression", ["zlib", "zstd"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_without_imagecodecs_the_numbers_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type, compression: Any, options: Any
) -> None:
    path = tmp_path / "x.tif"
    plane: npt.NDArray[Any] = np.random.default_rng(0).integers(0, 99, (700, 1300)).astype(dtype)
    tifffile.imwrite(path, plane, photometric="minisblack", compression=compression, rowsperstrip=700, **options)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    np.testing.assert_array_equal(read_plane(path), plane)


@pytest.mark.parametrize("number", [32809, 34661, 60000])
def test_a_compression_that_nobody_knows_is_named(tmp_path: Path, read: Any, number: int) -> None:
    (tmp_path / "x.tif").write_bytes(plane_tiff(noise(np.uint8), compression=number))
    with pytest.raises(PlaneError, match=rf"Compression {number}\), which is not read here.*Deflate or LZW") as caught:
        read(tmp_path / "x.tif")
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("compression", ["jpeg2000", "jpegxl", "png", "lerc", "jpegxr"])
def test_a_picture_larger_than_its_strip_is_not_decoded(tmp_path: Path, read: Any, compression: Any) -> None:
    large, path = tmp_path / "large.tif", tmp_path / "x.tif"
    tifffile.imwrite(
        large, np.zeros((3000, 3000), np.uint8), photometric="minisblack", compression=compression, rowsperstrip=3000
    )
    with tifffile.TiffFile(large) as file:
        page = file.pages.first
        (offset,), (count,), number = page.dataoffsets, page.databytecounts, int(page.compression)
    content = large.read_bytes()[offset : offset + count]
    path.write_bytes(plane_tiff(noise(np.uint8), compression=number, compress=lambda _: content))
    with pytest.raises(PlaneError, match="damaged"):
        read(path)


@pytest.mark.parametrize("predictor", [3, 34892])
def test_another_predictor_is_not_called_damage(tmp_path: Path, read: Any, predictor: int) -> None:
    content = plane_tiff(noise(), compression=8, compress=zlib.compress, tag_317=predictor)
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(PlaneError, match=f"Predictor {predictor} .*is not read") as caught:
        read(tmp_path / "x.tif")
    assert "damaged" not in str(caught.value)


def palette(path: Path, plane: npt.NDArray[Any], greys: npt.NDArray[Any] | list[npt.NDArray[Any]]) -> None:
    table = np.array([greys] * 3 if isinstance(greys, np.ndarray) else greys, np.uint16)
    tifffile.imwrite(path, plane, photometric="palette", colormap=table)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_palette_of_grey_is_read(tmp_path: Path, read: Any, dtype: type) -> None:
    path, top = tmp_path / "x.tif", np.iinfo(dtype).max
    ramp = np.arange(top + 1) * (65535 // top)
    palette(path, noise(dtype), ramp)
    np.testing.assert_array_equal(read(path), noise(dtype))
    palette(path, noise(dtype), ramp[::-1])
    np.testing.assert_array_equal(read(path), top - noise(dtype))
    assert "its colour table" in read_picture(path)[1][0]


def test_a_palette_of_shifted_grey_is_read(tmp_path: Path, read: Any) -> None:
    palette(tmp_path / "x.tif", noise(np.uint8), np.arange(256) << 8)
    np.testing.assert_array_equal(read(tmp_path / "x.tif"), noise(np.uint8))


def test_a_palette_that_changes_the_numbers_is_refused(tmp_path: Path, read: Any) -> None:
    ramp, none = np.arange(256) * 257, np.zeros(256)
    for greys, message in (([none, ramp, none], "in colour"), (np.minimum(ramp * 2, 65535), "no ramp of grey")):
        palette(tmp_path / "x.tif", noise(np.uint8), greys)
        with pytest.raises(PlaneError, match=f"a palette picture .*{message}") as caught:
            read(tmp_path / "x.tif")
        assert "damaged" not in str(caught.value)


def test_planar_samples_are_no_plane(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.stack([noise()] * 4), photometric="rgb", planarconfig="separate")
    with pytest.raises(PlaneError, match=r"4 planes in one picture \(PlanarConfiguration 2\)"):
        read_plane(tmp_path / "x.tif")


@pytest.mark.parametrize("options", [{"imagej": True}, {"truncate": True}])
def test_a_stack_behind_one_directory_is_no_plane(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "x.tif"
    data = np.stack([noise()] * 3)
    tifffile.imwrite(path, data, photometric="minisblack", **options)
    with pytest.raises(PlaneError, match="more than one picture"):
        read_plane(path)


def test_a_png_with_a_long_text_is_read(tmp_path: Path, read: Any) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 5000)
    Image.fromarray(noise()).save(tmp_path / "x.png", pnginfo=text)
    np.testing.assert_array_equal(read(tmp_path / "x.png"), noise())
