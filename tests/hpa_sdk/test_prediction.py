"""A prediction is a set of labels."""

from collections.abc import Set as AbstractSet

import numpy as np
import pytest

from hpa_sdk.errors import PlaneError
from hpa_sdk.labels import Label, SchemeLabel
from hpa_sdk.prediction import Failure, Prediction, PredictionError


@pytest.fixture
def prediction() -> Prediction:
    probabilities = np.linspace(0, 0.9, 28, dtype=np.float32)
    probabilities[3] = 0.95
    return Prediction.from_probabilities(
        probabilities,
        id="x",
        thresholds=np.full(28, 0.85, np.float32),
        embedding=np.zeros(512, np.float32),
        white=np.full(4, 255, np.float32),
    )


def test_it_is_a_set_of_the_labels_that_reach_their_thresholds(prediction: Prediction) -> None:
    expected = {Label.NUCLEOLI_FIBRILLAR_CENTER, Label.CYTOPLASMIC_BODIES, Label.RODS_AND_RINGS}
    assert isinstance(prediction, AbstractSet)
    as_set: AbstractSet[Label | SchemeLabel] = prediction
    assert as_set == expected
    assert prediction.labels == frozenset(expected)
    assert Label.RODS_AND_RINGS in prediction
    assert Label.NUCLEOPLASM not in prediction
    assert list(prediction) == sorted(expected)
    assert prediction & {Label.RODS_AND_RINGS, Label.CYTOSOL} == {Label.RODS_AND_RINGS}
    assert prediction | {Label.CYTOSOL} == expected | {Label.CYTOSOL}
    assert prediction - expected == frozenset()
    assert prediction <= set(Label)


def test_a_probability_equal_to_its_threshold_counts() -> None:
    half = np.full(28, 0.5, np.float32)
    made = Prediction.from_probabilities(half, id="x", thresholds=half.copy(), embedding=half.copy(), white=half.copy())
    assert len(made) == 28


def test_top_gives_the_likeliest_first(prediction: Prediction) -> None:
    labels = [label for label, _ in prediction.top(3)]
    assert labels == [Label.NUCLEOLI_FIBRILLAR_CENTER, Label.RODS_AND_RINGS, Label.CYTOPLASMIC_BODIES]
    assert prediction.top(1)[0][1] == pytest.approx(0.95)
    assert len(prediction.top(100)) == 28


def test_it_can_be_read_and_not_written(prediction: Prediction) -> None:
    assert repr(prediction) == "Prediction('x': Nucleoli fibrillar center; Cytoplasmic bodies; Rods & rings)"
    with pytest.raises(ValueError, match="read-only"):
        prediction.probabilities[0] = 1


def test_a_failure_of_a_batch_keeps_the_remedy_of_its_cause(prediction: Prediction) -> None:
    cause = PlaneError("16-bit planes need a white level", where="a_red.png", remedy="Give white=4095.")
    one = PredictionError([Failure("a", cause)])
    assert str(one) == (
        "a_red.png: 1 of 1 field failed; the first, a: 16-bit planes need a white level. Give white=4095."
    )
    some = PredictionError([prediction, Failure("a", cause), Failure("b", PlaneError("x", remedy="Y."))])
    assert "2 of 3 fields failed; the first, a: 16-bit planes" in some.what
    assert some.remedy == "Give white=4095. The other answers are in this error's 'answers'."
