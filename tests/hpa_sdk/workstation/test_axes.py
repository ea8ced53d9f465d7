"""An axis without a name is refused: no array is interpreted by its shape."""

import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr
from zarr.codecs import BytesCodec

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.scenes import open_scenes
from tests.hpa_sdk.workstation.written import BY_NUMBER, NAMES, ORDER, look, put_image, refusal, stack, write_ome_tiff


def noise(*shape: int) -> npt.NDArray[np.uint16]:
    return np.random.default_rng(0).integers(1, 4096, (*shape, 40, 48)).astype(np.uint16)


def exports(folder: Path, name: str = "x.tif") -> Path:
    (folder / "exports").mkdir()
    return folder / "exports" / name


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (4, 4), (1, 24), (24,), (3,), (5,), (2,)])
@pytest.mark.parametrize("metadata", [{}, None])
def test_axes_without_names_are_refused(tmp_path: Path, shape: tuple[int, ...], metadata: Any) -> None:
    tifffile.imwrite(exports(tmp_path), noise(*shape), photometric="minisblack", metadata=metadata)
    message = refusal(tmp_path, channels=BY_NUMBER)
    assert "does not name all its axes" in message
    assert "Y of 40, X of 48" in message
    assert "Export it with named axes" in message


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4), (1, 4, 1)])
@pytest.mark.parametrize("metadata", [{}, None])
def test_one_axis_of_four_without_a_name_is_the_channels(tmp_path: Path, shape: tuple[int, ...], metadata: Any) -> None:
    data = noise(*shape)
    tifffile.imwrite(exports(tmp_path), data, photometric="minisblack", metadata=metadata)
    np.testing.assert_array_equal(look(tmp_path, channels=BY_NUMBER).planes, data.reshape(4, 40, 48)[list(ORDER)])


@pytest.mark.parametrize("axis", ["R", "P", "A", "L", "E", "H", "M", "V"])
def test_a_named_axis_that_is_no_channel_is_refused(tmp_path: Path, axis: str) -> None:
    tifffile.imwrite(exports(tmp_path), noise(4), photometric="minisblack", metadata={"axes": f"{axis}YX"})
    assert f"4 positions along an axis {axis}" in refusal(tmp_path, channels=BY_NUMBER)


def test_an_axis_without_a_name_beside_the_channels_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(exports(tmp_path), noise(4, 4), photometric="minisblack", metadata={"axes": "QCYX"})
    assert "does not name all its axes (Q of 4, C of 4" in refusal(tmp_path, channels=BY_NUMBER)


@pytest.mark.parametrize("axes", ["CZYX", "ZCYX"])
def test_named_axes_are_read_in_any_order(tmp_path: Path, axes: str) -> None:
    data = stack(z=3)
    stored = data if axes[0] == "C" else data.swapaxes(0, 1)
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stored, axes)
    np.testing.assert_array_equal(look(tmp_path).planes, data.max(1)[list(ORDER)])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photometric": "minisblack"},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw", "byteorder": ">"},
        {"tile": (16, 16), "bigtiff": True},
        {"rowsperstrip": 7},
    ],
)
def test_four_planar_samples_are_channels(tmp_path: Path, options: dict[str, Any], dtype: type) -> None:
    data: npt.NDArray[Any] = noise(4).astype(dtype)
    # The default of tifffile for an array of (4, H, W).
    tifffile.imwrite(exports(tmp_path), data, **{"photometric": "rgb", "planarconfig": "separate", **options})
    with tifffile.TiffFile(tmp_path / "exports" / "x.tif") as file:
        assert file.pages.first.planarconfig == 2
    np.testing.assert_array_equal(look(tmp_path, channels=BY_NUMBER).planes, data[list(ORDER)])


def test_planar_samples_of_min_is_white_are_inverted(tmp_path: Path) -> None:
    data = noise(4)
    tifffile.imwrite(exports(tmp_path), data, photometric="miniswhite", planarconfig="separate")
    np.testing.assert_array_equal(look(tmp_path, channels=BY_NUMBER).planes, 65535 - data[list(ORDER)])


def test_planar_samples_called_a_colour_are_reported(tmp_path: Path) -> None:
    tifffile.imwrite(exports(tmp_path), noise(4), photometric="rgb", planarconfig="separate")
    note = "the file calls its 4 planar samples one picture in colour; each is taken as a channel"
    assert note in look(tmp_path, channels=BY_NUMBER).notes


def test_planar_samples_beside_another_axis_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(exports(tmp_path), noise(3, 4), photometric="rgb", planarconfig="separate")
    assert "does not name all its axes (Q of 3, C of 4" in refusal(tmp_path, channels=BY_NUMBER)


