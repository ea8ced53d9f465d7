"""An OME-TIFF is read from all the files that it names, whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.field_source import FieldReading, FieldSource
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.tiff_file import decode
from tests.hpa_sdk.fields.spread_ome_tiff import OME, described, write
from tests.hpa_sdk.workstation.written import CHANNELS, NAMES, ORDER, fields_of, stack, station


def read(folder: Path) -> dict[str, FieldReading | str]:
    """What each field of ``exports`` is read as, or why it is refused."""
    found: dict[str, FieldReading | str] = {}
    for sample in fields_of(station(folder, channels=CHANNELS)):
        assert isinstance(sample.source, FieldSource)
        try:
            found[sample.id] = sample.source.look()
        except PlaneError as error:
            found[sample.id] = str(error)
    return found


def check(found: FieldReading | str, z: int = 1, seed: int = 0) -> None:
    assert isinstance(found, FieldReading), found
    np.testing.assert_array_equal(found.planes, stack(z=z, seed=seed).max(1)[list(ORDER)])
    assert found.pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize("z", [1, 3])
@pytest.mark.parametrize("own_uuid", [True, False])
@pytest.mark.parametrize("companion", ["", "a.companion.ome"])
def test_a_field_in_four_files_is_read_once(tmp_path: Path, z: int, own_uuid: bool, companion: str) -> None:
    paths = write(tmp_path, z=z, own_uuid=own_uuid, companion=companion)
    found = read(tmp_path)
    check(found[paths[0].name], z)
    assert len(found) == 1
    for path in paths[1:]:
        with pytest.raises(PlaneError, match=r"belong to the field of a_C0\.ome\.tif"):
            list(find_samples(path))


def test_pictures_in_four_files_are_scenes(tmp_path: Path) -> None:
    write(tmp_path, z=2, pictures=2)
    found = read(tmp_path)
    for seed in (0, 1):
        check(found[f"a_C0.ome.tif#{seed + 1}"], 2, seed)


def test_files_in_another_folder_or_under_other_names_are_read(tmp_path: Path) -> None:
    paths = write(tmp_path)
    moved = tmp_path / "other" / "exports"
    shutil.copytree(paths[0].parent, moved)
    shutil.rmtree(paths[0].parent)
    for path in paths:
        (moved / path.name).rename(moved / path.name.replace("a_C", "kidney 7 "))
    check(read(tmp_path / "other")["kidney 7 0.ome.tif"])


def test_names_that_were_swapped_do_not_swap_channels(tmp_path: Path) -> None:
    paths = write(tmp_path)
    paths[1].rename(tmp_path / "exports" / "x.tif")
    paths[2].rename(paths[1])
    (tmp_path / "exports" / "x.tif").rename(paths[2])
    check(read(tmp_path)[paths[0].name])


def test_a_file_of_another_data_set_is_not_taken(tmp_path: Path) -> None:
    paths = write(tmp_path)
    content = paths[2].read_bytes().replace(b'UUID="urn:uuid:2">', b'UUID="urn:uuid:9">', 1)
    paths[2].write_bytes(content)
    assert "a_C2.ome.tif is not there" in str(read(tmp_path)[paths[0].name])


@pytest.mark.parametrize("missing", [[1], [1, 3]])
def test_files_that_are_not_there_are_named(tmp_path: Path, missing: list[int]) -> None:
    paths = write(tmp_path)
    for at in missing:
        paths[at].unlink()
    message = str(read(tmp_path)[paths[0].name])
    assert f"{', '.join(paths[at].name for at in missing)} {'is' if len(missing) == 1 else 'are'} not there" in message
    assert "damaged" not in message


def test_a_companion_under_another_name_is_found(tmp_path: Path) -> None:
    paths = write(tmp_path, companion="a.companion.ome")
    path = tmp_path / "exports" / "a.companion.ome"
    text = path.read_text(encoding="utf-8")
    path.rename(path.with_name("b.companion.ome"))
    check(read(tmp_path)[paths[0].name])
    path.with_name("b.companion.ome").unlink()
    assert "the one that describes them (a.companion.ome) is not there" in str(read(tmp_path)[paths[0].name])
    path.write_text(text[:300], encoding="utf-8")
    assert "its OME-XML is broken" in str(read(tmp_path)[paths[0].name])


def test_a_description_in_another_ome_tiff_is_read(tmp_path: Path) -> None:
    paths = write(tmp_path)
    for channel, path in enumerate(paths[1:], 1):
        text = f'{OME} UUID="urn:uuid:{channel}"><BinaryOnly MetadataFile="a_C0.ome.tif" UUID="urn:uuid:0"/></OME>'
        tifffile.tiffcomment(path, text.encode())
    found = read(tmp_path)
    check(found[paths[0].name])
    assert len(found) == 1
    for path in paths[1:]:
        with pytest.raises(PlaneError, match=r"belong to the field of a_C0\.ome\.tif"):
            list(find_samples(path))


@pytest.mark.parametrize("own_uuid", [True, False])
def test_a_single_file_that_was_renamed_reads_itself(tmp_path: Path, own_uuid: bool) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    for seed, name in enumerate(("before.ome.tif", "after.ome.tif")):
        # Both say that their planes are in "before.ome.tif".
        images = described(["before.ome.tif"] * 4)
        for channel in range(4):
            images = images.replace(
                f'IFD="0" PlaneCount="1"><UUID FileName="before.ome.tif">urn:uuid:{channel}<',
                f'IFD="{channel}" PlaneCount="1"><UUID FileName="before.ome.tif">urn:uuid:x{seed}<',
            )
        uuid = f' UUID="urn:uuid:x{seed}"' if own_uuid else ""
        text = f"{OME}{uuid}>{images}</OME>".encode()
        data = stack(seed=seed)[:, 0]
        tifffile.imwrite(exports / name, data, photometric="minisblack", description=text, metadata=None)
    found = read(tmp_path)
    check(found["before.ome.tif"], seed=0)
    if own_uuid:
        check(found["after.ome.tif"], seed=1)
    (exports / "before.ome.tif").unlink()
    check(read(tmp_path)["after.ome.tif"], seed=1)


@pytest.mark.parametrize("folder", ["../", "..\\", "C:", "/etc/", "sub/"])
def test_files_in_other_folders_stay_closed(tmp_path: Path, folder: str) -> None:
    (path, *_) = write(tmp_path)
    text = f'{OME} UUID="urn:uuid:0">{described([f"a_C{at}.ome.tif" for at in range(4)], folder=folder)}</OME>'
    tifffile.tiffcomment(path, text.encode())
    assert "files in other folders" in str(read(tmp_path)[path.name])
    tifffile.tiffcomment(path, f'{OME}><BinaryOnly MetadataFile="{folder}x.ome"/></OME>'.encode())
    assert "another folder" in str(read(tmp_path)[path.name])


def fewer(text: str) -> str:
    return text.replace('SizeZ="1"', 'SizeZ="2"')


def beyond(text: str) -> str:
    return text.replace('FirstC="3" FirstZ="0" FirstT="0" IFD="0"', 'FirstC="3" FirstZ="0" FirstT="0" IFD="7"')


def larger(text: str) -> str:
    return text.replace('SizeX="48"', 'SizeX="96"')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fewer, "gives 8 planes and says where 4 of them are"),
        (beyond, "names page 7 of a_C3.ome.tif, which has 1"),
        (larger, "gives 96x40 pixels, and the plane has 48x40"),
        (lambda text: text.replace('SizeT="1"', 'SizeT="3"'), "3 time points"),
        (lambda text: text.replace('SizeZ="1"', 'SizeZ="999999999"'), "gives 3999999996 planes"),
        (lambda text: text.replace('SizeZ="1"', 'SizeZ="many"'), "damaged"),
    ],
)
def test_what_is_not_all_there_says_so(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    (path, *_) = write(tmp_path)
    text = change(str(tifffile.tiffcomment(path)))
    tifffile.tiffcomment(path, text.encode())
    assert message in str(read(tmp_path)[path.name])


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT", "XYTZC", "XYCTZ", "XYZTC", "XYTCZ"])
def test_planes_lie_in_the_order_that_is_given(tmp_path: Path, order: str) -> None:
    data = stack(z=3)
    axes = [axis for axis in reversed(order) if axis in "CZ"]
    planes = (data if axes == ["C", "Z"] else data.swapaxes(0, 1)).reshape(-1, 40, 48)
    channels = "".join(f'<Channel ID="Channel:0:{at}" Name="{name}"/>' for at, name in enumerate(NAMES))
    for listed in ("", "<TiffData/>", '<TiffData IFD="0" PlaneCount="12"/>'):
        text = (
            f'{OME}><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint16" SizeX="48"'
            f' SizeY="40" SizeC="4" SizeZ="3" SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="0.1">'
            f"{channels}{listed}</Pixels></Image></OME>"
        )
        (tmp_path / "exports").mkdir(exist_ok=True)
        path = tmp_path / "exports" / "x.ome.tif"
        tifffile.imwrite(path, planes, photometric="minisblack", description=text.encode(), metadata=None)
        check(read(tmp_path)["x.ome.tif"], 3)


def test_an_ome_tiff_in_colour_says_so(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    tifffile.imwrite(tmp_path / "exports" / "x.ome.tif", np.zeros((40, 48, 3), np.uint8), ome=True, photometric="rgb")
    assert "colour (RGB)" in str(*read(tmp_path).values())


@pytest.mark.parametrize("axis", ["Q", "A", "T"])
def test_other_axes_of_an_ome_tiff_are_refused(tmp_path: Path, axis: str) -> None:
    (tmp_path / "exports").mkdir()
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": {"axes": f"{axis}CYX"}}
    tifffile.imwrite(tmp_path / "exports" / "x.ome.tif", np.stack([stack()[:, 0]] * 2), ome=True, **options)
    message = str(*read(tmp_path).values())
    assert "ModuloAlongT" in message or "2 time points" in message


def test_planar_samples_of_an_ome_tiff_are_channels(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate", "metadata": {"axes": "SYX"}}
    tifffile.imwrite(tmp_path / "exports" / "x.ome.tif", stack()[:, 0], ome=True, **options)
    by_number = "[channels]\nred = [2]\ngreen = [1]\nblue = [0]\nyellow = [3]"
    (sample,) = fields_of(station(tmp_path, channels=by_number))
    assert isinstance(sample.source, FieldSource)
    np.testing.assert_array_equal(sample.source.look().planes, stack()[list(ORDER), 0])


def test_a_file_that_is_written_meanwhile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(tmp_path)
    samples = list(fields_of(station(tmp_path, channels=CHANNELS)))

    def read_and_write(*arguments: Any) -> Any:
        paths[2].write_bytes(paths[2].read_bytes() + b"x")
        return decode(*arguments)

    monkeypatch.setattr("hpa_sdk.fields.tiff_stack.decode", read_and_write)
    assert isinstance(samples[0].source, FieldSource)
    with pytest.raises(PlaneError, match="was changed while its field was read"):
        samples[0].source.look()
