"""A truth counts for one field: never for two that have the same id, and for those of one run by their own ids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import Predictor
from hpa_sdk.errors import TableError
from hpa_sdk.labels import HPA_2018, HPA_2021, LabelScheme
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.report.metrics import read_truth
from hpa_sdk.results.writers import open_writer
from tests.hpa_sdk.report.test_answered_files import predict
from tests.hpa_sdk.report.test_report import content_of
from tests.small import make_field


def plates(folder: Path, *names: str) -> list[Path]:
    for at, name in enumerate(names):
        make_field(folder / name, "f1", np.random.default_rng(at))
    make_field(folder / names[0], "other", np.random.default_rng(9))
    return [folder / name for name in names]


def test_an_id_of_two_results_has_no_truth(tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = plates(tmp_path, "plateA", "plateB")
    results, truth = tmp_path / "results.csv", tmp_path / "truth.csv"
    predictor = Predictor.load(model, device="cpu")
    with open_writer(results, "csv") as writer:  # as two runs whose tables were put together
        for folder in folders:
            for prediction in predictor.predict(folder):
                writer.write(prediction)
    truth.write_text("Id,Target\nf1,0\nother,0\n", encoding="utf-8")
    page = tmp_path / "report.html"
    fields = make_report(Sources(results=results, truth=truth), page=page)
    assert [(field.result.id, field.truth is None) for field in fields] == [
        ("f1", True),
        ("other", False),
        ("f1", True),
    ]
    assert "2 fields count as without truth, because several results have their id; the first: f1" in caplog.text
    content = content_of(page)
    assert (content["judged"]["fields"], content["repeated"]) == (1, 2)


def test_a_truth_of_repeated_ids_alone_is_refused_row_by_row(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = plates(tmp_path, "plateA")[0]
    results, truth, page = tmp_path / "results.csv", tmp_path / "truth.csv", tmp_path / "report.html"
    with open_writer(results, "csv") as writer:
        for prediction in Predictor.load(model, device="cpu").predict([folder / "f1"] * 2):
            writer.write(prediction)
    truth.write_text("Id,Target\nf1,0\n", encoding="utf-8")
    make_report(Sources(results=results, truth=truth), page=page)
    assert content_of(page)["judged"] is None
    assert "2 fields count as without truth" in caplog.text


def test_a_truth_names_fields_as_the_run_writes_them(tmp_path: Path, model: Path) -> None:
    folders = plates(tmp_path, "plateA", "plateB")
    results, truth = tmp_path / "results.csv", tmp_path / "truth.csv"
    predict(model, results, *folders)
    truth.write_text("Id,Target\nplateA/f1,0\nplateB/f1,25\nf1,3\n", encoding="utf-8")
    fields = make_report(Sources(results=results, truth=truth), page=tmp_path / "report.html")
    known = {field.result.id: field.truth and sorted(map(int, field.truth)) for field in fields}
    assert known == {"plateA/f1": [0], "plateB/f1": [25], "other": None}


def test_a_truth_of_another_scheme_is_refused(tmp_path: Path, model: Path) -> None:
    (folder,) = plates(tmp_path, "plateA")
    results, truth, page = tmp_path / "results.csv", tmp_path / "train.csv", tmp_path / "report.html"
    predict(model, results, folder)
    truth.write_text("Id,Target\nf1,13\n", encoding="utf-8")
    scheme = tmp_path / "scheme.json"
    scheme.write_text(json.dumps({"name": HPA_2021.name, "names": HPA_2021.names}), encoding="utf-8")
    with pytest.raises(TableError, match="labels of hpa-2021, not of hpa-2018"):
        make_report(Sources(results=results, truth=truth), page=page)
    scheme.write_text(json.dumps({"name": HPA_2018.name, "names": HPA_2018.names}), encoding="utf-8")
    make_report(Sources(results=results, truth=truth), page=page)
    assert content_of(page)["judged"]["fields"] == 1
    # A class of one's own, whose number was written into what 'hpa review export' wrote.
    scheme.rename(tmp_path / "reviews.csv")
    truth.write_text("Id,Target\nf1,13 28\n", encoding="utf-8")
    assert len(read_truth(truth, LabelScheme("lab-29", (*HPA_2018.names, "Own")))["f1"]) == 2
