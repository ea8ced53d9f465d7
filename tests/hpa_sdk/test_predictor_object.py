"""A predictor says what it is, and that it belongs to its process."""

import copy
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import Predictor, Sample
from hpa_sdk.errors import HpaError, SettingError
from tests.small import make_model


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


def test_what_a_model_is_not_for_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = make_model(tmp_path / "warned.onnx", name="warned", warning="Not for diagnosis, log.")
    for _ in range(2):
        Predictor.load(model, device="cpu").close()
    assert [record.message for record in caplog.records] == ["The model warned: Not for diagnosis, log."]


def test_a_closed_predictor_refuses_predictions(model: Path, fields: list[Sample]) -> None:
    with Predictor.load(model, device="cpu", threads=2) as predictor:
        many = predictor.session.for_many()
        expected = predictor.predict(fields)
        assert len(expected) == len(fields)
    predictor.close()
    with pytest.raises(SettingError, match=r"the model was closed\. Load it again\."):
        predictor.predict(fields)
    with pytest.raises(SettingError, match="the model was closed"):
        predictor.predict_planes(np.zeros((1, 4, 64, 64), np.uint8))
    with pytest.raises(SettingError, match="closed"):
        many.run(np.zeros((1, 299, 299, 3), np.float32))


def test_closing_waits_for_runs_and_frees_the_model(model: Path) -> None:
    predictor = Predictor.load(model, device="cpu", threads=1)
    slot = predictor.session._take()
    freed = weakref.ref(slot.session)
    with ThreadPoolExecutor() as pool:
        closing = pool.submit(predictor.close)
        assert wait([closing], timeout=0.2).not_done
        predictor.session._slots.put(slot)
        closing.result(timeout=60)
    del slot
    assert freed() is None
