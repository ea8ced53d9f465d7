"""Programs get the predictor's own answers, page by page and as events, also after a restart."""

from __future__ import annotations

import io
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.predictor import Predictor
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.serving import Page, add_results, field, serving
from tests.hpa_sdk.workstation.watching import json_of, make_station, wait_until
from tests.hpa_sdk.workstation.written import stack, write_ome_tiff
from tests.small import write_planes


def expected(station: Station, *samples: Sample) -> list[list[float]]:
    predictor = Predictor.load(station.model, device="cpu")
    return [[float(str(value)) for value in answer.probabilities] for answer in predictor.predict(samples)]


def test_a_sent_field_is_answered_and_kept_like_a_watched_one(page: Page, tmp_path: Path) -> None:
    sample = field(tmp_path / "mine", "field ö")
    response = page.send(*sample.files)
    assert response.status_code == 200, response.text
    (result,) = response.json()["results"]
    assert result["probabilities"] == expected(page.station, sample)[0]
    assert result["id"].endswith("/field ö")
    assert (result["device"], result["error"]) == ("cpu", None)
    assert [Path(file).read_bytes() for file in result["files"]] == [
        (sample.files[list(Channel).index(Channel(Path(file).stem.rpartition("_")[2]))]).read_bytes()
        for file in result["files"]
    ]
    assert page.get(f"/results/{result['id']}") == result
    assert page.get("/results") == {"results": [result], "next": None, "store": result["store"]}
    wait_until((page.station.output / f"{result['id']}.json").exists)
    store = page.get("/health")["store"]
    assert {"number": 1, "store": store, **json_of(tmp_path, result["id"])} == result
    assert page.client.get("/results/none").status_code == 404


def test_a_stack_is_read_by_the_names_of_its_channels(tmp_path: Path, model: Path) -> None:
    names = '[channels]\nred = ["microtubules"]\ngreen = ["alexa 488"]\nblue = ["dapi"]\nyellow = ["er"]'
    station = make_station(tmp_path, model, files=f'pattern = "hpa"\nwhite = 4095\n{names}')
    path = write_ome_tiff(tmp_path / "stack.ome.tif", stack())
    with serving(station) as page:
        (result,) = page.send(path).json()["results"]
        planes = stack()[[2, 1, 0, 3], 0]
        (prediction,) = Predictor.load(model, device="cpu", white=4095).predict_planes(planes[None])
        assert result["probabilities"] == [float(str(value)) for value in prediction.probabilities]
        # Planes in the plain form are read too, with any channel names of the station.
        assert page.send(*field(tmp_path / "mine", "plain").files).status_code == 200


def test_clients_that_ask_at_once_get_each_their_own_answer(page: Page, tmp_path: Path) -> None:
    samples = [field(tmp_path / "mine", f"field-{at}", seed=at) for at in range(16)]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda sample: page.send(*sample.files).json()["results"][0], samples))
    assert [answer["probabilities"] for answer in answers] == expected(page.station, *samples)
    assert page.get("/health")["results"] == 16


def test_results_come_newest_first_a_page_at_a_time(station: Station, tmp_path: Path) -> None:
    add_results(station, 25)
    field(tmp_path / "exports", "bad").files[0].write_bytes(b"")
    with serving(station, watches=True) as page:
        wait_until(lambda: page.get("/health")["failed"])
        names: list[str] = []
        before: dict[str, Any] = {}
        while True:
            answer = page.get("/results", count=10, **before)
            names += [result["id"] for result in answer["results"]]
            if answer["next"] is None:
                break
            before = {"before": answer["next"]}
        assert names == ["bad", *(f"field-{at}" for at in reversed(range(25)))]
        assert [result["id"] for result in page.get("/results", failed=True)["results"]] == ["bad"]
        assert len(page.get("/results", label=0)["results"]) == 12
        status = page.get("/health")
        assert (status["results"], status["failed"], status["label_counts"][:2]) == (26, 1, [12, 0])
        assert (status["device"], status["watching"]) == ("cpu", str(station.watch))


