"""A picture is of the very files that were answered, or there is a reason in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from hpa_sdk.fields.samples import Sample
from hpa_sdk.live import service
from hpa_sdk.live.pictures import draw
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.serving import Page, field, serving
from tests.hpa_sdk.workstation.watching import make_station, wait_until, watching
from tests.hpa_sdk.workstation.written import CHANNELS, stack, write_ome_zarr
from tests.small import random_planes, write_planes

CHANGED = "the files were changed since this field was answered"


def picture(page: Page, result: Any) -> Any:
    return page.client.get(f"/pictures/composite/{result['id']}")


def answered(station: Station) -> list[dict[str, Any]]:
    """Answer what lies in the watched folder."""
    with watching(station) as store:
        wait_until(lambda: store.newest(1))
        return [{"id": result.id} for result in store.newest(9)]


def written_over(sample: Sample) -> None:
    # Not compressed, so the files have the same size as before.
    planes = random_planes(np.random.default_rng(9))
    write_planes(sample.files[0].parent, sample.id, planes, sample.files[0].suffix)


def replaced_with_the_same_size_and_time(sample: Sample) -> None:
    files = [(file, file.stat()) for file in sample.files]
    other = write_planes(sample.files[0].parent / "x", "x", random_planes(np.random.default_rng(9)), ".tif")
    for (file, status), copy in zip(files, other.files, strict=True):
        assert copy.stat().st_size == status.st_size
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        copy.replace(file)


def swapped(sample: Sample) -> None:
    red, green = sample.files[:2]
    between = red.with_name("between")
    red.rename(between)
    green.rename(red)
    between.rename(green)


@pytest.mark.parametrize("change", [written_over, replaced_with_the_same_size_and_time, swapped])
def test_files_that_were_changed_are_not_shown(station: Station, change: Callable[[Sample], None]) -> None:
    sample = write_planes(station.watch, "field-1", random_planes(np.random.default_rng(1)), ".tif")
    (result,) = answered(station)
    with serving(station) as page:
        assert picture(page, result).status_code == 200
        change(sample)
        response = picture(page, result)
        assert (response.status_code, response.json()["what"]) == (409, CHANGED)
        assert response.headers["cache-control"] == "no-store"


def test_an_ome_zarr_that_was_written_again_is_not_shown(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}")
    path = write_ome_zarr(station.watch / "a.ome.zarr", stack(), "0.4")
    (result,) = answered(station)
    with serving(station) as page:
        assert picture(page, result).status_code == 200
        write_ome_zarr(path, stack(seed=5), "0.4")
        response = picture(page, result)
        assert (response.status_code, response.json()["what"]) == (409, CHANGED)


def test_the_pixels_are_of_the_read_that_was_checked(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = field(station.watch, "field-1")
    (result,) = answered(station)
    drawn = []

    def changing_draw(planes: Any, *arguments: Any, **options: Any) -> bytes:
        written_over(sample)
        drawn.append(planes)
        return draw(planes, *arguments, **options)

    with serving(station) as page:
        first = picture(page, result).content
        monkeypatch.setattr(service, "draw", changing_draw)
        assert picture(page, result).content == first
        assert picture(page, result).status_code == 409
    assert len(drawn) == 1


def test_a_folder_by_another_name_holds_the_same_files(station: Station, tmp_path: Path) -> None:
    field(station.watch, "field-1")
    (result,) = answered(station)
    link = tmp_path / "link"
    link.symlink_to(station.watch)
    with ResultStore(station.output) as store:
        (known,) = store.newest(1)
        store.add(replace(known, files=tuple(str(link / Path(file).name) for file in known.files)))
    with serving(station) as page:
        assert picture(page, result).status_code == 200


def test_results_of_earlier_versions_are_shown(station: Station) -> None:
    field(station.watch, "field-1")
    (result,) = answered(station)
    with ResultStore(station.output) as store:
        store.add(replace(store.newest(1)[0], stamps=()))
    with serving(station) as page:
        assert picture(page, result).status_code == 200


def test_stamps_of_other_files_are_no_proof(station: Station) -> None:
    field(station.watch, "field-1")
    (result,) = answered(station)
    with ResultStore(station.output) as store:
        (known,) = store.newest(1)
        store.add(replace(known, stamps=known.stamps[:3]))
    with serving(station) as page:
        assert picture(page, result).status_code == 409


def test_uploads_of_one_name_are_results_of_their_own(station: Station, tmp_path: Path) -> None:
    watched = field(station.watch, "field", seed=50)
    sent = [field(tmp_path / str(at), "field", seed=at) for at in range(8)]
    with serving(station, watches=True) as page:
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda sample: page.send(*sample.files).json()["results"][0], sent))
        wait_until(lambda: page.get("/health")["results"] == 9)
        results = page.get("/results")["results"]
        assert len({result["id"] for result in results}) == 9
        for sample, answer in [*zip(sent, answers, strict=True), (watched, page.get("/results/field"))]:
            kept = sorted(Path(file).read_bytes() for file in answer["files"])
            assert kept == sorted(file.read_bytes() for file in sample.files)
            assert page.get(f"/results/{answer['id']}") == answer


def test_results_in_the_watched_folder_take_no_name(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    station = structs.replace(station, output=station.watch)
    field(station.watch, "field", seed=1)
    with serving(station, watches=True) as page:
        sent = page.send(*field(tmp_path / "mine", "field", seed=2).files).json()["results"][0]
        wait_until(lambda: page.get("/health")["results"] == 2)
        assert page.get("/results/field")["files"] != sent["files"]
        assert page.get(f"/results/{sent['id']}") == sent
