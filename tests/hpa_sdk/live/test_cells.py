"""The cells of a field over HTTP: those of the very answer that is asked for, or a reason."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from hpa_sdk.cells.outlines import colour_of
from hpa_sdk.cells.summary import wilson_interval
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.cells.label_images import discs
from tests.hpa_sdk.cells.made_answers import answers_of
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.hpa_sdk.live.celled import add_field, with_cells, write_table
from tests.hpa_sdk.live.serving import TOKEN, Page, add_results, serving
from tests.hpa_sdk.workstation.watching import make_station, wait_until
from tests.small import write_planes


def refusal(page: Page, path: str, **query: int | str) -> tuple[int, str]:
    response = page.client.get(path, params=query)
    return response.status_code, response.json()["what"]


def test_the_cells_of_a_field_are_those_of_its_table(station: Station) -> None:
    answers = add_field(station, "plate/Zelle ö")
    cells = answers.segmentation.cells
    with serving(with_cells(station)) as page:
        (result,) = page.get("/results")["results"]
        found = page.get("/cells/plate/Zelle ö", number=result["number"], store=result["store"])
        assert page.get("/health")["cells"]
        assert page.get("/health")["cell_colours"][3] == "rgb({} {} {})".format(*colour_of(3))
    assert found["counts"] == result["cells"]
    assert [one["cell"] for one in found["cells"]] == [cell.number for cell in cells]
    for one, cell, answer in zip(found["cells"], cells, answers.answers, strict=True):
        xs, ys = one["outline"][0][::2], one["outline"][0][1::2]
        top, left, bottom, right = cell.box
        assert (min(xs), min(ys)) >= (left - 1, top - 1)
        assert max(xs) <= right + 1
        assert max(ys) <= bottom + 1
        assert one["border"] == cell.border
        if isinstance(answer, Failure):
            assert "no nucleus" in one["error"]
        else:
            assert one["indices"] == [int(label) for label in answer]
            np.testing.assert_allclose(one["probabilities"], answer.probabilities, atol=1e-6)


def test_the_result_counts_the_cells(station: Station) -> None:
    answers = add_field(station, "A01", cells=40)
    pairs = zip(answers.segmentation.cells, answers.answers, strict=True)
    inside = [answer for cell, answer in pairs if not cell.border and isinstance(answer, Prediction)]
    expected = Counter(int(label) for answer in inside for label in answer)
    with serving(with_cells(station)) as page:
        counts = page.get("/results/A01")["cells"]
    assert counts["cells"] == len(inside)
    assert (counts["height"], counts["width"]) == answers.segmentation.labels.shape
    assert {one["index"]: one["shown"] for one in counts["shares"] if one["shown"]} == expected
    for one in counts["shares"]:
        low, high = wilson_interval(expected[one["index"]], len(inside))
        assert (one["low"], one["high"]) == pytest.approx((low, high), abs=1e-4)
        assert (one["index"] in counts["mixed"]) == (low > 0.05 and high < 0.95)


def test_fields_with_mixed_cells_are_found(station: Station) -> None:
    add_field(station, "one", cells=1)  # all or none
    add_field(station, "many", cells=40)
    add_results(station, 2)
    with serving(with_cells(station)) as page:
        (found,) = page.get("/results", mixed=True)["results"]
        mixed = found["cells"]["mixed"]
        assert found["id"] == "many"
        other = next(index for index in range(28) if index not in mixed)
        assert [one["id"] for one in page.get("/results", mixed=True, label=mixed[0])["results"]] == ["many"]
        assert page.get("/results", mixed=True, label=other)["results"] == []
        assert len(page.get("/results")["results"]) == 4


def test_cells_of_another_answer_are_refused(station: Station) -> None:
    answers = add_field(station, "A01")
    with serving(with_cells(station)) as page:
        number = page.get("/results/A01")["number"]
        assert refusal(page, "/cells/A01", number=number + 1)[0] == 409
        assert refusal(page, "/cells/A01", store="0")[0] == 409
        write_table(station.output, answers_of(discs(5), id="A01"))
        assert refusal(page, "/cells/A01") == (409, "the table of cells is not that of this answer")
        table = write_table(station.output, answers)
        assert page.get("/cells/A01")["number"] == number
        # On a disk that does not know the case of letters, a01 has the same table.
        table.write_text(table.read_text(encoding="utf-8").replace("\nA01,", "\na01,"), encoding="utf-8")
        assert refusal(page, "/cells/A01")[0] == 409
        table.write_text("no table", encoding="utf-8")
        assert refusal(page, "/cells/A01")[0] == 404
        table.unlink()
        assert refusal(page, "/cells/A01")[0] == 404


def test_only_tables_of_results_are_read(station: Station, tmp_path: Path) -> None:
    answers = add_field(station, "A01")
    secret = tmp_path / "secret.csv"
    secret.write_bytes((station.output / "cells" / "A01.csv").read_bytes())
    add_results(station, 1)
    with ResultStore(station.output) as store:  # an id that no hot folder gives
        result = next(one for _, one in store.after(0, 9) if one.id == "A01")
        store.add(replace(result, id="../../secret"))
    write_table(station.output, replace(answers, id="B"))
    with serving(with_cells(station)) as page:
        assert refusal(page, "/cells/B")[0] == 404  # no result has this id
        assert refusal(page, "/cells/field-0") == (404, "the cells of 'field-0' were not answered")
        for path in ("/cells/%2e%2e/%2e%2e/secret", "/cells/..%2F..%2Fsecret"):
            with httpx.stream("GET", page.url + path, timeout=60) as response:
                assert response.status_code == 404, path
                assert "secret.csv" not in response.read().decode()


def test_cells_need_the_token(station: Station) -> None:
    add_field(station, "A01")
    with serving(with_cells(station), token=TOKEN) as page:
        assert page.client.get("/cells/A01").status_code == 200
        assert httpx.get(f"{page.url}/cells/A01", timeout=60).status_code == 401
        foreign = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://elsewhere.example"}
        assert httpx.get(f"{page.url}/cells/A01", headers=foreign, timeout=60).status_code == 403


def test_watched_fields_have_cells_and_their_whole_picture(tmp_path: Path, model: Path) -> None:
    text = "[cells]\n[trained]\npixel_size = 0.64\nside = 512\n"
    station = make_station(tmp_path, model, text=text, files='pattern = "hpa"\npixel_size = 0.32')
    with serving(station, watches=True) as page:
        write_planes(station.watch, "A01", draw(FOUR))
        write_planes(station.watch, "empty", draw([]))
        wait_until(lambda: page.get("/health")["results"] == 2)
        result = page.get("/results/A01")
        assert len(page.get("/cells/A01")["cells"]) == len(FOUR) == result["cells"]["cells"]
        empty = page.get("/cells/empty")
        assert empty["cells"] == []
        assert "no nucleus was found" in empty["counts"]["error"]
        assert picture_size(page) == (512, 512)
        assert picture_size(page, whole=True) == (384, 384)


def picture_size(page: Page, **query: bool) -> tuple[int, int]:
    response = page.client.get("/pictures/composite/A01", params={"side": 2048, **query})
    assert response.status_code == 200, response.text
    with Image.open(io.BytesIO(response.content), formats=["PNG"]) as picture:
        return picture.size