def pixels(page: Page, view: str, name: str) -> Any:
    response = page.client.get(f"/pictures/{view}/{name}")
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_pictures_show_every_plane_also_after_a_restart(station: Station, tmp_path: Path) -> None:
    planes = np.zeros((4, 64, 80), np.uint8)
    for at in range(4):
        planes[at, :, 20 * at : 20 * (at + 1)] = 200
    sample = write_planes(tmp_path / "mine", "bands", planes)
    with serving(station) as page:
        name = page.send(*sample.files).json()["results"][0]["id"]
    with serving(station) as page:
        composite = pixels(page, "composite", name)
        assert composite.shape == (64, 80, 3)
        assert [band.argmax() for band in composite[30, 10:70:20]] == [0, 1, 2]
        red, green, blue = composite[30, 70].tolist()  # yellow is red and green
        assert red == green > blue
        for at, view in enumerate(("red", "green", "blue", "yellow")):
            bright = pixels(page, view, name)[30, 10::20].sum(axis=-1) > 0
            assert bright.tolist() == [at == band for band in range(4)]
        small = page.client.get(f"/pictures/red/{name}", params={"side": 16}).content
        assert Image.open(io.BytesIO(small)).size == (16, 13)


def test_a_plane_of_one_grey_level_is_as_dark_as_it_is(page: Page, tmp_path: Path) -> None:
    planes = np.full((4, 64, 64), 12, np.uint8)
    planes[1] = 255
    name = page.send(*write_planes(tmp_path / "mine", "empty", planes).files).json()["results"][0]["id"]
    assert pixels(page, "red", name).max() <= 12
    assert pixels(page, "green", name).min(axis=(0, 1)).max() == 255


def test_only_pictures_in_its_own_folders_are_shown(station: Station, tmp_path: Path) -> None:
    field(tmp_path, "secret")
    add_results(station, 1)
    with serving(station) as page:
        response = page.client.get("/pictures/composite/field-0")
        assert (response.status_code, "may show" in response.json()["what"]) == (404, True)
        for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/hpa-results.sqlite"):
            assert page.client.get(path).status_code == 404


def events(page: Page, until: str, **headers: str) -> list[tuple[str, Any]]:
    """Read events until the data of one holds a text."""
    found: list[tuple[str, Any]] = []
    with page.client.stream("GET", "/events", headers=headers) as stream:
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
                if until in line:
                    break
    return found


def test_events_reach_a_browser_that_reconnects(station: Station) -> None:
    with serving(station, watches=True) as page:
        with ThreadPoolExecutor(1) as other:
            received = other.submit(events, page, '"id":"field-1"')
            time.sleep(0.3)
            field(station.watch, "field-1")
            kind, result = received.result()[-1]
        assert (kind, result["error"]) == ("result", None)
        page.send(*field(station.output, "field-2").files)
    # A browser that comes back says where it was, to the next server too.
    with serving(station) as page:
        last = {"Last-Event-ID": f"{result['store']}-1"}
        kinds = [(kind, event.get("number")) for kind, event in events(page, '"number":2', **last)]
        assert kinds == [("status", None), ("result", 2)]


def test_the_description_lists_every_request(shared_page: Page) -> None:
    paths = shared_page.get("/openapi.json")["paths"]
    assert set(paths) == {
        *("/predict", "/results", "/results/{name}", "/pictures/{view}/{name}", "/health"),
        *("/cells/{name}", "/reviews", "/withdrawals", "/review-queue", "/review-figures"),
    }
    assert "503" in paths["/predict"]["post"]["responses"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_that_loads_from_elsewhere_is_served(shared_page: Page, path: str) -> None:
    assert shared_page.client.get(path).status_code == 404


def test_the_same_warning_is_reported_once(page: Page, tmp_path: Path) -> None:
    for name in ("a", "b"):
        page.send(*field(tmp_path / "mine", name).files)
        logging.getLogger("hpa_sdk").warning("the lamp is old")
    texts = [notice["text"] for notice in page.get("/health")["notices"]]
    assert len(texts) == len(set(texts))
    assert "the lamp is old" in texts
