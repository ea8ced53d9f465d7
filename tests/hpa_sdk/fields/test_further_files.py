"""A field that is spread over several files is bound to all of them, in a run, a watch, a page and a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpa_sdk import Predictor
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.live.field_files import sample_of
from hpa_sdk.results.result import Result
from hpa_sdk.workstation import arrivals
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.hpa_sdk.fields.spread_ome_tiff import write
from tests.hpa_sdk.workstation.watching import make_station, rows, settled, wait_until, watching
from tests.hpa_sdk.workstation.written import CHANNELS, ORDER, stack, station
from training.data.dataset import read_dataset
from training.data.prepared import DecodedImages, prepare

FILES = f"white = 4095\n{CHANNELS}"


def answer_to(model: Path, planes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """What the model says to four channels in the microscope's order."""
    predictor = Predictor.load(model, device="cpu", white=4095.0)
    return np.asarray(predictor.predict_planes(planes[list(ORDER)][None])[0].probabilities)


def replace_channel(folder: Path, channel: int) -> npt.NDArray[Any]:
    """Write one channel again with other pixels, and give what the field is then."""
    written = write(folder / "again", seed=9)[channel]
    (folder / "exports" / written.name).write_bytes(written.read_bytes())
    planes: npt.NDArray[Any] = stack()[:, 0]
    planes[channel] = stack(seed=9)[channel, 0]
    return planes


def test_parts_have_no_rows_and_name_their_field(tmp_path: Path) -> None:
    paths = write(tmp_path)
    rules = station(tmp_path, channels=CHANNELS)
    (sample,) = find_samples(tmp_path / "exports", rules=rules)
    assert sample.files == tuple(paths)
    found = find_all([str(paths[0]), str(paths[2])], recursive=False, root=None, rules=rules)
    (failure,) = (item for item in found if item.id != sample.id)
    assert isinstance(failure.error, PlaneError)  # type: ignore[union-attr]
    assert failure.error.remedy.endswith("name a_C0.ome.tif for the field.")  # type: ignore[union-attr]


def test_a_resumed_run_detects_a_rewritten_further_file(tmp_path: Path, model: Path) -> None:
    write(tmp_path)
    station(tmp_path, channels=CHANNELS)
    arguments = (tmp_path / "exports", "-o", tmp_path / "out.jsonl", "--station", tmp_path / "station.toml")
    for again in (False, True):
        result = predict(model, *arguments, "--white", "4095", *RESUMED)
        assert result.exit_code == 0, result.stderr
        assert ("1 answer stood in the ledger" in result.stderr) == again
    planes = replace_channel(tmp_path, 2)
    assert predict(model, *arguments, "--white", "4095", *RESUMED).exit_code == 0
    (row,) = rows_of(tmp_path / "out.jsonl")
    np.testing.assert_allclose([*row["probabilities"].values()], answer_to(model, planes), rtol=1e-6)
    assert [Path(file).name for file in row["files"]] == [f"a_C{at}.ome.tif" for at in range(4)]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("channel", [0, 2])
def test_a_watch_answers_a_spread_field_again_after_any_write(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, channel: int
) -> None:
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    place = make_station(tmp_path, model, files=FILES)
    write(tmp_path)
    results: list[Result] = []
    with watching(place, on_result=results.append) as store:
        wait_until(lambda: store.count() == 1)
        settled()
        assert [result.id for result in results] == ["a_C0.ome.tif"]
        planes = replace_channel(tmp_path, channel)
        expected = answer_to(model, planes)
        wait_until(lambda: np.allclose(store.newest(1)[0].probabilities, expected, rtol=1e-6))
        settled()
        (result,) = store.newest(9)
        assert len(results) == 2
        again = sample_of(result, place, (place.watch,))
        np.testing.assert_array_equal(again.source.look().planes, planes[list(ORDER)])  # type: ignore[union-attr]
    with watching(place, on_result=results.append):
        settled()
    assert len(results) == 2
    assert [row["id"] for row in rows(place.output)] == ["a_C0.ome.tif"]


@pytest.mark.parametrize("late", [0, 3])
def test_a_file_that_comes_late_ends_the_failures_of_the_others(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    place = make_station(tmp_path, model, files=FILES)
    paths = write(tmp_path)
    content = paths[late].read_bytes()
    paths[late].unlink()
    with watching(place) as store:
        wait_until(lambda: store.count(failed=True) >= (1 if late else 3))
        paths[late].write_bytes(content)
        wait_until(lambda: store.count() - store.count(failed=True) == 1)
        wait_until(lambda: store.count() == 1)
        (result,) = store.newest(9)
    np.testing.assert_allclose(result.probabilities, answer_to(model, stack()[:, 0]), rtol=1e-6)
    assert [path.name for path in place.output.glob("*.json")] == ["a_C0.ome.tif.json"]


def test_prepared_images_belong_to_all_files_of_a_field(tmp_path: Path) -> None:
    called = ("blue", "green", "red", "yellow")
    paths = write(tmp_path, called=called)
    folder = tmp_path / "exports"
    (folder / "train.csv").write_text("Id,Target\na_C0.ome.tif,3\n", encoding="utf-8")
    dataset = read_dataset(folder, white=4095.0)
    assert dataset.samples[0].files == tuple(paths)
    images = []
    for seed in (0, 9):
        kept = [path.read_bytes() for path in paths[:3]]
        write(tmp_path, called=called, seed=seed)
        for path, content in zip(paths, kept, strict=False):
            path.write_bytes(content)
        images.append(prepare(dataset, tmp_path / "images")[np.arange(1)])
        decoded = DecodedImages(dataset.samples, white=4095.0)[np.arange(1)]
        np.testing.assert_allclose(images[-1], decoded, atol=1e-5)
    assert not np.allclose(images[0], images[1], atol=1e-3)
