"""Makes results and reviews of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.record import Review, Verdict

_ids = count(1)

OWN_SCHEME = LabelScheme("own", ("One", "Two", "Three"))


def result_of(name: str, shown: Sequence[int] = (0,), *, scheme: LabelScheme = HPA_2018, **changes: Any) -> Result:
    """Make a result."""
    values: dict[str, Any] = {
        "labels": tuple(scheme.names[index] for index in shown),
        "indices": tuple(shown),
        "probabilities": tuple(0.9 if index in shown else 0.1 for index in range(len(scheme))),
        "thresholds": (0.5,) * len(scheme),
        "model_sha256": "a" * 64,
        "device": "cpu",
        "time": "2026-01-01T00:00:00.000+00:00",
        "scheme": scheme.name,
        "classes": () if scheme == HPA_2018 else scheme.names,
    }
    return Result(id=name, **(values | changes))


def review_of(
    result: Result, verdict: Verdict = "right", labels: Sequence[int] = (), *, by: str = "Anna", **changes: Any
) -> Review:
    """Make a review; each is later than the one made before."""
    number = next(_ids)
    values: dict[str, Any] = {
        "id": f"review-{number:08}",
        "time": f"2026-02-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000+00:00",
        "labels": result.indices if verdict == "right" else tuple(labels),
    }
    return Review(verdict=verdict, reviewer=by, result=result, **(values | changes))


def withdrawal_of(review: Review, **changes: Any) -> Review:
    """Make the withdrawal of a review."""
    return review_of(review.result, "withdrawn", by=changes.pop("by", review.reviewer), withdraws=review.id, **changes)


def store_of(folder: Path, *results: Result) -> ResultStore:
    """Make a store of results; the caller closes it."""
    folder.mkdir(parents=True, exist_ok=True)
    store = ResultStore(folder)
    if results:
        store.set_scheme(results[0].label_scheme)
        store.add(*results)
    return store
