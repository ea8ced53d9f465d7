"""``hpa station`` writes a station file and reports how files would be read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpa_sdk.cli import main
from tests.hpa_sdk.workstation.written import MICROMETRES, stack, station, write_ome_tiff
from tests.small import CARD, make_model


def hpa(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["station", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model, a folder for answers and a station file."""
    make_model(tmp_path / "small.onnx")
    (tmp_path / "answers").mkdir()
    station(tmp_path)
    return tmp_path


def test_init_writes_once(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    assert hpa("init", path).exit_code == 0
    assert "white = 4095" in path.read_text(encoding="utf-8")
    second = hpa("init", path)
    assert second.exit_code == 2
    assert "already" in second.stderr


def test_check_reports_each_channel(place: Path) -> None:
    data = stack(z=3)
    write_ome_tiff(place / "exports" / "x.ome.tif", data, **MICROMETRES)
    result = hpa("check", place / "station.toml")
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == [
        "field",
        "channel",
        "file",
        "read",
        "as",
        "pixels",
        "bits",
        "um/pixel",
        "white",
        "brightest",
    ]
    assert [line.split() for line in lines[:4]] == [
        [
            *("x.ome.tif", colour, "x.ome.tif", *f"'{name}', maximum of 3 z planes".split()),
            *("48x40", "16", "0.1", "4095", str(data[at].max())),
        ]
        for colour, name, at in (
            ("red", "Microtubules", 2),
            ("green", "Alexa 488", 1),
            ("blue", "DAPI", 0),
            ("yellow", "ER", 3),
        )
    ]
    assert all(line.startswith("note: x.ome.tif: ") for line in lines[4:])


def test_check_reports_good_and_failing_fields(place: Path) -> None:
    write_ome_tiff(place / "exports" / "good.ome.tif", stack())
    write_ome_tiff(place / "exports" / "names.ome.tif", stack(), Channel={"Name": ["a", "b", "c", "d"]})
    (place / "exports" / "torn.tif").write_bytes(b"II*\0")
    result = hpa("check", place / "station.toml")
    assert result.exit_code == 1
    failures = [line for line in result.stdout.splitlines() if line.startswith("FAILS: ")]
    assert [line.split()[1] for line in failures] == ["names.ome.tif:", "torn.tif:"]
    assert "good.ome.tif  red" in result.stdout
    assert "2 of the above would fail" in result.stderr


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda place: (place / "small.onnx").unlink(), "FAILS: model: "),
        (lambda place: (place / "answers").rmdir(), "FAILS: output: "),
        (lambda place: (place / "exports").rename(place / "other"), "FAILS: watch: "),
        (lambda place: (place / "exports" / "x.ome.tif").unlink(), "no file here"),
        (lambda place: station(place, files=""), "nobody said which intensity is white"),
    ],
)
def test_missing_files_or_a_missing_white_level_are_reported(place: Path, spoil: object, message: str) -> None:
    write_ome_tiff(place / "exports" / "x.ome.tif", stack())
    spoil(place)  # type: ignore[operator]
    result = hpa("check", place / "station.toml")
    assert result.exit_code == 1
    assert message in result.stdout


def test_a_white_level_that_does_not_fit_is_doubted(place: Path) -> None:
    write_ome_tiff(place / "exports" / "x.ome.tif", stack())
    for white, doubt in (("1000", "brighter than white"), ('"dtype"', "is files.white right?")):
        station(place, files=f"white = {white}")
        result = hpa("check", place / "station.toml")
        assert result.exit_code == 0
        assert doubt in result.stdout
    write_ome_tiff(place / "exports" / "x.ome.tif", np.full((4, 1, 40, 48), 255, np.uint8))
    assert "doubt" not in hpa("check", place / "station.toml").stdout


def test_a_percentile_is_reported_without_a_warning(place: Path) -> None:
    data = stack()
    write_ome_tiff(place / "exports" / "x.ome.tif", data)
    station(place, files='white = "percentile"')
    printed = hpa("check", place / "station.toml").stdout
    assert f"{np.percentile(data[2], 99.9):g}" in printed.splitlines()[1].split()
    assert "brighter than white" not in printed


def test_the_scale_of_the_model_s_card_counts(place: Path) -> None:
    make_model(place / "small.onnx", training=replace(CARD.training, pixel_size=0.2, field_side=24))
    write_ome_tiff(place / "exports" / "x.ome.tif", stack(), **MICROMETRES)
    printed = hpa("check", place / "station.toml").stdout
    assert "note: x.ome.tif: resized by 0.5 to the pixel size of training" in printed
    station(place, "[trained]\npixel_size = 0.1\nside = 40")
    assert "resized" not in hpa("check", place / "station.toml").stdout


def test_another_folder_can_be_checked(place: Path) -> None:
    write_ome_tiff(place / "elsewhere ö" / "x.ome.tif", stack())
    assert hpa("check", place / "station.toml", place / "elsewhere ö").exit_code == 0


def test_a_station_file_that_can_t_be_read_ends_with_exit_code_2(tmp_path: Path) -> None:
    result = hpa("check", tmp_path / "gone.toml")
    assert result.exit_code == 2
    assert "hpa station init" in result.stderr
