"""Reviews are collected in a report without a server, and a store takes the file that the page saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hpa_sdk import Predictor
from hpa_sdk.cli import main
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.log import ReviewLog
from hpa_sdk.review.queue import in_random_share
from hpa_sdk.review.record import Review
from hpa_sdk.review.tables import read_reviews
from tests.browser import AXE
from tests.hpa_sdk.live.test_page import barriers
from tests.hpa_sdk.report.test_report_page import close_field, visiting
from tests.hpa_sdk.test_ensembles import write_model
from tests.small import make_field
from training.data.dataset import read_dataset

pytestmark = pytest.mark.slow

NAME = '<b>Anna</b> =1+1 "x"'
COUNT = 7


@pytest.fixture
def report(tmp_path: Path, model: Path) -> Path:
    """A report of the results in a store."""
    rng = np.random.default_rng(6)
    for at in range(COUNT):
        make_field(tmp_path / "fields", f"f{at}", rng)
    with Predictor.load(model, device="cpu") as predictor:
        results = [
            Result.of(answer, model_sha256=predictor.model.sha256, device="cpu")
            for answer in predictor.predict(tmp_path / "fields")
        ]
    (tmp_path / "store").mkdir()
    with ResultStore(tmp_path / "store") as store:
        store.add(*results)
    make_report(Sources(results=tmp_path / "store"), page=tmp_path / "report.html")
    return tmp_path / "report.html"


def start(visit: Any) -> None:
    """Start to review, by keyboard alone."""
    visit.locator("#begin").press("Enter")
    visit.keyboard.type(NAME)
    visit.keyboard.press("Enter")
    visit.locator("#stage canvas").first.wait_for()


def state(visit: Any) -> str:
    text: str = visit.locator("#review-state").inner_text()
    return text


def choose_none(visit: Any) -> None:
    visit.evaluate("document.querySelectorAll('#facts .choice input:checked').forEach((box) => box.click())")


def test_a_store_takes_the_reviews_of_a_report(report: Path, browser: Any, tmp_path: Path) -> None:
    shown: list[str] = []
    with visiting(browser, report, accept_downloads=True) as visit:
        start(visit)
        for key in "rwub":
            shown.append(visit.locator("#name").inner_text())
            visit.keyboard.press(key)
        first, third = (visit.locator("#facts .choice input").nth(at) for at in (0, 2))
        labels = [first.get_attribute("aria-label"), third.get_attribute("aria-label")]
        choose_none(visit)
        visit.keyboard.press("1")
        visit.keyboard.press("3")
        shown.append(visit.locator("#name").inner_text())
        visit.keyboard.press("l")
        visit.keyboard.press("z")
        assert "Undone" in state(visit)
        assert visit.locator("#name").inner_text() == shown[-1]
        choose_none(visit)
        visit.keyboard.press("1")
        visit.keyboard.press("3")
        visit.keyboard.press("l")
        # Keys that show channels do so again when nobody reviews.
        visit.locator("#judge").press("Enter")
        visit.keyboard.press("2")
        close_field(visit)
        with visit.expect_download() as download:
            visit.locator("#save").press("Enter")
        download.value.save_as(tmp_path / "reviews.json")
        # A reload loses none, saved or not.
        visit.reload()
        assert visit.locator("#save").inner_text() == "Save 5 reviews"
    done = CliRunner().invoke(main, ["review", "import", str(tmp_path / "reviews.json"), str(tmp_path / "store")])
    assert (done.exit_code, "7 reviews added" in done.output, "no result in" in done.output) == (0, True, False)
    with ResultStore(tmp_path / "store") as store:
        reviews = [entry.review for entry in ReviewLog(store.ledger).after(0)]
        for review in reviews:
            answered = store.get(review.field)
            assert answered is not None
            # Exact to the last digit: times in nanoseconds are larger than the integers of JavaScript.
            assert review.result.stamps == answered.stamps
            assert (review.result.indices, review.result.files) == (answered.indices, answered.files)
            assert review.result.model_sha256 == answered.model_sha256
    assert [review.verdict for review in reviews] == [
        "right",
        "wrong",
        "unsure",
        "bad",
        "labels",
        "withdrawn",
        "labels",
    ]
    assert {review.reviewer for review in reviews} == {NAME}
    assert [review.field for review in reviews] == [*shown, shown[-1], shown[-1]]
    assert sorted(reviews[-1].result.label_scheme.names[label] for label in reviews[-1].labels) == sorted(labels)
    done = CliRunner().invoke(main, ["review", "export", str(tmp_path / "store"), str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    expected = {shown[-1], *([shown[0]] if reviews[0].labels else [])}
    assert {sample.id for sample in read_dataset(tmp_path / "data").samples} == expected


@pytest.mark.parametrize("ensemble", [True, False])
def test_a_review_of_an_ensemble_names_all_its_models(browser: Any, tmp_path: Path, *, ensemble: bool) -> None:
    models = tuple(write_model(tmp_path / f"seed-{seed}.onnx", seed) for seed in (3, 4))
    hashes = tuple(map(file_sha256, models))
    field = make_field(tmp_path / "fields", "a", np.random.default_rng(6))
    out, page = tmp_path / "out.csv", tmp_path / "report.html"
    more = ["--with", str(models[1]), "--views", "4"] if ensemble else []
    command = ["predict", str(models[0]), str(tmp_path / "fields"), "-o", str(out), "--device", "cpu", *more]
    assert CliRunner().invoke(main, command).exit_code == 0
    make_report(Sources(results=out), page=page)
    with visiting(browser, page, accept_downloads=True) as visit:
        start(visit)
        visit.keyboard.press("r")
        visit.locator("#judge").press("Enter")
        close_field(visit)
        with visit.expect_download() as download:
            visit.locator("#save").press("Enter")
        download.value.save_as(tmp_path / "reviews.json")
    (review,) = read_reviews(tmp_path / "reviews.json")
    assert isinstance(review, Review)
    # As a watch with the same models names them.
    with Predictor.load(models if ensemble else models[0], device="cpu", views=4 if ensemble else 1) as predictor:
        (answer,) = predictor.predict(field)
        expected = Result.by(predictor, answer)
    assert (review.result.model_sha256, review.result.models, review.result.views) == (
        expected.model_sha256,
        hashes if ensemble else (),
        4 if ensemble else 1,
    )


def test_a_person_undoes_only_their_own_reviews(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        start(visit)
        visit.keyboard.press("r")
        visit.locator("#who").fill("Bob")
        visit.locator("#who").press("Enter")
        visit.keyboard.press("z")
        assert "nothing to undo" in state(visit)
        assert visit.evaluate("standing().length") == 1


def test_two_tabs_of_a_report_lose_no_review(report: Path, browser: Any) -> None:
    rounds, given = 20, 40
    with visiting(browser, report) as first:
        start(first)
        second = first.context.new_page()
        second.goto(report.as_uri())
        for _ in range(rounds):
            for visit in (first, second):
                visit.evaluate("record({ field: 0, verdict: 'unsure' })")
        third = first.context.new_page()
        third.goto(report.as_uri())
        for visit in (first, second, third):
            visit.wait_for_function(f"review.entries.length === {given}")
            assert visit.locator("#save").inner_text().startswith(f"Save {given} reviews")
            assert visit.evaluate("new Set(review.entries.map(entry => entry.id)).size") == given
            times = visit.evaluate("review.entries.map(entry => entry.time)")
            assert times == sorted(times)


def test_the_order_is_that_of_the_live_queue(report: Path, browser: Any) -> None:
    content = json.loads(report.read_text(encoding="utf-8").split('id="content">')[1].split("</script>")[0])
    turns = {field["id"]: field["turn"] for field in content["fields"]}
    assert sorted(turns.values()) == list(range(COUNT))
    assert {field["id"] for field in content["fields"] if field.get("random")} == set(filter(in_random_share, turns))
    with visiting(browser, report) as visit:
        start(visit)
        assert turns[visit.locator("#name").inner_text()] == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found_by_the_automatic_check(report: Path, browser: Any, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}: 'make test-page' fetches it")
    with visiting(browser, report, color_scheme=scheme, bypass_csp=True) as visit:
        start(visit)
        visit.keyboard.press("r")
        assert barriers(visit) == []
