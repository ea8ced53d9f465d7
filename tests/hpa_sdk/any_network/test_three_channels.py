"""A network that does not take a channel answers fields without it, from every door, and never reads it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpa_sdk import Predictor
from hpa_sdk.cli import main
from hpa_sdk.fields.reading import UNUSED
from hpa_sdk.results.results_file import read_results
from tests.hpa_sdk.live.serving import serving
from tests.hpa_sdk.report.found import content_of
from tests.hpa_sdk.workstation.watching import make_station, wait_until, watching
from tests.hpa_sdk.workstation.written import stack, write_ome_tiff
from tests.small import make_field
from tests.stand_ins import THREE_CHANNELS, write_card, write_stand_in


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_stand_in(tmp_path / "three.onnx", THREE_CHANNELS)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return write_card(tmp_path / "three.toml", THREE_CHANNELS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three fields without a yellow plane."""
    rng = np.random.default_rng(4)
    for at in range(3):
        make_field(tmp_path / "fields", f"field-{at}", rng).files[3].unlink()
    return tmp_path / "fields"


def hpa(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_report_shows_their_pictures(model: Path, card: Path, folder: Path, tmp_path: Path, form: str) -> None:
    out, page = tmp_path / f"out.{form}", tmp_path / "report.html"
    done = hpa("predict", model, folder, "--card", card, "-o", out, "--resume", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    for result in read_results(out):
        assert (len(result.files), result.channels[3]) == (3, UNUSED)
    reported = hpa("report", out, "-o", page)
    assert reported.exit_code == 0
    assert "without a picture" not in reported.stderr
    assert all("size" in shown for shown in content_of(page)["fields"])
    # A run that resumes knows them too.
    assert "3 answers stood" in hpa("predict", model, folder, "--card", card, "-o", out, "--resume").stderr
    assert all(result.channels[3] == UNUSED for result in read_results(out))


def test_a_table_names_them(model: Path, card: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Id\nfield-2\nfield-0\n", encoding="utf-8")
    found = list(Predictor.load(model, card=card, device="cpu").stream(tmp_path / "train.csv", root=folder))
    expected = Predictor.load(model, card=card, device="cpu").predict(folder)
    for one, other in zip(found, (expected[2], expected[0]), strict=True):
        assert one.id == other.id
        np.testing.assert_array_equal(one.probabilities, other.probabilities)  # type: ignore[union-attr]


def test_a_hot_folder_does_not_wait_for_it_nor_answer_twice(model: Path, card: Path, tmp_path: Path) -> None:
    station = make_station(tmp_path, model, text=f"card = '{card}'")
    predictor = Predictor.load(model, card=card, device="cpu")
    sample = make_field(tmp_path / "elsewhere", "one", np.random.default_rng(1))
    for file in sample.files[:3]:
        shutil.copy(file, station.watch)
    with watching(station, predictor=predictor) as store:
        wait_until(lambda: store.get("one"))
        assert store.get("one").error is None  # type: ignore[union-attr]
        (number, result), *_ = store.after(0)
        shutil.copy(sample.files[3], station.watch)
        make_field(station.watch, "two", np.random.default_rng(2))
        wait_until(lambda: store.get("two"))
        time.sleep(0.5)
        assert next((at, found.id) for at, found in store.after(0)) == (number, "one")
        assert store.count() == 2
    assert len(result.files) == 3


def test_a_page_takes_three_files(model: Path, card: Path, folder: Path, tmp_path: Path) -> None:
    station = make_station(tmp_path, model, text=f"card = '{card}'")
    files = sorted(folder.glob("field-1_*.png"))
    expected = Predictor.load(model, card=card, device="cpu").predict(files[0])[0]
    with serving(station) as page:
        response = page.send(*files)
        assert response.status_code == 200, response.text
        (result,) = response.json()["results"]
        np.testing.assert_array_equal(np.asarray(result["probabilities"], np.float32), expected.probabilities)
        assert page.client.get(f"/pictures/composite/{result['id']}").status_code == 200
        refused = page.send(files[0], files[2])
        assert "green" in refused.text


def test_a_stack_is_read_without_it(model: Path, card: Path, tmp_path: Path) -> None:
    planes = stack(dtype=np.uint8)[:3]
    path = write_ome_tiff(tmp_path / "stacks" / "a.ome.tif", planes, Channel={"Name": ["red", "green", "blue"]})
    predictor = Predictor.load(model, card=card, device="cpu")
    (found,) = predictor.predict(path)
    (expected,) = predictor.predict_planes(planes[:, 0][[0, 2, 1]][None])
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert not any("yellow" in note for note in found.notes)


def test_a_station_file_can_t_leave_a_channel_out(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="'unused' takes the place of no channel"):
        make_station(tmp_path, model, text="[without]\nyellow = 'unused'")
