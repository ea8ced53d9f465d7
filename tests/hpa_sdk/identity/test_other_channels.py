"""A picture beside an answer shows the channels that were answered, even if a station file assigns others by now."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from hpa_sdk.cli import main
from hpa_sdk.fields.rules import ChannelNames, FieldRules, Files
from hpa_sdk.live.answered_files import ChangedError
from hpa_sdk.report.checked_planes import LIKE, read_checked
from hpa_sdk.report.finder import PlaneFinder, SearchPaths
from hpa_sdk.results import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.results.results_file import read_results
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.hpa_sdk.identity.test_siblings import write_stack
from tests.hpa_sdk.live.serving import serving
from tests.hpa_sdk.workstation.watching import make_station, wait_until, watching
from tests.small import make_field

SWAPPED = ChannelNames(red=("yellow",), yellow=("red",))
OTHERS = "answered with red from .*, and is now read with red from "


def own_stack(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    planes = np.arange(50, 250, 50, dtype=np.uint8)[:, None, None] * np.ones((4, 32, 32), np.uint8)
    write_stack(folder / "s.ome.tif", planes)
    return folder / "s.ome.tif"


def shown(result: Result, *paths: Path, rules: FieldRules | None = None) -> str:
    return read_checked(PlaneFinder([result], SearchPaths(paths=paths), rules).find(result)).caption


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_report_by_other_channels_is_refused(tmp_path: Path, model: Path, form: str, *, resume: bool) -> None:
    own_stack(tmp_path / "in")
    for _ in range(1 + resume):
        arguments = ("-o", tmp_path / f"out.{form}", *(RESUMED if resume else ()))
        assert predict(model, tmp_path / "in", *arguments).exit_code == 0
    (result,) = read_results(tmp_path / f"out.{form}")
    assert shown(result) == ""
    with pytest.raises(ChangedError, match=OTHERS):
        shown(result, rules=FieldRules(channels=SWAPPED))
    older = replace(result, channels=())
    assert shown(older, rules=FieldRules(channels=SWAPPED)) == ""


def test_channels_of_one_name_are_told_apart(tmp_path: Path, model: Path) -> None:
    (tmp_path / "in").mkdir()
    planes = np.arange(50, 250, 50, dtype=np.uint8)[:, None, None] * np.ones((4, 32, 32), np.uint8)
    write_stack(tmp_path / "in" / "s.ome.tif", planes, Channel={"Name": ["DAPI"] * 4})
    options = [f"{colour}={at}" for at, colour in enumerate(("red", "green", "blue", "yellow"))]
    channels = [part for option in options for part in ("--channel", option)]
    assert predict(model, tmp_path / "in", "-o", tmp_path / "out.csv", *channels).exit_code == 0
    (result,) = read_results(tmp_path / "out.csv")
    rules = FieldRules.of(channels={"red": 3, "green": 1, "blue": 2, "yellow": 0})
    with pytest.raises(ChangedError, match=OTHERS):
        shown(result, rules=rules)


def test_plain_planes_are_bound_to_their_files(tmp_path: Path, model: Path) -> None:
    make_field(tmp_path / "in", "a", np.random.default_rng(1))
    assert predict(model, tmp_path / "in", "-o", tmp_path / "out.csv").exit_code == 0
    (result,) = read_results(tmp_path / "out.csv")
    hpa = Files(pattern=r"(?P<field>.+)_(?P<channel>red|green|blue|yellow)")
    assert shown(result) == shown(result, rules=FieldRules(files=hpa)) == ""
    with pytest.raises(ChangedError, match=OTHERS):
        shown(result, rules=FieldRules(files=hpa, channels=SWAPPED))


def test_a_copy_read_by_other_channels_is_no_copy(tmp_path: Path, model: Path) -> None:
    path = own_stack(tmp_path / "in")
    swap = ("--channel", "red=yellow", "--channel", "yellow=red", "--channel", "green=green", "--channel", "blue=blue")
    for options, differs in (((), False), (swap, True)):
        assert predict(model, tmp_path / "in", "-o", tmp_path / "out.csv", *options).exit_code == 0
        (result,) = read_results(tmp_path / "out.csv")
        moved = tmp_path / f"moved-{differs}"
        moved.mkdir()
        gone = replace(result, files=tuple(str(tmp_path / "gone" / Path(file).name) for file in result.files))
        path.rename(moved / path.name)
        if differs:
            with pytest.raises(ChangedError, match=OTHERS):
                shown(gone, moved)
        else:
            assert shown(gone, moved) == LIKE
        path = own_stack(tmp_path / "in")


def test_a_page_by_another_station_file_is_refused(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files="")
    own_stack(station.watch)
    with watching(station) as store:
        wait_until(lambda: store.newest(1))
        (result,) = store.newest(1)
    assert [name.split()[-1] for name in result.channels] == ["'red'", "'green'", "'blue'", "'yellow'"]
    other = msgspec.structs.replace(station, channels=SWAPPED)
    for read_by, status in ((station, 200), (other, 409)):
        with serving(read_by) as page:
            response = page.client.get(f"/pictures/composite/{result.id}")
            assert response.status_code == status, response.text
    assert "with red from channel 0 'red', and is now read with red from channel 3 'yellow'" in response.json()["what"]
    with ResultStore(station.output) as store:
        store.add(replace(result, channels=()))
    with serving(other) as page:
        assert page.client.get(f"/pictures/composite/{result.id}").status_code == 200


def test_the_provenance_has_the_reading_rules(tmp_path: Path, model: Path) -> None:
    own_stack(tmp_path / "in")
    station = tmp_path / "station.toml"
    station.write_text(
        f'model = "{model.name}"\nwatch = "in"\noutput = "out"\n[channels]\nred = ["yellow"]\nyellow = ["red"]\n',
        encoding="utf-8",
    )
    out = tmp_path / "out.csv"
    assert predict(model, tmp_path / "in", "-o", out, "--station", station).exit_code == 0
    provenance = json.loads(Path(f"{out}.provenance.json").read_text(encoding="utf-8"))
    assert provenance["settings"]["rules"]["channels"]["red"] == ["yellow"]
    station.write_text("gone", encoding="utf-8")
    assert sample_channels(out) == ["channel 3 'yellow'", "channel 1 'green'", "channel 2 'blue'", "channel 0 'red'"]


def sample_channels(out: Path) -> list[str]:
    (result,) = read_results(out)
    return list(result.channels)


def test_a_report_reads_by_the_rules_of_the_run(tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    own_stack(tmp_path / "in")
    swap = ("--channel", "red=yellow", "--channel", "yellow=red", "--channel", "green=green", "--channel", "blue=blue")
    out = tmp_path / "out.csv"
    assert predict(model, tmp_path / "in", "-o", out, *swap).exit_code == 0
    result = CliRunner().invoke(main, ["report", str(out), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.stderr
    assert "without a picture" not in result.stderr + caplog.text
    assert "by the rules of the run" in result.stderr + caplog.text
