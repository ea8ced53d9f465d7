"""A predictor says what it is, and that it belongs to its process."""

import copy
import pickle
from pathlib import Path

import pytest

from hpa_sdk import Predictor
from hpa_sdk.errors import HpaError, SettingError


def test_it_says_what_answers_and_how(model: Path) -> None:
    assert repr(Predictor.load(model, device="cpu")) == (
        f"Predictor({str(model)!r}, device='cpu', precision='fp32', threshold='card', white=None)"
    )
    predictor = Predictor.load(model, device="cpu", threshold=0.3, white=4095)
    assert repr(predictor).endswith("threshold=0.3, white=4095)")
    predictor.thresholds[3] = 0.5
    assert "threshold='one for each class'" in repr(predictor)
    assert "white='percentile'" in repr(Predictor.load(model, device="cpu", white="percentile"))


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_pickled_but_opened_again(model: Path, take: object) -> None:
    predictor = Predictor.load(model, device="cpu")
    assert callable(take)
    with pytest.raises(SettingError, match="a predictor can't be pickled") as caught:
        take(predictor)
    assert isinstance(caught.value, HpaError)
    assert caught.value.where == str(model)
    assert "Predictor.load(path, sha256=predictor.model.sha256)" in caught.value.remedy
    again = Predictor.load(model, device="cpu", sha256=predictor.model.sha256)
    assert again.model.sha256 == predictor.model.sha256
