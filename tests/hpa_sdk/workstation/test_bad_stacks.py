"""What is no field, or damaged, is refused with its reason, before it costs memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from hpa_sdk.errors import PlaneError
from tests.hpa_sdk.workstation.written import (
    BY_NUMBER,
    MICROMETRES,
    NAMES,
    edit_description,
    look,
    refusal,
    stack,
    write_ome_tiff,
    write_ome_zarr,
)


def spread(path: Path) -> Path:
    """An OME-TIFF of two planes whose description says that others lie in other files."""
    write_ome_tiff(path, stack()[:2], Channel={"Name": list(NAMES[:2])})
    more = '<TiffData FirstC="2" IFD="0" PlaneCount="2"><UUID FileName="y.tif">urn:uuid:1</UUID></TiffData>'
    return edit_description(path, ('SizeC="2"', 'SizeC="4"'), ("</Pixels>", f"{more}</Pixels>"))


def other_folder(path: Path) -> Path:
    return edit_description(spread(path), ('"y.tif"', '"../../y.tif"'))


def change_tags(path: Path, tags: dict[str, int]) -> Path:
    """Overwrite tags of every page."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for page in map(tiff.pages.get, range(len(tiff.pages))):
            for name, value in tags.items():
                cast("tifffile.TiffPage", page).tags[name].overwrite(value)
    return path


def described_elsewhere(path: Path) -> Path:
    """An OME-TIFF that leaves its description to a file beside it."""
    companion = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly MetadataFile="x.ome"/></OME>'
    )
    return plain(path, stack()[:, 0], metadata=None, description=companion)


def huge_tiles(path: Path) -> Path:
    plain(path, stack()[:, 0], metadata=None, compression="zstd", tile=(48, 48))
    return change_tags(path, {"TileWidth": 60_000, "TileLength": 60_000})


def holes(path: Path) -> Path:
    return change_tags(plain(path, stack()[:, 0], metadata=None), {"StripByteCounts": 0})


def declared_huge(path: Path) -> Path:
    huge = dict.fromkeys(("ImageWidth", "ImageLength", "RowsPerStrip"), 60_000)
    return change_tags(plain(path, stack()[:, 0], metadata=None), huge)


def bomb(path: Path) -> Path:
    """Planes of 40 x 48 pixels, in strips that inflate to 256 MB."""
    plain(path, stack()[:, 0], metadata=None, compression="zstd")
    content = imagecodecs.zstd_encode(bytes(256_000_000))
    change_tags(path, {"StripOffsets": path.stat().st_size, "StripByteCounts": len(content)})
    with path.open("ab") as file:
        file.write(content)
    return path


def time_points(path: Path) -> Path:
    return write_ome_tiff(path, np.stack([stack(), stack()]), "TCZYX")


def plain(path: Path, array: Any, **options: Any) -> Path:
    tifffile.imwrite(path, array, **{"photometric": "minisblack", **options})
    return path


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (spread, "spread over several files"),
        (other_folder, "files in other folders"),
        (described_elsewhere, "spread over several files"),
        (huge_tiles, "tiles are larger"),
        (holes, "damaged|not there"),
        (declared_huge, "60000x60000 pixels, more than"),
        (bomb, "damaged"),
        (time_points, "2 time points"),
        (lambda path: plain(path, np.zeros((40, 48, 3), np.uint8), photometric="rgb"), "3 samples"),
        (lambda path: plain(path, np.zeros((4, 40, 48), np.float32)), "floating-point 32-bit pixels, not grey"),
        (lambda path: plain(path, np.zeros((4, 5, 5), np.uint8)), "5x5 pixels; a side needs"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(b"II*\0\x08\0\0\0"), "damaged|no picture"),
        (lambda path: path.write_bytes(b"hello" * 9), "not a TIFF"),
    ],
)
def test_a_tiff_that_is_no_field_is_refused(tmp_path: Path, write: Callable[[Path], object], message: str) -> None:
    (tmp_path / "exports").mkdir()
    write(tmp_path / "exports" / "x.tif")
    with pytest.raises(PlaneError, match=message):
        look(tmp_path, channels=BY_NUMBER)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("imagej", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.4, 0.67, 0.9, 0.999])
def test_a_truncated_stack_is_refused(tmp_path: Path, compression: Any, imagej: bool, share: float) -> None:
    path = tmp_path / "exports" / "x.ome.tif"
    path.parent.mkdir()
    form: dict[str, Any] = {"imagej": True} if imagej else {"ome": True, "compression": compression}
    tifffile.imwrite(
        path, stack(z=3), photometric="minisblack", metadata={"axes": "ZCYX" if imagej else "CZYX"}, **form
    )
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "damaged" in refusal(tmp_path, channels=BY_NUMBER)


def chunks(path: Path) -> list[Path]:
    return [file for file in (path / "0").rglob("*") if file.is_file() and file.name not in {".zarray", "zarr.json"}]


def without_chunks(path: Path) -> None:
    for file in chunks(path):
        file.unlink()


def cut_chunk(path: Path) -> None:
    for file in chunks(path):
        file.write_bytes(file.read_bytes()[:50])


def elsewhere(path: Path) -> None:
    group = zarr.open_group(path, mode="r+")
    ome: Any = group.attrs["ome"]
    ome["multiscales"][0]["datasets"][0]["path"] = "../other.zarr/0"
    group.attrs["ome"] = ome


def undescribed(path: Path) -> None:
    zarr.open_group(path, mode="w").create_group("0")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_chunks, r"a part of its pixels is not there \(0/c/0/0/0/0\)"),
        (lambda path: (path / "0" / "c" / "3" / "0" / "0" / "0").unlink(), r"not there \(0/c/3/0/0/0\)"),
        (cut_chunk, "damaged"),
        (elsewhere, "'..' segments|invalid"),
        (undescribed, "describes no picture"),
        (lambda path: (path / "zarr.json").write_text("{"), "damaged"),
        (lambda path: (path / "zarr.json").unlink(), "not there"),
    ],
)
def test_an_ome_zarr_that_is_no_field_is_refused(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(write_ome_zarr(tmp_path / "exports" / "x.zarr", stack(), "0.5"))
    with pytest.raises(PlaneError, match=message):
        look(tmp_path)


def test_a_huge_chunk_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "exports" / "x.zarr", stack(), "0.4")
    told = path / "0" / ".zarray"
    told.write_text(
        told.read_text(encoding="utf-8").replace('"chunks": [\n    1,', '"chunks": [\n    1000000,'), "utf-8"
    )
    assert "chunks are larger" in refusal(tmp_path)


def test_pixels_that_are_not_square_and_units_that_are_no_length(tmp_path: Path) -> None:
    path = tmp_path / "exports" / "x.ome.tif"
    write_ome_tiff(path, stack(), **{**MICROMETRES, "PhysicalSizeY": 0.2})
    assert "0.2 high and 0.1 wide" in refusal(tmp_path)
    write_ome_tiff(path, stack(), **{**MICROMETRES, "PhysicalSizeXUnit": "pixel", "PhysicalSizeYUnit": "pixel"})
    assert look(tmp_path).pixel_size is None
    assert look(tmp_path, files="pixel_size = 0.2").pixel_size == 0.2
