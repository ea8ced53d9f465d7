"""A picture in a report shows the answered files, or its caption says that this is unknown, or it is left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hpa_sdk.cli import main
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.preprocessing import Planes
from hpa_sdk.report import checked_planes, pictures
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.report.pictures import draw
from hpa_sdk.results.result_store import ResultStore
from tests.hpa_sdk.report.earlier import as_earlier_version
from tests.hpa_sdk.report.test_report import content_of, hpa
from tests.hpa_sdk.workstation.watching import make_station, wait_until, watching
from tests.small import make_field, random_planes, write_planes

LIKE = "found by name: same size and time as what was answered"
UNCHECKED = "found by name, not checked"
CHANGED = "the files were changed since this field was answered"


def predict(model: Path, output: Path, *paths: object) -> Path:
    asked = ["predict", str(model), *map(str, paths), "-o", str(output), "--device", "cpu"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    return output


def reported(results: Path, *options: object) -> list[Any]:
    """Make a report, and give its fields."""
    page = results.with_name("report.html")
    result = hpa(results, "-o", page, *options)
    assert result.exit_code in {0, 1}, result.stderr
    fields: list[Any] = content_of(page)["fields"]
    return fields


def captions(found: list[Any]) -> set[str]:
    return {field.get("caption", "") if "size" in field else "no picture" for field in found}


def drawn_from(monkeypatch: pytest.MonkeyPatch) -> list[Planes]:
    """Return the list to which all planes will be added that are drawn from now on."""
    drawn: list[Planes] = []

    def keep(planes: Planes, *, side: int) -> pictures.Picture:
        drawn.append(planes)
        return draw(planes, side=side)

    monkeypatch.setattr(pictures, "draw", keep)
    return drawn


@pytest.fixture
def experiments(tmp_path: Path) -> list[Path]:
    """Two working folders with fields of one name, of other pixels each."""
    for at in (1, 2):
        make_field(tmp_path / str(at) / "fields", "a", np.random.default_rng(at))
    return [tmp_path / "1", tmp_path / "2"]


def predicted_in(folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return predict(model, folder.parent / "results.csv", "fields")


def test_planes_are_those_of_the_folder_of_the_run(
    experiments: list[Path], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = predicted_in(experiments[0], model, monkeypatch)
    monkeypatch.chdir(experiments[1])
    drawn = drawn_from(monkeypatch)
    assert captions(reported(results)) == {""}
    assert drawn
    expected = random_planes(np.random.default_rng(1))
    assert all((planes == expected).all() for planes in drawn)


def test_a_run_s_own_folder_is_where_its_paths_begin(
    experiments: list[Path], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = predicted_in(experiments[0], model, monkeypatch)
    (experiments[0] / "fields").rename(experiments[0] / "moved")
    monkeypatch.chdir(experiments[1])
    assert captions(reported(results)) == {"no picture"}
    (experiments[0] / "moved").rename(experiments[0] / "fields")
    assert captions(reported(results)) == {""}


def test_earlier_provenance_shows_with_a_caption(
    experiments: list[Path], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = predicted_in(experiments[0], model, monkeypatch)
    as_earlier_version(results)
    assert captions(reported(results)) == {UNCHECKED}


def test_planes_that_were_replaced_are_not_shown(
    fields: list[Sample], model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fields[0].files[0].parent
    results = predict(model, tmp_path / "results.csv", folder)
    make_field(folder, "field-3", np.random.default_rng(99))
    for options in ((), ("--planes", folder)):
        found = reported(results, *options)
        assert captions(found[:3] + found[4:]) == {""}
        assert "size" not in found[3]
        assert CHANGED in found[3]["picture_error"]
    assert "1 fields are shown without a picture; the first, field-3" in caplog.text


def copied(fields: list[Sample], folder: Path, copy: Callable[[Path, Path], Any]) -> None:
    folder.mkdir()
    for file in (file for sample in fields for file in sample.files):
        copy(file, folder / file.name)
        file.unlink()


@pytest.mark.parametrize(
    ("copy", "caption"), [(shutil.copy2, LIKE), (shutil.copyfile, UNCHECKED)], ids=["faithful", "other time"]
)
def test_copies_are_shown_with_what_is_known_of_them(
    fields: list[Sample], model: Path, tmp_path: Path, copy: Callable[[Path, Path], Any], caption: str
) -> None:
    results = predict(model, tmp_path / "results.csv", fields[0].files[0].parent)
    copied(fields, tmp_path / "copy", copy)
    assert captions(reported(results)) == {"no picture"}
    (shown,) = captions(reported(results, "--planes", tmp_path / "copy"))
    assert shown.startswith(caption)
    as_earlier_version(results)
    assert captions(reported(results, "--planes", tmp_path / "copy")) == {UNCHECKED}


def test_other_files_where_the_run_looked_are_not_shown(fields: list[Sample], model: Path, tmp_path: Path) -> None:
    results = predict(model, tmp_path / "results.csv", fields[0].files[0].parent)
    for sample in fields:
        for file in sample.files:
            file.unlink()
        planes = random_planes(np.random.default_rng(3))
        write_planes(sample.files[0].parent, sample.id, planes, ".tif")
    found = reported(results)
    assert captions(found) == {"no picture"}
    assert "not known to be the same" in found[0]["picture_error"]


def test_a_faithful_copy_takes_the_place_of_changed_files(fields: list[Sample], model: Path, tmp_path: Path) -> None:
    folder = fields[0].files[0].parent
    results = predict(model, tmp_path / "results.csv", folder)
    shutil.copytree(folder, tmp_path / "copy")
    make_field(folder, "field-3", np.random.default_rng(99))
    found = reported(results, "--planes", tmp_path / "copy")
    assert [field.get("caption", "") for field in found] == ["", "", "", LIKE, ""]


def test_each_of_several_fields_of_a_name_has_its_own(experiments: list[Path], model: Path, tmp_path: Path) -> None:
    results = predict(model, tmp_path / "results.csv", *(folder / "fields" for folder in experiments))
    found = reported(results)
    assert [field["id"] for field in found] == ["1/fields/a", "2/fields/a"]
    assert captions(found) == {""}


def test_the_pixels_are_of_the_read_that_was_checked(
    fields: list[Sample], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = predict(model, tmp_path / "results.csv", fields[0].files[0].parent)

    def reading(sample: Sample, channels: Collection[str]) -> Any:
        read = read_field(sample, channels)
        make_field(sample.files[0].parent, sample.id, np.random.default_rng(99))
        return read

    with monkeypatch.context() as patched:
        patched.setattr("hpa_sdk.report.build.choose_side", lambda *_, **__: 64)
        patched.setattr(checked_planes, "read_field", reading)
        drawn = drawn_from(patched)
        assert captions(reported(results)) == {""}
    other = random_planes(np.random.default_rng(99))
    assert drawn
    assert not any((planes == other).all() for planes in drawn)
    assert captions(reported(results)) == {"no picture"}


def test_results_of_a_watch_are_held_to_their_files(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    for name in ("a", "b"):
        make_field(station.watch, name, np.random.default_rng(1))
    with watching(station) as store:
        wait_until(lambda: store.count() == 2)
    make_field(station.watch, "b", np.random.default_rng(2))
    found = {field["id"]: field for field in reported(station.output)}
    assert captions([found["a"]]) == {""}
    assert CHANGED in found["b"]["picture_error"]


def test_results_of_an_earlier_watch_have_a_caption(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    make_field(station.watch, "a", np.random.default_rng(1))
    with watching(station) as store:
        wait_until(lambda: store.newest(1))
    with ResultStore(station.output) as store:
        store.add(*(replace(result, stamps=()) for result in store.newest(1)))
    assert captions(reported(station.output)) == {UNCHECKED}


def test_the_contact_sheet_shows_caption_and_reason(fields: list[Sample], model: Path, tmp_path: Path) -> None:
    def sheet(name: str) -> Any:
        make_report(Sources(results=results, planes=[tmp_path / "copy"]), contact_sheet=tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            return np.asarray(picture.convert("RGB"), int)

    results = predict(model, tmp_path / "results.csv", fields[0].files[0].parent)
    shutil.copytree(fields[0].files[0].parent, tmp_path / "copy")
    own = sheet("own")
    for sample in fields:
        for file in sample.files:
            file.unlink()
    like = sheet("like")
    differs = (own != like).any(axis=2)
    assert differs.any()
    rows = np.flatnonzero(differs.any(axis=1))
    assert rows.min() > 40  # only below the title, on the lower part of the pictures
    assert rows.max() < 40 + 12 + 208
