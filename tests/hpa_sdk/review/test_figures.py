"""Figures of models and agreement between people are those of scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, multilabel_confusion_matrix

from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.results.result import ResultError
from hpa_sdk.review.agreement import agreement, cohen_kappa
from hpa_sdk.review.consensus import settle
from hpa_sdk.review.figures import judge_models
from tests.hpa_sdk.review.made_reviews import result_of, review_of

ADAPTED = "the model was adapted to this field, so the answer does not show how good the model is"
CLASSES, FIELDS = 28, 120
RNG = np.random.default_rng(4)
TRUTH = RNG.random((FIELDS, CLASSES)) < 0.08
ANSWERS = TRUTH ^ (RNG.random((FIELDS, CLASSES)) < 0.04)


def labels(rows: np.ndarray, at: int) -> tuple[int, ...]:
    return tuple(np.flatnonzero(rows[at]).tolist())


def test_f1_and_confusions_are_those_of_scikit_learn() -> None:
    results = [result_of(f"f{at}", labels(ANSWERS, at)) for at in range(FIELDS)]
    fields = settle(review_of(result, "labels", labels(TRUTH, at)) for at, result in enumerate(results))
    (found,) = judge_models(fields, [], CLASSES)
    occurs = TRUTH.any(0)
    assert found.micro_f1.value == pytest.approx(f1_score(TRUTH, ANSWERS, average="micro"))
    assert found.macro_f1.value == pytest.approx(f1_score(TRUTH[:, occurs], ANSWERS[:, occurs], average="macro"))
    assert (found.reviewed, found.judged) == (FIELDS, FIELDS)
    assert found.right == (TRUTH == ANSWERS).all(1).sum()
    confusion = multilabel_confusion_matrix(TRUTH, ANSWERS)
    for label, of in found.classes.items():
        counts = [[of.true_negatives, of.false_positives], [of.false_negatives, of.true_positives]]
        assert counts == confusion[label].tolist()
    instead = (ANSWERS & ~TRUTH).T.astype(int) @ (TRUTH & ~ANSWERS).astype(int)
    assert {label: of.instead for label, of in found.classes.items()} == {
        label: {other: n for other, n in enumerate(instead[label].tolist()) if n} for label in found.classes
    }


def test_intervals_are_those_of_resamples_by_hand() -> None:
    results = [result_of(f"f{at}", labels(ANSWERS, at)) for at in range(FIELDS)]
    fields = settle(review_of(result, "labels", labels(TRUTH, at)) for at, result in enumerate(results))
    (found,) = judge_models(fields, [], CLASSES, resamples=100)
    micro, macro, of_class = [], [], []
    for times in np.random.default_rng(20180927).multinomial(FIELDS, np.full(FIELDS, 1 / FIELDS), 100):
        rows = np.repeat(np.arange(FIELDS), times)
        truth, answers = TRUTH[rows], ANSWERS[rows]
        f1 = f1_score(truth, answers, average=None, zero_division=0)
        micro.append(f1_score(truth, answers, average="micro"))
        macro.append(f1[truth.any(0)].mean())
        of_class.append(f1[5])
        assert truth[:, 5].any()
    for estimate, drawn in ((found.micro_f1, micro), (found.macro_f1, macro), (found.classes[5].f1, of_class)):
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))


def test_a_second_model_is_judged_by_the_same_reviews() -> None:
    first = [result_of(name, (0,)) for name in "abc"]
    reviews = [review_of(first[0]), review_of(first[1], "labels", (3,)), review_of(first[2], "wrong")]
    # The second model's answers: right, right, and one of which nobody said anything.
    second = [result_of(name, shown, model_sha256="b" * 64) for name, shown in (("a", (0,)), ("b", (3,)), ("c", (7,)))]
    found = {figures.model[0]: figures for figures in judge_models(settle(reviews), second, CLASSES)}
    assert (found["a"].reviewed, found["a"].right, found["a"].judged) == (3, 1, 2)
    assert (found["b"].reviewed, found["b"].right) == (2, 2)
    assert found["b"].micro_f1.value == 1
    # The answer that was called wrong is wrong for whichever model gives it.
    same = [result_of("c", (0,), model_sha256="b" * 64)]
    (judged,) = [one for one in judge_models(settle(reviews), same, CLASSES) if one.model[0] == "b"]
    assert (judged.reviewed, judged.right) == (1, 0)


def test_the_present_answer_of_a_model_is_judged() -> None:
    shown = result_of("a", (0,))
    now = result_of("a", (3,), thresholds=(0.05,) * CLASSES)
    fields = settle([review_of(shown, "labels", (3,))])
    (earlier,) = judge_models(fields, [], CLASSES)
    (present,) = judge_models(fields, [now], CLASSES)
    assert (earlier.right, present.right) == (0, 1)


def test_a_review_without_files_does_not_hide_the_picture() -> None:
    shown = result_of("a", (0,), files=("a.png",), stamps=(FileStamp(10, 1),))
    fields = settle([review_of(shown), review_of(replace(shown, files=(), stamps=()))])
    other = replace(shown, model_sha256="b" * 64)
    assert {one.model[0] for one in judge_models(fields, [other], CLASSES)} == {"a", "b"}


def test_a_model_that_failed_on_a_field_is_not_judged_on_it() -> None:
    failed = result_of("a", (), error=ResultError("out of memory", None, ""), model_sha256="b" * 64)
    fields = settle([review_of(result_of("a", (0,))), review_of(failed, "unsure", by="Bob")])
    assert [one.model[0] for one in judge_models(fields, [failed], CLASSES)] == ["a"]


def test_pictures_that_were_taken_as_cells_are_counted() -> None:
    note = "the model answers for single cells, and the whole picture was taken as the crop of one cell"
    results = [result_of(name, notes=(note,) * taken) for name, taken in (("a", True), ("b", True), ("c", False))]
    reviews = [review_of(results[0]), review_of(results[1], "unsure"), review_of(results[2], "wrong")]
    (found,) = judge_models(settle(reviews), [], CLASSES)
    assert (found.reviewed, found.as_cells) == (2, 1)


def test_fields_that_a_model_was_adapted_to_are_apart() -> None:
    known = RNG.random(FIELDS) < 0.3
    results = [result_of(f"f{at}", labels(ANSWERS, at), notes=(ADAPTED,) * bool(known[at])) for at in range(FIELDS)]
    reviews = [review_of(result, "labels", labels(TRUTH, at)) for at, result in enumerate(results)]
    (found,) = judge_models(settle(reviews), [], CLASSES)
    assert (found.reviewed, found.adapted) == (FIELDS, known.sum())
    assert found.micro_f1.value == pytest.approx(f1_score(TRUTH, ANSWERS, average="micro"))
    truth, answers = TRUTH[~known], ANSWERS[~known]
    assert found.others is not None
    assert (found.others.reviewed, found.others.adapted, found.others.others) == ((~known).sum(), 0, None)
    assert found.others.micro_f1.value == pytest.approx(f1_score(truth, answers, average="micro"))
    assert found.others.right == (truth == answers).all(1).sum()
    (few,) = judge_models(settle([*(one for one in reviews if one.result.notes), *reviews[:3]]), [], CLASSES)
    assert (few.adapted, few.others) == (known.sum(), None)
    (plain,) = judge_models(settle(one for one in reviews if not one.result.notes), [], CLASSES)
    assert (plain.adapted, plain.others) == (0, None)


def test_kappa_is_that_of_scikit_learn() -> None:
    one, other = TRUTH[:, :6], ANSWERS[:, :6]
    for label in range(6):
        expected = cohen_kappa_score(one[:, label], other[:, label])
        assert cohen_kappa(one[:, label], other[:, label]) == pytest.approx(expected)
    always = np.ones(5, bool)
    assert cohen_kappa(always, always) is None


def test_people_are_compared_on_the_fields_that_both_labelled() -> None:
    results = [result_of(f"f{at}") for at in range(FIELDS)]
    reviews = [review_of(result, "labels", labels(TRUTH, at)) for at, result in enumerate(results)]
    reviews += [review_of(result, "labels", labels(ANSWERS, at), by="Bob") for at, result in enumerate(results[:80])]
    reviews += [review_of(results[0], "unsure", by="Cleo")]
    (pair,) = agreement(settle(reviews), CLASSES)
    assert (pair.people, pair.fields) == (("Anna", "Bob"), 80)
    assert pair.same == (TRUTH[:80] == ANSWERS[:80]).all(1).sum()
    for label, kappa in pair.kappa.items():
        assert kappa == pytest.approx(cohen_kappa_score(TRUTH[:80, label], ANSWERS[:80, label]))