@pytest.mark.parametrize("axes", ["ZSYX", "CSYX"])
def test_planar_samples_of_a_named_z_are_read_and_of_c_refused(tmp_path: Path, axes: str) -> None:
    data = noise(3, 4)
    tifffile.imwrite(exports(tmp_path), data, metadata={"axes": axes}, photometric="rgb", planarconfig="separate")
    if axes == "ZSYX":
        np.testing.assert_array_equal(look(tmp_path, channels=BY_NUMBER).planes, data.max(0)[list(ORDER)])
    else:
        assert "two axes have the name C" in refusal(tmp_path, channels=BY_NUMBER)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((3, 40, 48), {"photometric": "rgb", "planarconfig": "separate"}, r"colour \(RGB\)"),
        ((40, 48, 3), {"photometric": "rgb"}, "3 samples a pixel"),
        ((40, 48, 4), {"photometric": "rgb"}, "4 samples a pixel"),
        ((40, 48, 4), {"photometric": "minisblack", "planarconfig": "contig"}, r"first axis, \(C, H, W\)"),
        ((4, 40, 48), {"photometric": "separated", "planarconfig": "separate"}, r"colour \(CMYK\)"),
    ],
)
def test_a_picture_in_colour_is_refused(tmp_path: Path, shape: Any, options: dict[str, Any], message: str) -> None:
    tifffile.imwrite(exports(tmp_path), np.ones(shape, np.uint16), **options)
    with pytest.raises(PlaneError, match=message) as caught:
        look(tmp_path, channels=BY_NUMBER)
    assert "damaged" not in str(caught.value)


def write_zarr(path: Path, data: npt.NDArray[Any], axes: list[dict[str, str]], **options: Any) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=options.pop("zarr_format", 2))
    array = group.create_array("0", shape=data.shape, chunks=(*[1] * (data.ndim - 2), 40, 48), **options)
    array[:] = data
    scales: Any = {"axes": axes, "datasets": [{"path": "0"}]}
    omero = {"channels": [{"label": name, "color": "FFFFFF", "window": {}} for name in NAMES]}
    old: Any = {"multiscales": [{"version": "0.4", **scales}], "omero": omero}
    new: Any = {"ome": {"version": "0.5", "multiscales": [scales], "omero": omero}}
    group.attrs.update(old if array.metadata.zarr_format == 2 else new)


def axes_of(*names: tuple[str, str | None]) -> list[dict[str, str]]:
    listed = [{"name": name, "type": kind} if kind else {"name": name} for name, kind in names]
    return [*listed, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]


@pytest.mark.parametrize(
    "axis", [("c", "channel"), ("C", "Channel"), ("channel", "channel"), ("dye", "channel"), ("c", None)]
)
def test_the_channels_of_an_ome_zarr_go_by_their_type(tmp_path: Path, axis: Any) -> None:
    data = noise(4)
    write_zarr(exports(tmp_path, "x.zarr"), data, axes_of(axis), dtype="uint16")
    np.testing.assert_array_equal(look(tmp_path).planes, data[list(ORDER)])


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        (("t", "time"), "4 time points"),
        (("frame", "time"), "4 time points"),
        (("c", "space"), "positions along an axis C"),
        (("c", "time"), "positions along an axis C"),
        (("z", "channel"), "positions along an axis Z"),
        (("angle", None), "4 positions along an axis ANGLE"),
        (("phase", "phase"), "4 positions along an axis PHASE"),
    ],
)
def test_other_axes_of_an_ome_zarr_are_refused(tmp_path: Path, axis: Any, message: str) -> None:
    write_zarr(exports(tmp_path, "x.zarr"), noise(4), axes_of(axis), dtype="uint16")
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    "names", [[("c", "channel"), ("c", "channel")], [("c", "channel"), ("dye", "channel")], [("z", "space")] * 2]
)
@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (1, 4)])
def test_two_axes_of_one_name_are_refused(tmp_path: Path, names: Any, shape: tuple[int, ...]) -> None:
    write_zarr(exports(tmp_path, "x.zarr"), noise(*shape), axes_of(*names), dtype="uint16")
    assert "two axes have the name" in refusal(tmp_path)


