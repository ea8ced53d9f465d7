"""Figures are those of scikit-learn, and mistakes weigh by how sure they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from hpa_sdk.errors import TableError
from hpa_sdk.labels import HPA_2018, Label
from hpa_sdk.report.metrics import judge, margins, overall, read_truth, wrong_margin

CLASSES = len(Label)


def test_figures_are_those_of_another_library() -> None:
    rng = np.random.default_rng(2)
    truth, found = rng.random((2, 200, CLASSES)) < 0.15
    truth[:, 20:], found[:, 24:] = False, False  # classes that nobody has, and that nobody finds
    sets = [[frozenset(map(Label, np.flatnonzero(row).tolist())) for row in rows] for rows in (found, truth)]
    figures = judge(zip(*sets, strict=True), CLASSES)
    precision, recall, f1, support = precision_recall_fscore_support(truth, found, zero_division=np.nan)
    ours = np.array([[one.precision, one.recall, one.f1] for one in figures], float)
    np.testing.assert_allclose(ours[:, :2], np.stack([precision, recall], 1))
    np.testing.assert_allclose(ours[:20, 2], f1[:20])
    assert [one.support for one in figures] == support.tolist()
    micro, macro = overall(figures)
    assert micro == pytest.approx(f1_score(truth, found, average="micro"))
    assert macro == pytest.approx(f1_score(truth[:, :20], found[:, :20], average="macro"))


def test_margins_reach_from_threshold_to_certainty() -> None:
    probabilities, thresholds = [0.5] * CLASSES, [0.5] * CLASSES
    probabilities[:6] = [1, 0, 0.2, 0.6, 0, 1]
    thresholds[:6] = [0.2, 0.2, 0.4, 0.2, 0, 1]
    assert margins(probabilities, thresholds)[:7].tolist() == pytest.approx([1, -1, -0.5, 0.5, 0, 1, 0])


def test_a_sure_mistake_is_worse_than_an_unsure_one() -> None:
    margin = np.linspace(0.9, -0.9, CLASSES)
    sure, unsure = Label(0), Label(13)
    assert wrong_margin(margin, frozenset({sure, unsure}), frozenset({sure, unsure})) == 0
    assert wrong_margin(margin, frozenset({sure}), frozenset()) > wrong_margin(margin, frozenset({unsure}), frozenset())
    missed = wrong_margin(margin, frozenset(), frozenset({Label(27)}))
    assert missed == pytest.approx(0.9)


def test_truth_is_given_by_index_or_by_name(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text('Id,Target\na,0 25\nb,Nucleoplasm;Cytosol\nc,"nucleoplasm, cytosol"\n', encoding="utf-8")
    truth = read_truth(table, HPA_2018)
    assert list(truth) == ["a", "b", "c"]
    assert set(truth.values()) == {frozenset({Label.NUCLEOPLASM, Label.CYTOSOL})}


@pytest.mark.parametrize("rows", ["a,28", "a,x", "a,0\na,1", "a,-1", "a,Vesicles"])
def test_a_table_that_is_no_truth_is_reported_with_its_line(tmp_path: Path, rows: str) -> None:
    table = tmp_path / "train.csv"
    table.write_text(f"Id,Target\n{rows}\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"line [23]"):
        read_truth(table, HPA_2018)
