"""A station can average several models and views, and nothing of one of its models passes for the answer of all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hpa_sdk import Predictor
from hpa_sdk.cli import main
from hpa_sdk.cli.station_options import plain_station
from hpa_sdk.errors import SettingError
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import TABLE
from hpa_sdk.results.results_file import read_results
from hpa_sdk.review.consensus import settle
from hpa_sdk.review.figures import judge_models
from hpa_sdk.workstation.hot_folder import HotFolder
from hpa_sdk.workstation.station_setup import load_predictor, open_store
from tests.hpa_sdk.live.serving import field, serving
from tests.hpa_sdk.review.made_reviews import review_of
from tests.hpa_sdk.test_ensembles import write_model
from tests.hpa_sdk.workstation.watching import json_of, make_station, planes, rows, wait_until, watching
from tests.small import CARD


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two models that differ."""
    return write_model(tmp_path / "erstes ö.onnx", 3), write_model(tmp_path / "second.onnx", 4)


ENSEMBLE = "others = ['second.onnx']\nviews = 4"


def test_a_watch_answers_with_all_models_and_views(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    made_by = set()
    for at, text in enumerate(("", "views = 4", "others = ['second.onnx']", ENSEMBLE)):
        station = make_station(tmp_path, pair[0], text=text)
        sample = planes(tmp_path, f"f{at}")
        with watching(station, predictor=load_predictor(station)):
            wait_until((station.output / f"f{at}.json").exists)
        found = json_of(tmp_path, f"f{at}")
        made_by.add(found["model_sha256"])
        models, views = pair[: 1 + ("others" in text)], 4 if "views" in text else 1
        (expected,) = Predictor.load(models, device="cpu", views=4 if views == 4 else 1).predict([sample])
        np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=1e-6)
        assert (found["model_sha256"] == file_sha256(pair[0])) == (not text)
        assert found["models"] == (list(map(file_sha256, models)) if text else [])
        assert found["views"] == views
        assert found["disagreement"] == expected.disagreement
    assert len(made_by) == 4
    # The table says the same, and is read back.
    assert {(row["models"], row["views"]) for row in rows(station.output)} >= {
        ("", "1"),
        (" ".join(map(file_sha256, pair)), "4"),
    }
    read = [
        {result.id: (result.model_sha256, result.models, result.views) for result in read_results(path)}
        for path in (station.output, station.output / TABLE)
    ]
    assert read[0] == read[1]


def test_figures_of_an_ensemble_are_its_own(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    found: list[Result | None] = []
    for text in ("", ENSEMBLE):
        station = make_station(tmp_path, pair[0], text=text)
        name = f"f{len(found)}"
        planes(tmp_path, name)
        with watching(station, predictor=load_predictor(station)) as store:
            wait_until((station.output / f"{name}.json").exists)
            found.append(store.get(name))
    results = [result for result in found if result is not None]
    figures = judge_models(settle([review_of(result) for result in results]), results, 28)
    assert {one.model: one.reviewed for one in figures} == {result.model_sha256: 1 for result in results}
    assert len(figures) == 2


def test_a_report_of_an_ensemble_names_its_models(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    station = make_station(tmp_path, pair[0], text=ENSEMBLE)
    planes(tmp_path, "a")
    with watching(station, predictor=load_predictor(station)):
        wait_until((station.output / "a.json").exists)
    (stored,) = read_results(station.output)
    for results in (station.output, station.output / TABLE):
        page = tmp_path / "page.html"
        (shown,) = make_report(Sources(results=results, model=pair[1]), page=page)
        # Those of one of the models are not shown as the thresholds of all.
        assert shown.thresholds == (stored.thresholds if results == station.output else ())
        assert all(file_sha256(model) in page.read_text(encoding="utf-8") for model in pair)
    other = write_model(tmp_path / "other.onnx", 9)
    with pytest.raises(SettingError, match="made by another model"):
        make_report(Sources(results=station.output / TABLE, model=other), page=tmp_path / "page.html")


def test_the_page_names_all_models(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    station = make_station(tmp_path, pair[0], text=ENSEMBLE)
    with serving(station) as page:
        sent = page.send(*field(tmp_path / "mine", "a").files).json()["results"][0]
        status = page.get("/health")
        assert status["model"]["name"] == "small + small (4 views)"
        assert status["model"]["models"] == sent["models"] == [*map(file_sha256, pair)]
        assert status["model"]["sha256"] == sent["model_sha256"]
        assert status["troubles"] == []
        pair[1].write_bytes(pair[0].read_bytes())
        assert "was replaced" in page.get("/health")["troubles"][0]


def test_models_that_do_not_fit_are_reported(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    make_station(tmp_path, pair[0], text=ENSEMBLE)
    checked = CliRunner().invoke(main, ["station", "check", str(tmp_path / "station.toml")])
    assert "others" not in checked.output
    scale = replace(CARD.training, pixel_size=0.08, field_side=512)
    write_model(pair[1], 5, replace(CARD, training=scale))
    for command in (["station", "check"], ["watch"]):
        done = CliRunner().invoke(main, [*command, str(tmp_path / "station.toml")])
        assert done.exit_code == (1 if command[0] == "station" else 2)
        assert "another pixel size" in done.output
    pair[1].unlink()
    checked = CliRunner().invoke(main, ["station", "check", str(tmp_path / "station.toml")])
    assert "FAILS: others: " in checked.output


def test_cells_are_for_one_model(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    station = make_station(tmp_path, pair[0], text="views = 4", files='pattern = "hpa"\n[cells]')
    with open_store(station) as store:
        HotFolder(station, load_predictor(station), store)
        with pytest.raises(SettingError, match="cells are predicted by one model"):
            HotFolder(station, Predictor.load(pair, device="cpu"), store)


@pytest.mark.parametrize("command", ["watch", "serve"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--with", "{folder}/gone.onnx"], "gone.onnx"),
        (["--views", "3"], "'3' is not one of '1', '4', '8'"),
        (["--with", "{folder}/other.onnx"], "another pixel size"),
    ],
)
def test_options_of_a_folder_are_checked(
    tmp_path: Path, pair: tuple[Path, Path], command: str, options: list[str], message: str
) -> None:
    scale = replace(CARD.training, pixel_size=0.08, field_side=512)
    write_model(tmp_path / "other.onnx", 5, replace(CARD, training=scale))
    filled = [option.format(folder=tmp_path) for option in options]
    port = ["--port", "0"] if command == "serve" else []
    done = CliRunner().invoke(main, [command, str(pair[0]), str(tmp_path), *port, *filled])
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_options_of_a_folder_are_taken(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    settings = {"others": (pair[1],), "views": "8", "device": "cpu", "threshold": "1", "card": None, "white": None}
    station = plain_station(pair[0], tmp_path, tmp_path, settings)
    with load_predictor(station) as predictor:
        assert (predictor.views, len(predictor.others), set(predictor.thresholds.tolist())) == (8, 1, {1.0})
    assert plain_station(pair[0], tmp_path, tmp_path, {"others": (), "views": None}).models == pair[:1]


def test_a_station_file_takes_no_options(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    make_station(tmp_path, pair[0])
    for command in ("watch", "serve"):
        for option in (["--views", "4"], ["--with", str(pair[1])]):
            done = CliRunner().invoke(main, [command, str(tmp_path / "station.toml"), *option])
            assert "write them into it" in done.stderr