@pytest.mark.parametrize("options", [{"dtype": ">u2"}, {"dtype": "uint16", "zarr_format": 3, "big": True}])
def test_a_big_endian_ome_zarr_gives_the_same_numbers(tmp_path: Path, options: dict[str, Any]) -> None:
    data = noise(4)
    written = {name: value for name, value in options.items() if name != "big"}
    if "big" in options:
        written["serializer"] = BytesCodec(endian="big")
    write_zarr(exports(tmp_path, "x.zarr"), data, axes_of(("c", "channel")), **written)
    reading = look(tmp_path)
    np.testing.assert_array_equal(reading.planes, data[list(ORDER)])
    assert reading.planes.dtype == np.uint16
    assert reading.planes.dtype.isnative


@pytest.mark.parametrize(("dtype", "name"), [("int8", "signed int8"), (">i2", "signed int16"), ("float32", "float32")])
def test_an_ome_zarr_of_other_numbers_is_refused_by_name(tmp_path: Path, dtype: str, name: str) -> None:
    write_zarr(exports(tmp_path, "x.zarr"), noise(4) % 100, axes_of(("c", "channel")), dtype=dtype)
    assert f"the pixels are {name}, not of 8 or 16 bits" in refusal(tmp_path)


def test_a_second_picture_of_an_ome_zarr_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=3)
    put_image(group, stack(), "0.5")
    ome: Any = group.attrs["ome"]
    group.attrs["ome"] = {**ome, "multiscales": ome["multiscales"] * 2}
    with open_scenes(path) as scenes:
        assert "describes 1 more picture; the first is read" in scenes[""]()[0].notes[0]


class FakeImage:
    """What bioio gives: along an axis that it does not know, it takes index 0 without a warning."""

    def __init__(self, order: str, data: npt.NDArray[Any], names: list[str]) -> None:
        sizes = dict(zip(order, data.shape, strict=True))
        self.reader = SimpleNamespace(dims=SimpleNamespace(order=order, shape=data.shape))
        kept = "TCZYXS" if "S" in order else "TCZYX"
        self.dims = SimpleNamespace(order=kept, shape=tuple(sizes.get(axis, 1) for axis in kept))
        self.scenes = ("first",)
        self.dtype = data.dtype
        self.physical_pixel_sizes = SimpleNamespace(Y=0.1, X=0.1)
        self.channel_names = names
        at = tuple(slice(None) if axis in "CYX" else 0 for axis in order)
        self._channels = data[at]

    def set_scene(self, scene: int) -> None:
        assert scene == 0

    def get_image_dask_data(self, order: str, **at: int) -> npt.NDArray[Any]:
        assert order == "YX"
        plane: npt.NDArray[Any] = self._channels[at["C"]]
        return plane


@contextmanager
def bioio(monkeypatch: pytest.MonkeyPatch, path: Path, image: FakeImage) -> Any:
    module: Any = ModuleType("bioio")
    module.BioImage = lambda _: image
    exceptions: Any = ModuleType("bioio_base.exceptions")
    exceptions.UnsupportedFileFormatError = KeyError
    monkeypatch.setitem(sys.modules, "bioio", module)
    monkeypatch.setitem(sys.modules, "bioio_base", ModuleType("bioio_base"))
    monkeypatch.setitem(sys.modules, "bioio_base.exceptions", exceptions)
    path.write_bytes(b"x")
    with open_scenes(path) as scenes:
        yield scenes["0"]


def test_a_vendors_file_gives_its_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(4).astype(">u2")
    with bioio(monkeypatch, tmp_path / "x.nd2", FakeImage("CYX", data, list(NAMES))) as scene:
        stacks = scene()
        assert [stack.name for stack in stacks] == list(NAMES)
        planes = np.stack([stack.read(0) for stack in stacks])
    np.testing.assert_array_equal(planes, data)
    assert planes.dtype == np.uint16
    assert planes.dtype.isnative


def test_no_channel_is_left_out_where_names_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bioio(monkeypatch, tmp_path / "x.lif", FakeImage("CYX", noise(4), list(NAMES[:2]))) as scene:
        assert [(stack.name, stack.number) for stack in scene()] == [("", 0), ("", 1), ("", 2), ("", 3)]


@pytest.mark.parametrize("order", ["ACYX", "VCYX", "HCYX", "ICYX"])
def test_an_axis_that_bioio_leaves_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    image = FakeImage(order, noise(3, 4), list(NAMES))
    refused = pytest.raises(PlaneError, match=f"3 positions along an axis {order[0]}")
    with bioio(monkeypatch, tmp_path / "x.czi", image) as scene, refused:
        scene()


def test_tiles_that_bioio_has_joined_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with bioio(monkeypatch, tmp_path / "x.czi", FakeImage("MCYX", noise(3, 4), list(NAMES))) as scene:
        assert len(scene()) == 4
