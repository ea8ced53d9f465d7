"""Every reader refuses a plane with a wrong checksum and an incomplete plane."""

import lzma
import random
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pytest
import zarr
from PIL import Image, PngImagePlugin
from zarr.codecs import Crc32cCodec, GzipCodec, ShardingCodec, ZstdCodec

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.scenes import open_scenes
from tests.hpa_sdk.made_tiff import READERS, flipped, plane_tiff, png_chunk
from tests.hpa_sdk.workstation.written import put_image, stack

SIGNATURE = 8


@pytest.fixture(params=READERS)
def read(request: pytest.FixtureRequest) -> Any:
    return READERS[request.param]


def noise(dtype: Any = np.uint16, side: int = 128) -> npt.NDArray[Any]:
    return np.random.default_rng(1).integers(0, 4096 if dtype is np.uint16 else 256, (side, side)).astype(dtype)


def png(plane: npt.NDArray[Any]) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a text")
    file = BytesIO()
    Image.fromarray(plane).save(file, "PNG", pnginfo=text, dpi=(300, 300))
    return file.getvalue()


def chunks(content: bytes) -> dict[bytes, int]:
    """Where each kind of chunk is."""
    found, at = {}, SIGNATURE
    while at < len(content):
        found[content[at + 4 : at + 8]] = at
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return found


def refuse(read: Callable[[Path], object], path: Path, content: bytes, message: str = "damaged|can't be read") -> None:
    path.write_bytes(content)
    with pytest.raises(PlaneError, match=message):
        read(path)


@pytest.mark.parametrize("behind", [200_000, 6_800, 5_000])
def test_zeros_in_a_png_are_refused(tmp_path: Path, read: Any, behind: int) -> None:
    """Near the end a decoder has all its rows before it meets what it can't decode."""
    content = png(noise(side=512))
    at = len(content) - behind
    zeros = content[:at] + bytes(4096) + content[at + 4096 :]
    refuse(read, tmp_path / "x.png", zeros, "checksum of its chunk IDAT is wrong")


@pytest.mark.parametrize("kind", [b"IHDR", b"tEXt", b"pHYs", b"IDAT", b"IEND"])
def test_a_flipped_bit_in_a_png_is_refused(tmp_path: Path, read: Any, kind: bytes) -> None:
    content = png(noise())
    at = chunks(content)[kind]
    length = int.from_bytes(content[at : at + 4], "big")
    read_whole(read, tmp_path / "x.png", content)
    for place in {
        at + 8 + length // 2,
        at + 8 + length - 1 if length else at + 8,
        *range(at + 8 + length, at + 12 + length),
    }:
        refuse(read, tmp_path / "x.png", flipped(content, place))


def read_whole(read: Any, path: Path, content: bytes) -> None:
    """Make sure that the sound file is read, so that a refusal of a damaged one says something."""
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path), noise())


@pytest.mark.parametrize("length", [8, 12, 16, -1, -12])
def test_a_png_that_ends_early_is_refused(tmp_path: Path, read: Any, length: int) -> None:
    refuse(read, tmp_path / "x.png", png(noise())[:length])


def test_a_png_with_endless_data_is_not_read(tmp_path: Path, read: Any) -> None:
    content = png(noise())
    at = chunks(content)[b"IDAT"]
    more = png_chunk(b"junk", bytes(40_000_000))
    refuse(read, tmp_path / "x.png", content[:at] + more + content[at:], "longer than its pixels need")


DEFLATE = [
    {"compression": 8},
    {"compression": 32946},
    {"compression": 8, "rows": 16},
    {"compression": 8, "tile": 48},
    {"compression": 8, "tag_317": 2},
    {"compression": 8, "order": ">"},
]


@pytest.mark.parametrize("options", DEFLATE)
def test_a_flipped_bit_in_a_deflate_tiff_is_refused(tmp_path: Path, read: Any, options: dict[str, Any]) -> None:
    content = plane_tiff(noise(), compress=zlib.compress, **options)
    path = tmp_path / "x.tif"
    path.write_bytes(content)
    read(path)
    streams = [at for at in range(len(content) - 1) if content[at : at + 2] == b"\x78\x9c"]
    begin = streams[0]
    first = zlib.decompressobj()
    first.decompress(content[begin:])
    end = len(content) - len(first.unused_data)
    chance = random.Random(0)  # noqa: S311 - chance, not secrecy
    for place in [*range(end - 4, end), *(chance.randrange(begin, end) for _ in range(20))]:
        refuse(read, path, flipped(content, place, chance.randrange(8)))


