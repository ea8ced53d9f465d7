"""The starter in the package is the released file, small, honest about itself, and answers the sample fields."""

from __future__ import annotations

from hpa_sdk import Predictor
from hpa_sdk.models.packaged_models import built_in_catalogue, verify_packaged
from tests.conftest import STARTER
from tests.starter import FIELDS, needs_starter

LARGEST = 4_000_000


@needs_starter
def test_the_file_is_the_one_of_the_catalogue() -> None:
    entry = built_in_catalogue()["starter"]
    verify_packaged("starter", entry)
    assert STARTER.stat().st_size <= LARGEST
    card = Predictor.load("starter", device="cpu", verify=True).card
    assert (card.name, card.unit, card.scheme) == ("starter", entry.unit, entry.scheme)
    assert (card.licence, card.citation) == (entry.licence, entry.citation)
    assert "must not be used" in card.warning
    assert card.metrics is not None


@needs_starter
def test_it_answers_the_sample_fields() -> None:
    predictions = Predictor.load("starter", device="cpu").predict(FIELDS)
    assert len(predictions) == 12
    assert len({prediction.labels for prediction in predictions}) >= 3
