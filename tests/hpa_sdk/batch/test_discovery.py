"""Fields are found as they are drawn, and counted meanwhile."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import Failure, Predictor, Sample
from hpa_sdk.batch.answers import NoCache, answers_in_order
from hpa_sdk.batch.discovery import count_aside, find_all
from hpa_sdk.errors import SampleError
from tests.hpa_sdk.batch.runs import make_fields
from tests.small import random_planes, write_planes


def test_what_is_counted_is_what_is_found(fields: list[Sample], tmp_path: Path) -> None:
    folder = fields[0].files[0].parent
    make_fields(folder / "below", 3)
    table = tmp_path / "ids.csv"
    table.write_text("Id\nfield-1\nfield-3\n", encoding="utf-8")
    paths = [str(path) for path in (folder, table, fields[2].files[0], tmp_path / "gone")]
    # What the table and the plane name lies in the folder too, and is given once.
    for recursive, expected in ((False, 5 + 1), (True, 8 + 1)):
        totals: queue.Queue[int] = queue.Queue()
        count_aside(paths, totals.put, recursive=recursive, root=folder)
        found = list(find_all(paths, recursive=recursive, root=folder))
        assert totals.get(timeout=30) == len(found) == expected
        assert isinstance(found[-1], Failure)


def test_fields_of_one_name_get_ids_of_their_own(tmp_path: Path) -> None:
    for plate in ("1/plate", "2/plate", "2/other"):
        make_fields(tmp_path / plate, 2)
    write_planes(tmp_path / "2/plate", "field-00001", random_planes(np.random.default_rng(1)), ".tif")
    png, tif = (tmp_path / "2/plate" / f"field-00001_red{extension}" for extension in (".png", ".tif"))
    table = tmp_path / "1/plate/ids.csv"
    table.write_text("Id\nfield-00001\nfield-00001\n", encoding="utf-8")
    cases = {
        ("1/plate",): ["field-00000", "field-00001"],
        ("1/plate", "1/plate"): ["field-00000", "field-00001"],
        ("1/plate/ids.csv",): ["field-00001"],
        ("1/plate", "2/other/field-00001"): ["field-00000", "plate/field-00001", "other/field-00001"],
        ("1/plate", "2/plate/field-00000"): ["1/plate/field-00000", "field-00001", "2/plate/field-00000"],
        (str(png), str(tif)): ["field-00001.png", "field-00001.tif"],
    }
    for paths, expected in cases.items():
        found = list(find_all([str(tmp_path / path) for path in paths], recursive=False, root=None))
        assert [item.id for item in found] == expected
        assert [sample.files[0].parent.name for sample in found if isinstance(sample, Sample)]


def test_ids_of_a_recursive_search_stay_unique(tmp_path: Path) -> None:
    make_fields(tmp_path / "all/plate", 1)
    make_fields(tmp_path / "all", 1)
    make_fields(tmp_path / "x/plate", 1)
    paths = [str(tmp_path / "all"), str(tmp_path / "x/plate")]
    ids = [item.id for item in find_all(paths, recursive=True, root=None)]
    assert ids == ["all/field-00000", "plate/field-00000", "x/plate/field-00000"]


def test_the_first_answers_do_not_wait_for_the_last_field(model: Path, fields: list[Sample]) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[Sample | Failure]:
        for number in count():
            drawn.append(number)
            yield fields[number % len(fields)]

    answers = answers_in_order(endless(), Predictor.load(model, device="cpu").stream, NoCache())
    assert [answer.id for answer in islice(answers, 7)] == [fields[number % 5].id for number in range(7)]
    assert len(drawn) < 200


def test_paths_that_all_lead_nowhere_raise_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no sample lies here"):
        find_all([str(tmp_path / "a"), str(tmp_path)], recursive=False, root=None)