def test_zeros_in_a_deflate_tiff_are_refused(tmp_path: Path, read: Any) -> None:
    content = plane_tiff(noise(side=512), compression=8, compress=zlib.compress)
    refuse(read, tmp_path / "x.tif", content[:100_000] + bytes(4096) + content[104_096:])


def test_stored_blocks_in_a_deflate_tiff_are_checked(tmp_path: Path, read: Any) -> None:
    """A stream without compression holds the pixels as they are, and only its checksum knows of a change."""
    content = plane_tiff(noise(), compression=8, compress=lambda part: zlib.compress(part, 0))
    read_whole(read, tmp_path / "x.tif", content)
    for place in (200, 5000, 20_000):
        refuse(read, tmp_path / "x.tif", flipped(content, place))


@pytest.mark.parametrize("check", [lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256])
def test_a_flipped_bit_in_an_lzma_tiff_is_refused(tmp_path: Path, read: Any, check: int) -> None:
    def compress(part: bytes) -> bytes:
        return lzma.compress(part, check=check)

    content = plane_tiff(noise(), compression=34925, compress=compress)
    read_whole(read, tmp_path / "x.tif", content)
    end = 8 + len(compress(noise().tobytes()))
    for place in [*range(end - 90, end), *range(100, end, 997)]:
        refuse(read, tmp_path / "x.tif", flipped(content, place))


def test_a_flipped_bit_in_a_zstd_tiff_with_checksum_is_refused(tmp_path: Path, read: Any) -> None:
    compress = numcodecs.Zstd(level=3, checksum=True).encode
    content = plane_tiff(noise(), compression=50000, compress=compress)
    read_whole(read, tmp_path / "x.tif", content)
    end = 8 + len(compress(noise().tobytes()))
    for place in [*range(end - 4, end), *range(100, end, 997)]:
        refuse(read, tmp_path / "x.tif", flipped(content, place))


@pytest.mark.slow
@pytest.mark.parametrize("compress", [zlib.compress, lzma.compress])
def test_a_strip_that_inflates_beyond_its_size_is_refused(tmp_path: Path, read: Any, compress: Any) -> None:
    compression = 8 if compress is zlib.compress else 34925
    content = plane_tiff(noise(), compression=compression, compress=lambda part: compress(part + bytes(100_000_000)))
    refuse(read, tmp_path / "x.tif", content, "decompresses to more than its size|INSUFFICIENT_SPACE")


@pytest.mark.parametrize("compress", [zlib.compress, lzma.compress])
def test_a_strip_with_too_few_pixels_is_refused(tmp_path: Path, read: Any, compress: Any) -> None:
    compression = 8 if compress is zlib.compress else 34925
    content = plane_tiff(noise(), compression=compression, compress=lambda part: compress(part[:-2]))
    refuse(read, tmp_path / "x.tif", content, "bytes of 32768")
    content = plane_tiff(noise(), compression=compression, compress=lambda part: compress(part)[:-2])
    refuse(read, tmp_path / "x.tif", content, "ends before its checksum|libdeflate")


SPARSE = [{"rows": 32}, {"tile": 48}, {"rows": 32, "compression": 8, "compress": zlib.compress}]


@pytest.mark.parametrize("options", SPARSE)
@pytest.mark.parametrize("which", ["offset", "length"])
@pytest.mark.parametrize("order", "<>")
def test_a_sparse_tiff_is_refused(tmp_path: Path, read: Any, order: str, which: str, options: dict[str, Any]) -> None:
    content = plane_tiff(noise(), order=order, **options)
    read_whole(read, tmp_path / "x.tif", content)
    tag = (324 if "tile" in options else 273) if which == "offset" else (325 if "tile" in options else 279)
    count = 9 if "tile" in options else 4
    entry = content.index(struct.pack(f"{order}HHI", tag, 4, count))
    (values,) = struct.unpack_from(f"{order}I", content, entry + 8)
    at = values + 4 * 2
    refuse(read, tmp_path / "x.tif", content[:at] + bytes(4) + content[at + 4 :], r"not there \((strip|tile) 2 has")


