"""Errors say what, where and what to do, and cross process boundaries."""

import pickle
from pathlib import Path

from hpa_sdk.errors import HpaError, PlaneError


def test_the_message_has_what_where_and_remedy() -> None:
    error = PlaneError("the file is empty", where=Path("a") / "b.png", remedy="Copy it again.")
    assert isinstance(error, HpaError)
    assert str(error) == f"{Path('a') / 'b.png'}: the file is empty. Copy it again."
    assert str(PlaneError("x", remedy="Y.")) == "x. Y."


def test_an_error_survives_pickling() -> None:
    error = PlaneError("the file is empty", where="b.png", remedy="Copy it again.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is PlaneError
    assert (str(again), again.where, again.remedy) == (str(error), error.where, error.remedy)
