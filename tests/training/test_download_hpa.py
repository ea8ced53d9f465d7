"""Planes arrive whole, once and politely, from servers that misbehave; what fails is named and costs no other."""

from __future__ import annotations

import _thread
import csv
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpa_sdk.errors import DownloadError, OutputError, UnreachableError
from hpa_sdk.fields.reading import read_plane, read_planes
from hpa_sdk.fields.samples import Channel
from hpa_sdk.labels import Label
from tests.pseudocoloured import jpeg, make_plane, pseudocolour
from tests.training.plane_server import (
    Answer,
    Handler,
    Site,
    cut,
    cut_without_version,
    html,
    invoke,
    no_length,
    promise_less,
    promise_more,
    rest,
    silent,
    status,
    trickle,
    whole,
    wrong_part,
)
from tests.training.recorded_rate_limit import record_rate_limit
from training.data.dataset import read_dataset
from training.download import hpa, published_planes, workers
from training.download.fetch import RetryPolicy
from training.download.hpa import HpaDownload, download_hpa
from training.download.url_pattern import HPA_V18, UrlPattern

HURRIED = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.02, silence=30, duration=60)
SHORT: dict[Answer, RetryPolicy] = {
    silent: replace(HURRIED, attempts=5, silence=0.3),
    trickle: replace(HURRIED, attempts=5, duration=0.6),
}
"""Short times for slow servers; more tries, since a good answer can be late on a busy machine too."""

LABELS = {"1_a_1": (Label.NUCLEOPLASM, Label.CYTOSOL), "2_b_2": (Label.MITOCHONDRIA,)}
ONE = {"1_a_1": LABELS["1_a_1"]}
VICTIM = "/1/a_1_green.jpg"


def download(site: Site, out: Path, labels: dict[str, tuple[Label, ...]] = ONE, **options: Any) -> HpaDownload:
    form: dict[str, Any] = {"size": 0, "workers": 4, "rate": 1000, "retry_policy": HURRIED} | options
    return download_hpa(labels, out, pattern=site.pattern, **form)


def reasons(result: HpaDownload) -> list[str]:
    return [failure.reason for failure in result.failures]


def test_fields_arrive_in_the_kaggle_form(site: Site, tmp_path: Path) -> None:
    table = tmp_path / "hpa.csv"
    table.write_text("Id,Target\n1_a_1,Nucleoplasm;Cytosol\n3_c,Vesicles\n2_b_2,Mitochondria\n", encoding="utf-8")
    out = tmp_path / "Gewebe µ"
    arguments = ("hpa", table, out, "--url", site.pattern.pattern, "--size", 256, "--rate", 500)
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "1 fields are left out" in result.stderr
    assert "Vesicles (1)" in result.stderr
    assert (out / "train.csv").read_text(encoding="utf-8") == "Id,Target\n1_a_1,0 25\n2_b_2,23\n"
    dataset = read_dataset(out)
    assert [np.flatnonzero(target).tolist() for target in dataset.targets] == [[0, 25], [23]]
    planes = read_planes(dataset.samples[0])
    assert planes.dtype == np.uint8
    assert planes.shape == (4, 256, 256)
    assert sorted(file.name for file in out.iterdir()) == ["download.json", "train", "train.csv"]
    assert all("hpa-sdk/" in got["User-Agent"] for gots in site.requests.values() for got in gots)
    before = site.count()
    assert before == 8
    assert invoke(*arguments).exit_code == 0
    assert site.count() == before


def test_a_plane_is_what_the_server_has(site: Site, tmp_path: Path) -> None:
    download(site, tmp_path / "out")
    for channel in Channel:
        expected = make_plane(len(f"/1/a_1_{channel}.jpg") + list(Channel).index(channel))
        found = read_plane(tmp_path / "out" / "train" / f"1_a_1_{channel}.png")
        assert np.abs(found.astype(int) - expected).mean() < 3


