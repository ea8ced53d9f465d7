"""Every output of the SDK goes by the label scheme of the model, whatever its number of classes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpa_sdk import Label, Prediction, Predictor, Sample
from hpa_sdk.cli import main
from hpa_sdk.errors import OutputError
from hpa_sdk.labels import SUBCELL_2024
from hpa_sdk.results.result_store import TABLE
from hpa_sdk.results.results_file import read_results
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.browsing import drop, shown_labels, visiting
from tests.hpa_sdk.live.serving import field, serving
from tests.hpa_sdk.report.found import content_of
from tests.hpa_sdk.workstation.watching import json_of, make_station, wait_until, watching
from tests.small import make_field, make_model
from tests.stand_ins import OWN_SCHEME, SINGLE_CELL, Interface, write_card, write_stand_in

INTERFACES = {
    "19 classes": replace(SINGLE_CELL, side=64),
    "31 classes": Interface(scheme=SUBCELL_2024, side=None, batch=None),
    "own classes": Interface(scheme=OWN_SCHEME, embedding=None),
}


@dataclass(frozen=True)
class Network:
    """A network from elsewhere, with its card, and fields with its answers."""

    interface: Interface
    model: Path
    card: Path
    fields: list[Sample]
    answers: list[Prediction]

    def hpa(self, command: str, *arguments: object) -> Result:
        """Run a command of hpa with the model."""
        line = [command, str(self.model), *map(str, arguments), "--card", str(self.card), "--device", "cpu"]
        return CliRunner().invoke(main, line, catch_exceptions=False)


@pytest.fixture(scope="module", params=[*INTERFACES.values()], ids=[*INTERFACES])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Network:
    interface: Interface = request.param
    folder = tmp_path_factory.mktemp("network")
    model = write_stand_in(folder / "network.onnx", interface)
    card = write_card(folder / "card.toml", interface)
    rng = np.random.default_rng(9)
    fields = [make_field(folder / "fields", f"field-{at}", rng) for at in range(4)]
    answers = Predictor.load(model, card=card, device="cpu").predict(fields)
    assert any(answer.labels for answer in answers)
    return Network(interface, model, card, fields, answers)


@pytest.fixture
def station(network: Network, tmp_path: Path) -> Station:
    return make_station(tmp_path, network.model, text=f"card = '{network.card}'")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_files_of_answers_read_back_as_they_were(network: Network, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    done = network.hpa("predict", network.fields[0].files[0].parent, "-o", out)
    assert done.exit_code == 0, done.stderr
    for found, expected in zip(read_results(out), network.answers, strict=True):
        assert found.error is None
        assert found.label_scheme == network.interface.scheme
        assert found.labels == tuple(map(str, expected))
        assert found.indices == tuple(map(int, expected))
        np.testing.assert_array_equal(np.asarray(found.probabilities, np.float32), expected.probabilities)


def test_tables_name_the_classes_and_their_scheme(network: Network, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    network.hpa("predict", network.fields[0].files[0].parent, "-o", out)
    with out.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    names = network.interface.scheme.names
    assert head == [
        "id",
        "labels",
        "indices",
        "error",
        *names,
        "files",
        "notes",
        "stamps",
        "channels",
        "warnings",
        "disagreement",
        "scheme",
    ]
    assert {row[-1] for row in rows} == {network.interface.scheme.name}
    assert {len(row) for row in rows} == {len(head)}


def test_the_form_of_the_challenge_of_2018_is_refused(network: Network, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = network.hpa("predict", network.fields[0].files[0].parent, "-o", out, "--format", "kaggle")
    assert done.exit_code == 2
    assert f"the model answers with {network.interface.scheme.name}" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("truth_as", ["names", "indices"])
def test_a_report_judges_the_classes_of_the_scheme(network: Network, tmp_path: Path, truth_as: str) -> None:
    out, page = tmp_path / "out.csv", tmp_path / "report.html"
    network.hpa("predict", network.fields[0].files[0].parent, "-o", out)
    joined = {
        "names": lambda answer: ";".join(map(str, answer)),
        "indices": lambda answer: " ".join(str(int(label)) for label in answer),
    }
    with (tmp_path / "truth.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Id", "Target"])
        table.writerows([answer.id, joined[truth_as](answer)] for answer in network.answers)
    options = ["-o", str(page), "--truth", str(tmp_path / "truth.csv"), "--contact-sheet", str(tmp_path / "sheet.png")]
    done = CliRunner().invoke(main, ["report", str(out), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    content = content_of(page)
    assert content["names"] == list(network.interface.scheme.names)
    assert content["judged"] == {"fields": 4, "micro": 1.0, "macro": 1.0, "adapted": 0}
    assert len(content["classes"]) == len(network.interface.scheme)
    assert content["card"]["name"] == "stand-in"
    for shown, answer in zip(content["fields"], network.answers, strict=True):
        assert shown["labels"] == [int(label) for label in answer]
        assert shown["t"] == 0


def test_a_label_of_another_scheme_in_the_truth_is_refused(network: Network, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    network.hpa("predict", network.fields[0].files[0].parent, "-o", out)
    (tmp_path / "truth.csv").write_text("Id,Target\nfield-0,Rods & rings\n", encoding="utf-8")
    options = ["-o", str(tmp_path / "report.html"), "--truth", str(tmp_path / "truth.csv")]
    done = CliRunner().invoke(main, ["report", str(out), *options], catch_exceptions=False)
    assert done.exit_code == 2
    assert f"line 2: 'Rods & rings' names none of the {len(network.interface.scheme)} classes" in done.stderr


def test_a_run_resumes_and_another_card_begins_anew(network: Network, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    folder = network.fields[0].files[0].parent
    assert "ledger" not in network.hpa("predict", folder, "-o", out, "--resume").stderr
    first = out.read_bytes()
    assert (
        "4 answers stood in the ledger; 0 fields had changed"
        in network.hpa("predict", folder, "-o", out, "--resume").stderr
    )
    assert out.read_bytes() == first
    other = write_card(tmp_path / "other.toml", network.interface, scale=510)
    done = replace(network, card=other).hpa("predict", folder, "-o", out, "--resume")
    assert "0 answers stood in the ledger; 4 fields had changed" in done.stderr
    assert out.read_bytes() != first


def test_a_hot_folder_writes_the_columns_of_the_scheme(network: Network, station: Station) -> None:
    predictor = Predictor.load(network.model, card=network.card, device="cpu")
    with watching(station, predictor=predictor) as store:
        sample = make_field(station.watch, "one", np.random.default_rng(9))
        wait_until(lambda: store.get("one"))
        wait_until((station.output / TABLE).exists)
        with pytest.raises(OutputError, match="the results here are of the label scheme"):
            store.set_scheme(SUBCELL_2024 if network.interface.scheme != SUBCELL_2024 else OWN_SCHEME)
    (expected,) = predictor.predict(sample)
    assert json_of(station.output.parent, "one")["labels"] == list(map(str, expected))
    (found,) = read_results(station.output)
    assert found.label_scheme == network.interface.scheme
    (tabled,) = read_results(station.output / TABLE)
    np.testing.assert_array_equal(np.asarray(tabled.probabilities, np.float32), expected.probabilities)
    assert (tabled.labels, tabled.scheme) == (found.labels, found.scheme)


def test_results_of_two_schemes_do_not_share_a_folder(network: Network, station: Station, tmp_path: Path) -> None:
    small = make_model(tmp_path / "small.onnx")
    make_field(station.watch, "one", np.random.default_rng(9))
    with watching(station, predictor=Predictor.load(small, device="cpu")) as store:
        wait_until(lambda: store.get("one"))
    with (
        pytest.raises(OutputError, match="are of the label scheme hpa-2018, and the model answers with"),
        watching(station, predictor=Predictor.load(network.model, card=network.card, device="cpu")),
    ):
        pass


@pytest.fixture
def page(station: Station) -> Iterator[Any]:
    with serving(station) as served:
        yield served


def test_the_page_shows_all_classes_of_the_scheme(network: Network, page: Any, browser: Any, tmp_path: Path) -> None:
    sample = field(tmp_path / "mine", "field-1", seed=3)
    (expected,) = Predictor.load(network.model, card=network.card, device="cpu").predict(sample)
    classes = len(network.interface.scheme)
    with visiting(browser, page) as visit:
        drop(visit, list(sample.files))
        visit.locator("#field .field-id").first.wait_for()
        assert sorted(shown_labels(visit)) == sorted(map(str, expected))
        button = visit.get_by_role("button", name=f"All {classes} labels")
        if button.count():
            button.click()
        assert visit.locator("#field tbody tr").count() == classes
    status = page.get("/health")
    assert status["labels"] == list(network.interface.scheme.names)
    assert status["label_counts"] == [int(label in expected) for label in network.interface.scheme]
    assert page.client.get("/results", params={"label": classes}).status_code == 422
    assert len(page.get("/results", label=int(next(iter(expected))))["results"]) == 1


def test_an_explanation_is_of_a_label_of_the_scheme(network: Network, tmp_path: Path) -> None:
    name = network.interface.scheme.names[-1]
    out, maps = tmp_path / "map.png", tmp_path / "map.tif"
    options = ("-o", out, "--label", name.upper(), "--save-map", maps, "--window", 32)
    done = network.hpa("explain", network.fields[0].files[0], *options)
    assert done.exit_code == 0, done.stderr
    assert out.stat().st_size > 0
    refused = network.hpa("explain", network.fields[0].files[0], "-o", out, "--label", str(Label.RODS_AND_RINGS))
    assert refused.exit_code == 2
    assert f"names none of the {len(network.interface.scheme)} classes" in refused.stderr


def test_a_benchmark_needs_no_network_of_the_study(network: Network) -> None:
    folder = network.fields[0].files[0].parent
    done = network.hpa("bench", folder, "--rounds", 1, "--seconds", 0.05, "--json")
    assert done.exit_code == 0, done.stderr
    refused = network.hpa("bench", folder, "--rounds", 1, "--seconds", 0.05, "--against", "study-loop")
    assert refused.exit_code == 2
    assert "takes other images than those of the study" in refused.stderr
