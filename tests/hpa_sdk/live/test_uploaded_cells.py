"""Fields that are sent to the page get their cells as fields of the watched folder do, or the same reasons."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import numpy as np
import pytest
from PIL import Image
from tifffile import TiffWriter

from hpa_sdk.cells import CellAnswers
from hpa_sdk.cells.cells_file import read_cells
from hpa_sdk.cells.classical import ClassicalSegmenter
from hpa_sdk.errors import DeviceError, OutputError, PlaneError
from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.live.result_view import ResultView
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.results.result_store import UPLOADS, ResultStore
from hpa_sdk.workstation.field_cells import CELLS_FOLDER
from hpa_sdk.workstation.station import Cells, Station
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.hpa_sdk.live.celled import cells, sent, tables, with_cells
from tests.hpa_sdk.live.serving import TOKEN, Page, serving
from tests.hpa_sdk.workstation.watching import make_station, wait_until
from tests.small import make_model, write_planes

NO_BLUE = Preprocessing(channels=("red", "green", "yellow"), blend=((1, 0, 0), (0, 1, 0), (0, 0, 1)))


@pytest.fixture
def celled(station: Station) -> Iterator[Page]:
    """A page that answers for cells, and watches nothing."""
    with serving(with_cells(station)) as served:
        yield served


def without_blue(sample: Sample) -> list[Path]:
    return [file for file in sample.files if "blue" not in file.name]


def test_a_sent_field_has_the_cells_of_a_watched_one(tmp_path: Path, model: Path) -> None:
    station = with_cells(make_station(tmp_path, model))
    with serving(station, watches=True) as page:
        watched = write_planes(station.watch, "Zelle ö", draw(FOUR))
        result = sent(page, write_planes(tmp_path / "mine", "Zelle ö", draw(FOUR)))
        wait_until(lambda: page.get("/health")["results"] == 2)
        own = page.get("/results/Zelle ö")
        assert result["id"].startswith(f"{UPLOADS}/")
        assert result["cells"] == own["cells"]
        found, others = cells(page, result), cells(page, own)
        assert page.client.get(f"/pictures/composite/{result['id']}", params={"whole": True}).status_code == 200
        text = (station.output / CELLS_FOLDER / f"{result['id']}.csv").read_text(encoding="utf-8")
    assert {row["id"] for row in csv.DictReader(text.splitlines())} == {result["id"]}
    with Predictor.load(model, device="cpu") as predictor:
        (answer,) = predictor.cells(watched)
    assert isinstance(answer, CellAnswers)
    assert len(found) == len(answer.answers) == len(FOUR)
    for one, other, prediction in zip(found, others, answer.answers, strict=True):
        assert not isinstance(prediction, Failure)
        assert one["outline"] == other["outline"]
        assert one["indices"] == other["indices"] == [int(label) for label in prediction]
        np.testing.assert_allclose(one["probabilities"], prediction.probabilities, atol=1e-6)


def test_without_the_table_a_sent_field_has_no_cells(page: Page, tmp_path: Path) -> None:
    result = sent(page, write_planes(tmp_path / "mine", "A01", draw(FOUR)))
    response = page.client.get(f"/cells/{result['id']}")
    assert (result["cells"], response.status_code) == (None, 404)
    assert "--cells" in response.json()["remedy"]
    assert tables(page) == []


def test_fields_sent_at_once_get_each_their_own_cells(celled: Page, tmp_path: Path) -> None:
    samples = [write_planes(tmp_path / f"{count}", "A01", draw(FOUR[:count])) for count in (1, 2, 3, 4)]
    with ThreadPoolExecutor(len(samples)) as clients:
        results = list(clients.map(lambda sample: sent(celled, sample), samples))
    assert [len(cells(celled, result)) for result in results] == [1, 2, 3, 4]
    assert [result["cells"]["cells"] for result in results] == [1, 2, 3, 4]


def test_a_sent_field_without_nuclei_says_so(tmp_path: Path, small_model: Path) -> None:
    station = make_station(tmp_path, small_model, files='pattern = "hpa"\npixel_size = 0.32')
    dust = draw([])
    dust[2, 100:108, 100:108] = dust[2, 200:208, 300:308] = 255  # 6.6 square micrometres each
    with serving(with_cells(station)) as page:
        empty = sent(page, write_planes(tmp_path / "mine", "empty", draw([])))
        assert "no nucleus was found in the blue plane" in empty["cells"]["error"]
        assert cells(page, empty) == []
        small = sent(page, write_planes(tmp_path / "mine", "dust", dust))
        assert "2 bright parts of the blue plane too small for a nucleus" in small["cells"]["error"]


def test_a_result_says_how_its_cells_were_found(tmp_path: Path, small_model: Path) -> None:
    planes = draw(FOUR)
    planes[[0, 3]] = 0
    with serving(with_cells(make_station(tmp_path, small_model))) as page:
        result = sent(page, write_planes(tmp_path / "mine", "dark", planes))
        table = read_cells(page.station.output / CELLS_FOLDER / f"{result['id']}.csv")
        size, borders = result["cells"]["notes"]
        assert "the pixel size is unknown" in size
        assert borders == "neither the red nor the yellow plane shows cells: borders lie between the nuclei"
        assert all({size, borders} <= set(one.result.notes) for one in table)
        found = page.get(f"/cells/{quote(result['id'])}")
        assert found["counts"]["notes"] == [size, borders]
        # Of a field without cells, the reason says it all.
        empty = sent(page, write_planes(tmp_path / "mine", "empty", draw([])))
        assert (empty["cells"]["notes"], "no nucleus was found" in empty["cells"]["error"]) == ([], True)


def test_a_sent_field_without_blue_is_refused_or_says_so(tmp_path: Path, small_model: Path) -> None:
    planes = without_blue(write_planes(tmp_path / "mine", "A01", draw(FOUR)))
    with serving(with_cells(make_station(tmp_path, small_model))) as page:
        response = page.send(*planes)
        assert (response.status_code, "no channel is blue" in response.json()["what"]) == (422, True)
        assert (page.kept(), tables(page)) == ([], [])
    empty = make_station(tmp_path, small_model, text='[cells]\n[without]\nblue = "empty"')
    with serving(empty) as page:
        (result,) = page.send(*planes).json()["results"]
        assert result["error"] is None
        assert "no nucleus was found in the blue plane" in result["cells"]["error"]


@pytest.mark.parametrize("watches", [False, True])
def test_a_model_that_takes_no_blue_plane_has_cells(tmp_path: Path, watches: bool) -> None:
    model = make_model(tmp_path / "three.onnx", preprocessing=NO_BLUE)
    station = with_cells(make_station(tmp_path, model))
    with serving(station, watches=watches) as page:
        if watches:
            sample = write_planes(station.watch, "A01", draw(FOUR))
            wait_until(lambda: page.get("/health")["results"])
            result = page.get("/results/A01")
        else:
            sample = write_planes(tmp_path / "mine", "A01", draw(FOUR))
            result = sent(page, sample)
        assert (result["error"], result["cells"]["error"]) == (None, "")
        assert len(cells(page, result)) == len(FOUR)
        # The field itself is answered without that plane, and its picture is the answer's.
        assert all("blue" not in file for file in result["files"])
        assert page.client.get(f"/pictures/composite/{result['id']}").status_code == 200
        (bare,) = page.send(*without_blue(sample)).json()["results"]
        assert bare["probabilities"] == result["probabilities"]
        assert "no channel is blue" in bare["cells"]["error"]


def test_cells_that_can_t_be_found_harm_nothing_else(
    celled: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = ClassicalSegmenter.segment

    def fail_one(self: ClassicalSegmenter, planes: Any, *, id: str, pixel_size: float | None) -> Any:  # noqa: A002
        if id == "bad":
            raise PlaneError("the cells can't be told apart", where=id, remedy="Give a mask.")
        return segment(self, planes, id=id, pixel_size=pixel_size)

    monkeypatch.setattr(ClassicalSegmenter, "segment", fail_one)
    samples = [write_planes(tmp_path / "mine", name, draw(FOUR)) for name in ("good", "bad", "next")]
    with ThreadPoolExecutor(3) as clients:
        good, bad, following = clients.map(lambda sample: sent(celled, sample), samples)
    assert "can't be told apart" in bad["cells"]["error"]
    assert bad["error"] is None
    assert bad["probabilities"] == good["probabilities"]
    assert cells(celled, bad) == []
    assert len(cells(celled, good)) == len(cells(celled, following)) == len(FOUR)


def test_the_white_level_counts_for_cells_of_sent_fields(tmp_path: Path, model: Path) -> None:
    deep = write_planes(tmp_path / "mine", "A01", draw(FOUR).astype(np.uint16) * 16)
    with serving(with_cells(make_station(tmp_path, model, files='pattern = "hpa"\nwhite = 4095'))) as page:
        found = cells(page, sent(page, deep))
    with Predictor.load(model, device="cpu", white=4095) as predictor:
        (answer,) = predictor.cells(deep)
    assert isinstance(answer, CellAnswers)
    assert len(found) == len(FOUR)
    for one, prediction in zip(found, answer.answers, strict=True):
        assert not isinstance(prediction, Failure)
        np.testing.assert_allclose(one["probabilities"], prediction.probabilities, atol=1e-6)


def test_the_mask_of_a_sent_field_is_found_by_its_own_id(station: Station, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    labels = np.zeros((384, 384), np.uint8)
    labels[50:110, 50:110] = 5
    Image.fromarray(labels).save(masks / "A01.png")
    with serving(msgspec.structs.replace(station, cells=Cells(masks=masks))) as page:
        result = sent(page, write_planes(tmp_path / "mine", "A01", draw(FOUR)))
        assert [one["cell"] for one in cells(page, result)] == [5]
        other = sent(page, write_planes(tmp_path / "mine", "B02", draw(FOUR)))
        assert "B02: the field has no mask" in other["cells"]["error"]
        assert UPLOADS not in other["cells"]["error"]


def test_each_scene_of_a_sent_stack_has_its_cells(tmp_path: Path, small_model: Path) -> None:
    path = tmp_path / "two.ome.tif"
    with TiffWriter(path, ome=True) as file:
        for count in (1, 3):
            file.write(draw(FOUR[:count]), metadata={"axes": "CYX", "Channel": {"Name": [*map(str, Channel)]}})
    with serving(with_cells(make_station(tmp_path, small_model))) as page:
        results = page.send(path).json()["results"]
        assert [result["id"].rpartition("/")[2] for result in results] == ["two.ome.tif#1", "two.ome.tif#2"]
        assert [len(cells(page, result)) for result in results] == [1, 3]


def test_cells_of_sent_fields_need_the_token(station: Station, tmp_path: Path) -> None:
    with serving(with_cells(station), token=TOKEN) as page:
        result = sent(page, write_planes(tmp_path / "mine", "A01", draw(FOUR)))
        assert len(cells(page, result)) == len(FOUR)
        assert httpx.get(f"{page.url}/cells/{result['id']}", timeout=60).status_code == 401


def test_a_device_that_fails_leaves_nothing_behind(
    celled: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Iterator[CellAnswers]:
        raise DeviceError("the device is lost", remedy="Start again.")
        yield

    sample = write_planes(tmp_path / "mine", "A01", draw(FOUR))
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "cells", fail)
        response = celled.send(*sample.files)
    assert (response.status_code, response.json()["what"]) == (503, "the device is lost")
    assert (celled.kept(), tables(celled), celled.get("/health")["results"]) == ([], [], 0)
    assert len(cells(celled, sent(celled, sample))) == len(FOUR)


def test_a_stored_result_keeps_its_planes_and_tables(
    celled: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OutputError("the ledger can't be read", remedy="Wait.")

    sample = write_planes(tmp_path / "mine", "A01", draw(FOUR))
    with monkeypatch.context() as patch:
        patch.setattr(ResultView, "get", fail)
        assert celled.send(*sample.files).status_code == 503
    (result,) = celled.get("/results")["results"]
    assert sorted(file.name for file in celled.kept()) == sorted(file.name for file in sample.files)
    assert len(cells(celled, result)) == len(FOUR)


def test_a_result_that_can_t_be_stored_leaves_nothing(
    celled: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OutputError("the disk is full", remedy="Remove files.")

    sample = write_planes(tmp_path / "mine", "A01", draw(FOUR))
    monkeypatch.setattr(ResultStore, "add", fail)
    assert celled.send(*sample.files).status_code == 503
    assert (celled.kept(), tables(celled), celled.get("/health")["results"]) == ([], [], 0)


def test_files_that_change_before_their_cells_are_refused(
    celled: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Predictor.cells

    def replaced(self: Predictor, samples: list[Sample], **options: Any) -> Any:
        for file in samples[0].files:
            Image.fromarray(np.zeros((384, 384), np.uint8) + 7).save(file)
        write_planes(samples[0].files[0].parent, "A01", draw(FOUR, seed=1))
        return find(self, samples, **options)

    monkeypatch.setattr(Predictor, "cells", replaced)
    response = celled.send(*write_planes(tmp_path / "mine", "A01", draw(FOUR)).files)
    assert (response.status_code, "were changed here" in response.json()["what"]) == (409, True)
    assert (celled.kept(), tables(celled), celled.get("/health")["results"]) == ([], [], 0)