@pytest.mark.parametrize("offset", [2, 4, 10**6, 2**32 - 8])
def test_a_strip_outside_the_file_is_refused(tmp_path: Path, read: Any, offset: int) -> None:
    refuse(read, tmp_path / "x.tif", plane_tiff(noise(), tag_273=offset), "strip 0 lies outside the file")


def test_strips_that_overlap_are_refused(tmp_path: Path, read: Any) -> None:
    content = plane_tiff(noise(), rows=1)
    entry = content.index(struct.pack("<HHI", 279, 4, 128))
    (values,) = struct.unpack_from("<I", content, entry + 8)
    content = content[:values] + struct.pack("<128I", *[20_000] * 128) + content[values + 512 :]
    entry = content.index(struct.pack("<HHI", 273, 4, 128))
    (values,) = struct.unpack_from("<I", content, entry + 8)
    content = content[:values] + struct.pack("<128I", *[8] * 128) + content[values + 512 :]
    refuse(read, tmp_path / "x.tif", content, "strips overlap")


def test_a_tag_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    content = plane_tiff(noise(), tag_274=1)
    entry = content.index(struct.pack("<HHI", 274, 4, 1))
    changed = content[:entry] + struct.pack("<HHII", 262, 4, 1, 0) + content[entry + 12 :]
    refuse(READERS["predict"], tmp_path / "x.tif", changed, "tag 262 is there twice")


def write_zarr(path: Path, codec: str) -> None:
    data = stack()
    if codec.startswith("v2"):
        group = zarr.open_group(path, mode="w", zarr_format=2)
        compressors: Any = {"v2 gzip": numcodecs.GZip(), "v2 zlib": numcodecs.Zlib()}[codec]
        options: dict[str, Any] = {"compressors": compressors}
    else:
        group = zarr.open_group(path, mode="w", zarr_format=3)
        by_codec: dict[str, dict[str, Any]] = {
            "gzip": {"compressors": [GzipCodec()]},
            "zstd": {"compressors": [ZstdCodec(checksum=True)]},
            "crc32c": {"compressors": [Crc32cCodec()]},
            "sharding": {
                "serializer": ShardingCodec(chunk_shape=(1, 1, 40, 48), codecs=[_bytes(), Crc32cCodec()]),
                "compressors": None,
            },
        }
        options = by_codec[codec]
    put_image(group, data, "0.4" if codec.startswith("v2") else "0.5")
    del group["0"]
    array = group.create_array("0", shape=data.shape, chunks=(1, 1, 40, 48), dtype=data.dtype, **options)
    array[:] = data


def _bytes() -> Any:
    return zarr.codecs.BytesCodec()


@pytest.mark.parametrize("codec", ["v2 gzip", "v2 zlib", "gzip", "zstd", "crc32c", "sharding"])
def test_a_flipped_bit_in_a_zarr_chunk_is_refused(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "x.zarr"
    write_zarr(path, codec)
    np.testing.assert_array_equal(_read_zarr(path), stack()[:, 0])
    chunk = max((path / "0").rglob("*"), key=lambda file: file.stat().st_size if file.is_file() else 0)
    content = chunk.read_bytes()
    # The head of gzip has bytes that mean nothing for the pixels.
    for place in (*range(20, len(content), 397), *range(len(content) - 4, len(content))):
        chunk.write_bytes(flipped(content, place))
        try:
            found = _read_zarr(path)
        except PlaneError:
            continue
        np.testing.assert_array_equal(found, stack()[:, 0])
    chunk.write_bytes(flipped(content, len(content) // 2))
    with pytest.raises(PlaneError):
        _read_zarr(path)


def _read_zarr(path: Path) -> npt.NDArray[Any]:
    with open_scenes(path) as scenes:
        return np.stack([channel.read(0) for channel in scenes[""]()])
