"""Fields are found as they are drawn, and counted meanwhile."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from hpa_sdk import Failure, Predictor, Sample
from hpa_sdk.batch.answers import Forgetful, answers_in_order
from hpa_sdk.batch.discovery import count_aside, find_all
from hpa_sdk.errors import SampleError
from tests.hpa_sdk.batch.runs import make_fields


def test_what_is_counted_is_what_is_found(fields: list[Sample], tmp_path: Path) -> None:
    folder = fields[0].files[0].parent
    make_fields(folder / "below", 3)
    table = tmp_path / "ids.csv"
    table.write_text("Id\nfield-1\nfield-3\n", encoding="utf-8")
    paths = [str(path) for path in (folder, table, fields[2].files[0], tmp_path / "gone")]
    for recursive, expected in ((False, 5 + 2 + 1 + 1), (True, 8 + 2 + 1 + 1)):
        totals: queue.Queue[int] = queue.Queue()
        count_aside(paths, totals.put, recursive=recursive)
        found = list(find_all(paths, recursive=recursive, root=folder))
        assert totals.get(timeout=30) == len(found) == expected
        assert isinstance(found[-1], Failure)


def test_the_first_answers_do_not_wait_for_the_last_field(model: Path, fields: list[Sample]) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[Sample | Failure]:
        for number in count():
            drawn.append(number)
            yield fields[number % len(fields)]

    answers = answers_in_order(endless(), Predictor.load(model, device="cpu").stream, Forgetful())
    assert [answer.id for answer in islice(answers, 7)] == [fields[number % 5].id for number in range(7)]
    assert len(drawn) < 200


def test_paths_that_all_lead_nowhere_raise_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no sample lies here"):
        find_all([str(tmp_path / "a"), str(tmp_path)], recursive=False, root=None)
