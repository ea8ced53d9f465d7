"""Files that hold one channel each are put together by their names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hpa_sdk import Predictor, Sample
from hpa_sdk.errors import SampleError
from hpa_sdk.fields import scenes, tiff_stack
from hpa_sdk.fields.file_group import group_files
from hpa_sdk.fields.plane_names import field_of
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.rules import PATTERNS
from tests.hpa_sdk.workstation.named_files import COLOURS, LEICA, by_pattern, colours, failures, write
from tests.hpa_sdk.workstation.written import MICROMETRES, edit_description, fields_of, stack, station, write_ome_tiff


@pytest.mark.parametrize(("extension", "dtype"), [(".png", np.uint8), (".png", np.uint16), (".tif", np.uint16)])
def test_kaggle_names_give_the_same_with_and_without_a_station(
    tmp_path: Path, model: Path, extension: str, dtype: type
) -> None:
    write(tmp_path, colours("fält 1", extension), stack(dtype=dtype)[:, 0])
    (sample,) = fields_of(by_pattern(tmp_path))
    assert sample.id == "fält 1"
    predictor = Predictor.load(model, device="cpu", white=4095)
    (found,), (expected,) = predictor.predict(sample), predictor.predict(tmp_path / "exports")
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.parametrize(
    "name",
    ["image--L0000--X00--Y00--T0000--Z00--C{:02}.ome.tif", "Series001_t0_z00_ch{:02}.tif", "plate ö--C{:02}.tif"],
)
def test_leica_names_are_known(tmp_path: Path, name: str) -> None:
    data = stack()[:, 0]
    write(tmp_path, [name.format(at) for at in range(4)], data)
    (sample,) = fields_of(by_pattern(tmp_path, "leica", channels=LEICA))
    assert sample.id == {"i": "image--L0000--X00--Y00_t0000", "S": "Series001_t0", "p": "plate ö"}[name[0]]
    np.testing.assert_array_equal(read_planes(sample), data[[2, 1, 0, 3]])


WORDS = [
    "Series001_z{z}_RAW_ch{c:02}.tif",
    "Series001_t0_z{z}_RAW_ch{c:02}.tif",
    "X_Crop001_z{z}_Processed001_RAW_ch{c:02}.tif",
    "Series001_z{z}_ch{c:02}_SV.tif",
    "Series001_t0_z{z}_ch{c:02}_sv.tif",
    "Series001_z{z}_s1_ch{c:02}.tif",
    "Series001_Lng_z{z}_ch{c:02}_Lng.tif",
    "image--L0000--Z0{z}--RAW--C{c:02}.ome.tif",
]
"""What LAS X calls files."""


@pytest.mark.parametrize("name", WORDS)
def test_z_planes_belong_together_whatever_word_stands_behind(tmp_path: Path, name: str) -> None:
    data = stack(z=3)
    write(tmp_path, [name.format(c=c, z=z) for c in range(4) for z in range(3)], data.reshape(-1, 40, 48))
    for rule, planes in (("'max'", data.max(1)), ("1", data[:, 1])):
        (sample,) = fields_of(by_pattern(tmp_path, "leica", f"z = {rule}", LEICA))
        np.testing.assert_array_equal(read_planes(sample), planes[[2, 1, 0, 3]])


@pytest.mark.parametrize(
    ("name", "field", "z"),
    [
        ("Series001_z0_ch00", "Series001", "0"),
        ("Series001_z0_RAW_ch00", "Series001_RAW", "0"),
        ("Series001_t0_z07_RAW_ch00_SV", "Series001_RAW_SV", "07"),
        ("X_Crop001_z3_Processed001_RAW_ch01", "X_Crop001_Processed001_RAW", "3"),
        ("X_Crop001_RAW_ch00", "X_Crop001_RAW", None),
        ("Series001_z0_ch00_s2", "Series001_s2", "0"),
        ("my_z5_exp_z0_ch00", "my_z5_exp", "0"),
        ("mouse_t1_DAPI_ch00", "mouse_t1_DAPI", None),
        ("image--X00--T0000--Z00--C00", "image--X00", "00"),
    ],
)
def test_the_words_of_leica_are_part_of_the_field(name: str, field: str, z: str | None) -> None:
    match = re.fullmatch(PATTERNS["leica"], name)
    assert match is not None
    assert field_of(match) == field
    assert match["z"] == z


def test_leica_files_in_display_colours_are_refused(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    for at in range(4):
        picture = np.zeros((40, 48, 3), np.uint8)
        picture[..., at % 3] = stack(dtype=np.uint8)[at, 0]
        tifffile.imwrite(tmp_path / "exports" / f"a_z0_RAW_ch{at:02}.tif", picture, photometric="rgb")
    (message,) = failures(by_pattern(tmp_path, "leica", channels=LEICA)).values()
    assert "3 samples a pixel" in message
    assert "raw numbers of each channel in grey" in message
    assert "damaged" not in message


def test_any_pattern_works_and_other_files_are_ignored(tmp_path: Path) -> None:
    data = stack()[:, 0]
    write(tmp_path, [f"exp_w{at}{name}_s1.tif" for at, name in enumerate(("DAPI", "GFP", "TRITC", "Cy5"))], data)
    write(tmp_path, ["exp_thumb_s1.png", ".exp_w0DAPI_s2.tif"], data[:2])
    (tmp_path / "exports" / "notes.txt").touch()
    channels = "[channels]\nred = ['tritc']\ngreen = ['gfp']\nblue = ['dapi']\nyellow = ['cy5']"
    (sample,) = fields_of(by_pattern(tmp_path, r"(?P<field>.+_w)\d(?P<channel>[A-Za-z]+\d?)_s1", channels=channels))
    np.testing.assert_array_equal(read_planes(sample), data[[2, 1, 0, 3]])


def test_each_file_of_a_four_file_ome_tiff_is_its_own_plane(tmp_path: Path) -> None:
    data = stack()[:, 0]
    for own, (name, plane) in enumerate(zip(colours("x", ".ome.tif"), data, strict=True)):
        path = write_ome_tiff(tmp_path / "exports" / name, plane[None], "CYX", Channel={"Name": ["one"]})
        siblings = "".join(
            f'<TiffData FirstC="{at}" IFD="0" PlaneCount="1"><UUID FileName="{other}">urn:uuid:{at}</UUID></TiffData>'
            for at, other in enumerate(colours("x", ".ome.tif"))
            if other != name
        )
        edit_description(
            path,
            ('SizeC="1"', 'SizeC="4"'),
            ("<TiffData ", f'<TiffData FirstC="{own}" '),
            ("</Pixels>", f"{siblings}</Pixels>"),
        )
    (sample,) = fields_of(by_pattern(tmp_path))
    np.testing.assert_array_equal(read_planes(sample), data)


def test_subfolders_are_searched_if_the_station_file_says_so(tmp_path: Path) -> None:
    write(tmp_path, [f"tag 1/{name}" for name in colours("x")], stack()[:, 0])
    assert not list(fields_of(by_pattern(tmp_path)))
    assert [sample.id for sample in fields_of(by_pattern(tmp_path, more="recursive = true"))] == ["tag 1/x"]


def test_planes_that_make_no_field_fail_alone(tmp_path: Path) -> None:
    data = stack()[:, 0]
    write(tmp_path, colours("good"), data)
    write(tmp_path, colours("size"), [*data[:3], data[3, :-1]])
    write(tmp_path, colours("depth"), [*data[:3], data[3].astype(np.uint8)])
    write(tmp_path, colours("twice"), data)
    write(tmp_path, ["twice_red.png"], data[:1])
    write(tmp_path, colours("few")[:3], data[:3])
    write(tmp_path, colours("torn"), data)
    torn = tmp_path / "exports" / "torn_blue.tif"
    torn.write_bytes(torn.read_bytes()[:300])
    tifffile.imwrite(tmp_path / "exports" / "many_red.tif", data, photometric="minisblack")
    write(tmp_path, colours("many")[1:], data[1:])
    for name, plane, pixel_size in zip(colours("scale"), data, (0.1, 0.1, 0.1, 0.2), strict=True):
        size = {key: pixel_size if isinstance(value, float) else value for key, value in MICROMETRES.items()}
        write_ome_tiff(tmp_path / "exports" / name, plane, "YX", **size, Channel={"Name": "whatever"})
    messages = failures(by_pattern(tmp_path))
    assert set(messages) == {"scale", "size", "depth", "twice", "few", "torn", "many"}
    assert "differ in size or depth (red 48x40 uint16" in messages["size"]
    assert "differ in size or depth" in messages["depth"]
    assert "twice_red.png" in messages["twice"]
    assert "no channel is yellow" in messages["few"]
    assert "there are 'blue', 'green', 'red'" in messages["few"]
    assert "torn_blue.tif" in messages["torn"]
    assert "1 pictures of 4 channels" in messages["many"]
    assert "pixels of 0.1 um and of 0.2 um" in messages["scale"]


def test_each_time_point_is_a_field_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, [f"a--T000{at // 2}--C{at:02}.tif" for at in range(4)], stack()[:, 0])
    write(tmp_path, [f"b--T0007--C{at:02}.tif" for at in range(4)], stack()[:, 0])
    write(tmp_path, [f"b--T0008--C{at:02}.tif" for at in range(4)], stack(seed=1)[:, 0])
    rules = by_pattern(tmp_path, "leica", channels=LEICA)
    found = {sample.id: sample for sample in fields_of(rules)}
    assert list(found) == ["a_t0000", "a_t0001", "b_t0007", "b_t0008"]
    assert set(failures(rules)) == {"a_t0000", "a_t0001"}
    for seed, name in enumerate(["b_t0007", "b_t0008"]):
        np.testing.assert_array_equal(read_planes(found[name]), stack(seed=seed)[[2, 1, 0, 3], 0])


def test_one_file_at_a_time_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = now = 0

    @contextmanager
    def counting(path: Path) -> Iterator[Any]:
        nonlocal most, now
        now += 1
        most = max(most, now)
        with tiff_stack.open_file(path, one_plane=True) as scenes:
            yield scenes
        now -= 1

    data = stack(z=9)
    write(tmp_path, [f"a--Z{z}--C{at:02}.tif" for at in range(4) for z in range(9)], data.reshape(-1, 40, 48))
    monkeypatch.setitem(scenes.OPENERS, ".tif", counting)
    (sample,) = fields_of(by_pattern(tmp_path, "leica", channels=LEICA))
    np.testing.assert_array_equal(read_planes(sample), data.max(1)[[2, 1, 0, 3]])
    assert (most, now) == (1, 0)


@pytest.mark.parametrize("field", ["..", ".", "", "a\\b", "a\nb"])
def test_a_field_whose_name_would_lead_elsewhere_is_refused(tmp_path: Path, field: str) -> None:
    try:
        write(tmp_path, [f"x{name}" for name in colours(field)], stack()[:, 0])
    except OSError:
        pytest.skip("this system has no such file names")
    rules = by_pattern(tmp_path, r"x(?P<field>(?:.|\n)*)_(?P<channel>\w+)")
    (name, message) = failures(rules).popitem()
    assert "can't be the name of a field" in message
    assert not {"\\", "\n"} & set(name)
    assert name.strip(".")


def test_a_group_knows_whether_its_channels_are_there(tmp_path: Path) -> None:
    write(tmp_path, colours("a"), stack()[:, 0])
    write(tmp_path, colours("b")[:3], stack()[:3, 0])
    for text, expected in (("", [True, False]), ("[without]\nyellow = 'empty'", [True, True])):
        rules = by_pattern(tmp_path, text=text)
        assert [group.is_complete(rules) for group in group_files(rules, rules.watch)] == expected
    rules = station(tmp_path)
    write_ome_tiff(tmp_path / "exports" / "c.ome.tif", stack())
    # Without a pattern, names that end with a colour are planes, and other files are stacks.
    complete = {group.id: group.is_complete(rules) for group in group_files(rules, rules.watch)}
    assert complete == {"a": True, "b": False, "c.ome.tif": True}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="can't be listed"):
        list(fields_of(by_pattern(tmp_path)))


def test_a_sample_with_a_source_names_its_files(tmp_path: Path) -> None:
    write(tmp_path, [f"a--Z{z}--C{at:02}.tif" for at in range(4) for z in range(2)], stack(z=2).reshape(-1, 40, 48))
    (sample,) = fields_of(by_pattern(tmp_path, "leica", channels=LEICA))
    assert isinstance(sample, Sample)
    assert sorted(file.name for file in sample.files) == [f"a--Z{z}--C{at:02}.tif" for z in range(2) for at in range(4)]


POSITIONS = r"(?P<field>exp)_s\d+_(?P<channel>red|green|blue|yellow)"


def test_positions_that_the_pattern_leaves_out_are_refused(tmp_path: Path) -> None:
    # Each of the two positions lacks what the other one has: together they look like a whole field.
    write(tmp_path, [f"exp_s{at // 2 + 1}_{colour}.tif" for at, colour in enumerate(COLOURS)], stack()[:, 0])
    message = failures(by_pattern(tmp_path, POSITIONS))["exp"]
    assert "'*_s1_*' and '*_s2_*'" in message
    assert "several positions or times" in message
    assert failures(by_pattern(tmp_path, POSITIONS.replace(r"exp)_s\d+", r"exp_s\d+)"))).keys() == {"exp_s1", "exp_s2"}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        # A number or a wavelength of the channel, and a serial number of the file.
        (r"(?P<field>exp)_w\d(?P<channel>[a-z]+)", ["exp_w1red", "exp_w2green", "exp_w3blue", "exp_w4yellow"]),
        (
            r"(?P<field>exp)_(?P<channel>[a-z]+)_\d+nm_z(?P<z>\d)",
            [f"exp_{name}_{400 + 50 * at}nm_z{z}" for at, name in enumerate(COLOURS) for z in (0, 1)],
        ),
        (
            r"(?P<field>exp)_z(?P<z>\d)_(?P<channel>[a-z]+)_[0-9A-F]+",
            [f"exp_z{z}_{name}_{hash_:X}" for hash_, (z, name) in enumerate((z, n) for z in (0, 1) for n in COLOURS)],
        ),
    ],
)
def test_what_belongs_to_a_channel_or_file_may_be_left_out(tmp_path: Path, pattern: str, names: list[str]) -> None:
    write(tmp_path, [f"{name}.tif" for name in names], [stack()[0, 0]] * len(names))
    assert failures(by_pattern(tmp_path, pattern)) == {}
    assert len(list(fields_of(by_pattern(tmp_path, pattern)))) == 1