def test_a_cut_transfer_resumes_where_it_ended(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [cut, rest]
    assert download(site, tmp_path / "out").complete == 1
    second = site.requests[VICTIM][1]
    assert (second["Range"], second["If-Range"]) == ("bytes=1000-", '"v1"')


def test_a_later_run_resumes_where_an_earlier_one_ended(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [cut, status(503), status(503), rest]
    first = download(site, tmp_path / "out")
    assert (first.complete, reasons(first)) == (0, ["the server answers 503 Service Unavailable"])
    before = site.count()
    assert download(site, tmp_path / "out").complete == 1
    assert site.count() == before + 1
    assert site.requests[VICTIM][-1]["Range"] == "bytes=1000-"
    assert not (tmp_path / "out" / "failures.csv").exists()


@pytest.mark.parametrize(
    "answers", [[cut, whole], [cut_without_version, whole], [cut, wrong_part, whole], [cut, status(416), whole]]
)
def test_a_cut_transfer_restarts_if_it_can_t_resume(site: Site, tmp_path: Path, answers: list[Answer]) -> None:
    site.answers[VICTIM] = list(answers)
    assert download(site, tmp_path / "out").complete == 1
    assert len(site.requests[VICTIM]) == len(answers)
    assert ("Range" in site.requests[VICTIM][1]) == (answers[0] is cut)


def test_a_weak_etag_marks_no_version(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [lambda handler, content: cut(handler, content, etag='W/"v1"')]
    assert download(site, tmp_path / "out").complete == 1
    assert "Range" not in site.requests[VICTIM][1]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_taken_at_once_and_costs_no_other_plane(site: Site, tmp_path: Path, code: int) -> None:
    site.answers[VICTIM] = [status(code)]
    out = tmp_path / "out"
    result = download(site, out, LABELS)
    assert result.complete == 1
    assert len(site.requests[VICTIM]) == 1
    with (out / "failures.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["id"], row["channel"], row["url"]) == ("1_a_1", "green", site.url + VICTIM)
    assert str(code) in row["reason"]
    assert (out / "train.csv").read_text(encoding="utf-8") == "Id,Target\n2_b_2,23\n"
    assert len(list((out / "train").iterdir())) == 7


def test_a_failed_plane_makes_exit_code_1(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [html]
    table = tmp_path / "hpa.csv"
    table.write_text("Id,Target\n1_a_1,0\n2_b_2,1\n", encoding="utf-8")
    out = tmp_path / "out"
    result = invoke("hpa", table, out, "--url", site.pattern.pattern, "--size", 0, "--rate", 500)
    assert result.exit_code == 1
    assert "1 of 2 fields are complete" in result.stderr
    assert "this is no JPEG picture" in (out / "failures.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_holds_every_worker(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, form: str
) -> None:
    retry_after = "1000" if form == "seconds" else formatdate(time.time() + 1000, usegmt=True)
    recorded = record_rate_limit(monkeypatch, longest_hold=0.5)
    site.answers["/1/a_1_red.jpg"] = [status(code, Retry_After=retry_after)]
    assert download(site, tmp_path / "out", LABELS, workers=2, rate=20).complete == 2
    ((held, seconds),) = recorded.holds
    assert seconds == (1000 if form == "seconds" else pytest.approx(1000, abs=60))
    assert len(recorded.turns) == 9
    assert not [turn for turn in recorded.turns if held < turn < held + 0.5]


def test_a_busy_server_fails_the_plane_after_several_tries(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [status(500)] * 9
    assert reasons(download(site, tmp_path / "out")) == ["the server answers 500 Internal Server Error"]
    assert len(site.requests[VICTIM]) == HURRIED.attempts


@pytest.mark.parametrize("answer", [promise_more, promise_less, silent, trickle, cut_without_version])
def test_a_bad_transfer_is_tried_again(site: Site, tmp_path: Path, answer: Answer) -> None:
    site.answers[VICTIM] = [answer]
    assert download(site, tmp_path / "out", retry_policy=SHORT.get(answer, HURRIED)).complete == 1
    tries = len(site.requests[VICTIM])
    assert tries == 2 or (answer in SHORT and tries > 2)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (promise_more, "the transfer failed (peer closed connection"),
        (promise_less, "the JPEG is damaged"),
        (silent, "the transfer failed (timed out)"),
        (trickle, "the transfer took longer than 1 seconds"),
    ],
)
def test_a_transfer_that_stays_bad_is_named(site: Site, tmp_path: Path, answer: Answer, reason: str) -> None:
    retry_policy = SHORT.get(answer, HURRIED)
    site.answers[VICTIM] = [answer] * retry_policy.attempts
    result = download(site, tmp_path / "out", LABELS, retry_policy=retry_policy)
    assert result.complete == 1
    assert reasons(result)[0].startswith(reason)


def test_another_part_than_was_asked_for_is_not_taken(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [cut, wrong_part]
    result = download(site, tmp_path / "out", retry_policy=replace(HURRIED, attempts=2))
    assert reasons(result) == ["the server sends another part than it was asked for"]


def test_a_length_that_is_not_given_is_no_fault(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [no_length]
    assert download(site, tmp_path / "out").complete == 1


@pytest.mark.parametrize("answer", [whole, no_length])
def test_a_file_that_is_too_large_is_not_taken(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(published_planes, "MAX_BYTES", 60_000)
    site.answers[VICTIM] = [lambda handler, _: answer(handler, bytes(70_000))]
    assert reasons(download(site, tmp_path / "out")) == ["the file is larger than 60,000 bytes"]
    assert len(site.requests[VICTIM]) == 1


def test_a_composite_is_not_taken_for_a_plane(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [lambda handler, _: whole(handler, jpeg(pseudocolour(make_plane(), [0, 1, 2])))]
    assert "the pseudocolour is not green alone" in reasons(download(site, tmp_path / "out"))[0]


def test_planes_of_several_sizes_make_no_field(site: Site, tmp_path: Path) -> None:
    site.answers[VICTIM] = [lambda handler, _: whole(handler, jpeg(pseudocolour(make_plane(side=300), [1])))]
    result = download(site, tmp_path / "out", LABELS)
    assert result.complete == 1
    assert len(result.failures) == 4
    assert "green 300x300" in reasons(result)[0]


@pytest.mark.parametrize("fault", ["damaged", "of another size"])
def test_a_plane_on_the_disk_that_is_not_right_is_fetched_again(site: Site, tmp_path: Path, fault: str) -> None:
    download(site, tmp_path / "out", size=256)
    file = tmp_path / "out" / "train" / "1_a_1_blue.png"
    if fault == "damaged":
        file.write_bytes(file.read_bytes()[:200])
    else:
        Image.fromarray(make_plane(side=64)).save(file)
    assert download(site, tmp_path / "out", size=256).complete == 1
    assert len(site.requests["/1/a_1_blue.jpg"]) == 2
    assert site.count() == 5


def test_redirects_are_followed_at_the_same_rate(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = record_rate_limit(monkeypatch)
    site.answers[VICTIM] = [status(301, Location=f"{site.url}/moved/a_1_green.jpg")]
    assert download(site, tmp_path / "out", rate=25).complete == 1
    assert site.count() == len(recorded.turns) == 5
    assert recorded.smallest_gap() >= 1 / 25


def test_all_workers_share_one_rate_limit(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = record_rate_limit(monkeypatch)
    download(site, tmp_path / "out", LABELS, workers=8, rate=20)
    assert site.count() == len(recorded.turns) == 8
    assert recorded.smallest_gap() >= 1 / 20


def test_ctrl_c_leaves_a_state_that_resumes(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[threading.Event] = []

    def run_recorded(*arguments: Any, stopped: threading.Event, **options: Any) -> Any:
        ended.append(stopped)
        return workers.run_all(*arguments, stopped=stopped, **options)

    def interrupt(handler: Handler, content: bytes) -> None:
        _thread.interrupt_main()
        # Else the rest could arrive before the main thread has its turn.
        ended[0].wait(20)
        whole(handler, content)

    monkeypatch.setattr(hpa, "run_all", run_recorded)
    site.answers["/2/b_2_red.jpg"] = [interrupt]
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        download(site, out, LABELS, workers=1)
    assert not (out / "train.csv").exists()
    assert len(list((out / "train").iterdir())) == 4
    before = site.count()
    assert download(site, out, LABELS).complete == 2
    assert site.count() - before == 4


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody answers, and which no other can take meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


MANY = {f"{number}_x": (Label.CYTOSOL,) for number in range(30)}


@pytest.mark.parametrize("labels", [ONE, MANY])
def test_a_server_that_can_t_be_reached_is_no_start(
    tmp_path: Path, closed_port: int, labels: dict[str, tuple[Label, ...]]
) -> None:
    pattern = UrlPattern(f"http://127.0.0.1:{closed_port}/{{id}}_{{channel}}.jpg")
    with pytest.raises(UnreachableError, match="can't be reached"):
        download_hpa(labels, tmp_path / "out", pattern=pattern, rate=1000, retry_policy=HURRIED)


def test_a_server_that_goes_away_ends_the_run_with_what_is_there(site: Site, tmp_path: Path, closed_port: int) -> None:
    # A pattern of its own server, for the settings of a folder must not change between runs.
    out = tmp_path / "out"
    download(site, out)
    site_url, site.url = site.url, f"http://127.0.0.1:{closed_port}"
    record = out / "download.json"
    record.write_text(record.read_text(encoding="utf-8").replace(site_url, site.url), encoding="utf-8")
    result = download(site, out, ONE | MANY)
    assert result.complete == 1
    assert 24 <= len(result.failures) < 40
    assert result.untried == 120 - len(result.failures)
    assert (out / "train.csv").read_text(encoding="utf-8") == "Id,Target\n1_a_1,0 25\n"


def test_other_settings_do_not_mix_in_one_folder(site: Site, tmp_path: Path) -> None:
    download(site, tmp_path / "out")
    with pytest.raises(OutputError, match="other settings"):
        download(site, tmp_path / "out", size=256)


def test_a_folder_of_something_else_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("Id,Target\na,0\n", encoding="utf-8")
    with pytest.raises(OutputError, match="other data"):
        download(site, tmp_path)
    assert site.count() == 0


def test_a_pattern_fills_its_placeholders() -> None:
    assert (
        UrlPattern(HPA_V18).url("10580_1610_C1_1", Channel.YELLOW)
        == "http://v18.proteinatlas.org/images/10580/1610_C1_1_yellow.jpg"
    )
    assert UrlPattern("https://x.org/{id}/{channel}").url("a_b", Channel.RED) == "https://x.org/a_b/red"


@pytest.mark.parametrize(
    "pattern",
    [
        "https://x.org/{id}.jpg",
        "https://x.org/{channel}.jpg",
        "https://x.org/{rest}_{channel}.jpg",
        "https://x.org/{id}_{colour}.jpg",
        "https://x.org/{id:>9}_{channel}.jpg",
        "https://x.org/{id!r}_{channel}.jpg",
        "https://x.org/{id.real}_{channel}.jpg",
        "https://x.org/{}_{id}_{channel}.jpg",
        "https://x.org/{id_{channel}.jpg",
        "https://{id}/{channel}.jpg",
        "ftp://x.org/{id}_{channel}.jpg",
        "file:///{id}_{channel}.jpg",
        "{id}_{channel}.jpg",
    ],
)
def test_an_unusable_pattern_is_refused_before_anything_starts(tmp_path: Path, pattern: str) -> None:
    table = tmp_path / "hpa.csv"
    table.write_text("Id,Target\n1_a,0\n", encoding="utf-8")
    result = invoke("hpa", table, tmp_path / "out", "--url", pattern)
    assert result.exit_code == 2
    assert "address pattern" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("field_id", ["../1_a", "1/a_b", "1_a b", "1a", "_1", "1_", ".1_a"])
def test_an_id_that_can_t_be_a_file_name_is_refused(tmp_path: Path, field_id: str) -> None:
    with pytest.raises(DownloadError, match="the id"):
        download_hpa({field_id: (Label.CYTOSOL,)}, tmp_path / "out", pattern=UrlPattern(HPA_V18))
    assert not (tmp_path / "out").exists()
