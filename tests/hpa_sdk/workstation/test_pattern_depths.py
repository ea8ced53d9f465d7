"""The z planes of files that hold one channel each are put together in their order."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk.fields.file_group import group_files
from hpa_sdk.fields.reading import read_planes
from tests.hpa_sdk.workstation.named_files import COLOURS, LEICA, by_pattern, colours, failures, write
from tests.hpa_sdk.workstation.written import fields_of, stack, write_ome_tiff


def test_planes_along_z_are_put_together_in_their_order(tmp_path: Path) -> None:
    data = stack(z=11)
    write(tmp_path, [f"a--Z{z}--C{at:02}.tif" for at in range(4) for z in range(11)], data.reshape(-1, 40, 48))
    for rule, planes in (("'max'", data.max(1)), ("10", data[:, 10]), ("2", data[:, 2])):
        (sample,) = fields_of(by_pattern(tmp_path, "leica", f"z = {rule}", LEICA))
        np.testing.assert_array_equal(read_planes(sample), planes[[2, 1, 0, 3]])


def test_a_file_of_one_channel_may_be_a_z_stack(tmp_path: Path) -> None:
    data = stack(z=3)
    metadata = {"PhysicalSizeX": 100, "PhysicalSizeY": 100, "PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm"}
    for name, planes in zip(colours("x", ".ome.tif"), data, strict=True):
        write_ome_tiff(tmp_path / "exports" / name, planes, "ZYX", **metadata, Channel={"Name": "whatever"})
    (sample,) = fields_of(by_pattern(tmp_path))
    np.testing.assert_array_equal(read_planes(sample), data.max(1))
    assert sample.source.look().pixel_size == pytest.approx(0.1)  # type: ignore[union-attr]


def test_a_z_plane_that_a_channel_lacks_is_named(tmp_path: Path) -> None:
    write(tmp_path, [f"a--Z{z}--C{at:02}.tif" for at in range(5) for z in range(3)], [stack()[0, 0]] * 15)
    write(tmp_path, [f"b--Z{z}--C{at:02}.tif" for at in range(4) for z in range(3)], [stack()[0, 0]] * 12)
    for gone in ("a--Z1--C04", "b--Z2--C00", "b--Z0--C03", "b--Z1--C03"):
        (tmp_path / "exports" / f"{gone}.tif").unlink()
    rules = by_pattern(tmp_path, "leica", channels=LEICA)
    assert [group.is_complete(rules) for group in group_files(rules, rules.watch)] == [True, False]
    messages = failures(rules)
    assert set(messages) == {"b"}, "the fifth channel is none of the four"
    assert "missing (blue z 2, yellow z 0, yellow z 1), and other channels have them" in messages["b"]


def test_a_channel_of_one_plane_may_stand_beside_z_stacks(tmp_path: Path) -> None:
    write(tmp_path, [f"a--Z{z}--C{at:02}.tif" for at in range(3) for z in range(3)], [stack()[0, 0]] * 9)
    write(tmp_path, ["a--C03.tif"], stack()[:1, 0])
    assert failures(by_pattern(tmp_path, "leica", channels=LEICA)) == {}


SIGNED = r"(?P<field>.+)_z(?P<z>[^_]+)_(?P<channel>red|green|blue|yellow)"


def write_depths(folder: Path, depths: Iterable[str], planes: Any, field: str = "a") -> None:
    """Write a file for each channel and z: planes are (4, z, H, W)."""
    names = [f"{field}_z{z}_{colour}.tif" for colour in COLOURS for z in depths]
    write(folder, names, np.asarray(planes).reshape(-1, *np.shape(planes)[2:]))


@pytest.mark.parametrize(("rule", "depth"), [(0, "-2"), (1, "0.75"), (2, "003"), (3, "10"), ('"middle"', "003")])
def test_z_planes_are_in_the_order_of_their_numbers(tmp_path: Path, rule: int | str, depth: str) -> None:
    depths = ["-2", "0.75", "003", "10"]
    data = stack(z=4)
    write_depths(tmp_path, depths, data)
    (sample,) = fields_of(by_pattern(tmp_path, SIGNED, f"z = {rule}"))
    np.testing.assert_array_equal(read_planes(sample), data[:, depths.index(depth)])


def test_z_planes_without_an_order_are_refused(tmp_path: Path) -> None:
    data = stack(z=3)
    write_depths(tmp_path, ["top", "middle", "bottom"], data)
    assert "have no order (bottom, middle, top)" in failures(by_pattern(tmp_path, SIGNED, "z = 1"))["a"]
    # The maximum needs none.
    (sample,) = fields_of(by_pattern(tmp_path, SIGNED))
    np.testing.assert_array_equal(read_planes(sample), data.max(1))


def test_one_z_that_is_written_in_two_ways_is_one_plane(tmp_path: Path) -> None:
    data = stack(z=2)
    write_depths(tmp_path, ["1", "2"], data)
    (tmp_path / "exports" / "a_z2_green.tif").rename(tmp_path / "exports" / "a_z02_green.tif")
    (sample,) = fields_of(by_pattern(tmp_path, SIGNED, "z = 1"))
    np.testing.assert_array_equal(read_planes(sample), data[:, 1])
    write(tmp_path, ["a_z002_green.tif"], data[1:2, 1])
    assert "the same plane (a_z002_green.tif, a_z02_green.tif)" in failures(by_pattern(tmp_path, SIGNED))["a"]


@pytest.mark.parametrize(("rule", "serves"), [("1", True), ('"middle"', True), ("0", False), ("2", False)])
def test_a_channel_of_one_z_serves_where_that_z_is_chosen(tmp_path: Path, rule: str, serves: bool) -> None:
    data = stack(z=3)
    write_depths(tmp_path, ["0", "1", "2"], data)
    for z in "02":
        (tmp_path / "exports" / f"a_z{z}_yellow.tif").unlink()
    rules = by_pattern(tmp_path, SIGNED, f"z = {rule}")
    (sample,) = fields_of(rules)
    assert group_files(rules, rules.watch)[0].is_complete(rules) == serves
    if serves:
        np.testing.assert_array_equal(read_planes(sample), data[:, 1])
        assert sample.source is not None
        assert "channel yellow has one plane, taken for every z" in sample.source.read().notes
    else:
        assert "missing (yellow z 0, yellow z 2)" in failures(rules)["a"]


def test_a_channel_without_z_next_to_z_stacks_is_reported(tmp_path: Path) -> None:
    data = stack(z=3)
    names = [f"a--Z{z}--C{at:02}.tif" for at in range(3) for z in range(3)]
    write(tmp_path, [*names, "a--C03.tif"], [*data[:3].reshape(-1, 40, 48), data[3, 0]])
    (sample,) = fields_of(by_pattern(tmp_path, "leica", "z = 2", LEICA))
    assert sample.source is not None
    found = sample.source.read()
    np.testing.assert_array_equal(found.planes, np.stack([data[2, 2], data[1, 2], data[0, 2], data[3, 0]]))
    assert "channel yellow has one plane, taken for every z" in found.notes
    assert "plane 2 of 3 z planes" in found.notes


def test_a_channel_with_and_without_z_is_refused(tmp_path: Path) -> None:
    names = [f"a--Z{z}--C{at:02}.tif" for at in range(4) for z in range(2)]
    write(tmp_path, [*names, "a--C03.tif"], [stack()[0, 0]] * 9)
    assert "some files of channel '03' have a z" in failures(by_pattern(tmp_path, "leica", channels=LEICA))["a"]


def test_stacks_of_differing_depth_are_refused(tmp_path: Path) -> None:
    for name, depth in zip(colours("x", ".ome.tif"), (5, 5, 7, 5), strict=True):
        write_ome_tiff(tmp_path / "exports" / name, stack(z=depth)[0], "ZYX", Channel={"Name": "whatever"})
    message = failures(by_pattern(tmp_path, more='z = "middle"'))["x"]
    assert "differing numbers of z planes (red 5, green 5, blue 7, yellow 5)" in message


def test_a_named_z_that_holds_several_is_refused(tmp_path: Path) -> None:
    for at in range(4):
        for z in range(2):
            path = tmp_path / "exports" / f"a--Z{z}--C{at:02}.ome.tif"
            write_ome_tiff(path, stack(z=3)[at], "ZYX", Channel={"Name": "whatever"})
    rules = by_pattern(tmp_path, "leica", "z = 1", LEICA)
    assert "its name has one z, and it holds 3 z planes" in failures(rules)["a"]
