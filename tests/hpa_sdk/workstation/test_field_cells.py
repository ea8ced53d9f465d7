"""With [cells] in the station file, a watched field also gets a table of its cells, before its result is published."""

import csv
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from hpa_sdk import Predictor
from hpa_sdk.cells import CellAnswers
from hpa_sdk.errors import OutputError, PlaneError, SettingError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.labels import HPA_2018
from hpa_sdk.prediction import Failure
from hpa_sdk.results.result_store import UPLOADS
from hpa_sdk.workstation.micro_manager import FieldHandler
from hpa_sdk.workstation.station import Cells, read_station
from hpa_sdk.workstation.station_setup import open_store
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.hpa_sdk.workstation.watching import make_station, wait_until, watching
from tests.small import make_model, write_planes


def cells_of(folder: Path, name: str) -> list[dict[str, str]]:
    text = (folder / "cells" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_a_field_gets_a_table_of_its_cells(tmp_path: Path, model: Path) -> None:
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    with watching(station) as store:
        sample = write_planes(tmp_path / "exports", "Zelle ö", draw(FOUR))
        write_planes(tmp_path / "exports", "empty", draw([]))
        wait_until(lambda: store.count() == 2)
        found = cells_of(station.output, "Zelle ö")
        assert "no nucleus was found" in cells_of(station.output, "empty")[0]["error"]
    with Predictor.load(model, device="cpu") as predictor:
        (expected,) = predictor.cells(sample)
    assert isinstance(expected, CellAnswers)
    assert [row["labels"] for row in found] == [";".join(map(str, one)) for one in expected.answers]  # type: ignore[arg-type]


def test_masks_of_the_station_are_used(tmp_path: Path, model: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    labels = np.zeros((384, 384), np.uint8)
    labels[50:110, 50:110] = 5
    Image.fromarray(labels).save(masks / "A01.png")
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells(masks=masks))
    with watching(station) as store:
        write_planes(tmp_path / "exports", "A01", draw(FOUR))
        wait_until(store.count)
    assert [row["cell"] for row in cells_of(station.output, "A01")] == ["5"]


def test_the_result_counts_the_cells(tmp_path: Path, model: Path) -> None:
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    with watching(station) as store:
        write_planes(tmp_path / "exports", "A01", draw(FOUR))
        wait_until(store.count)
        result = store.get("A01")
    assert result is not None
    assert result.cells is not None
    assert (result.cells.cells, result.cells.height) == (len(FOUR), 384)


def test_a_class_named_like_a_column_is_refused_at_start(tmp_path: Path) -> None:
    names = (*HPA_2018.names[:-1], "area")
    model = make_model(tmp_path / "own.onnx", labels=names, scheme="own")
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    with pytest.raises(OutputError, match="class 'area' has the name of a column"), watching(station):
        pass


def test_cells_that_fail_once_are_answered_again(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if a share was lost between the answer for the field and that for its cells.
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    cells = Predictor.cells
    failed: list[str] = []

    def fail_first(self: Predictor, sources: list[Sample], **options: Any) -> Any:
        if not failed:
            failed.append(sources[0].id)
            return iter([Failure(sources[0].id, PlaneError("the share is lost", remedy="Wait."))])
        return cells(self, sources, **options)

    monkeypatch.setattr(Predictor, "cells", fail_first)
    write_planes(station.watch, "A01", draw(FOUR))
    with watching(station) as store:
        wait_until(store.count)
    assert failed == ["A01"]
    assert [row["error"] for row in cells_of(station.output, "A01")] == [""] * len(FOUR)


def test_cells_that_fail_twice_count_as_failed(tmp_path: Path, model: Path) -> None:
    (tmp_path / "masks").mkdir()  # and no mask in it
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells(masks=tmp_path / "masks"))
    with watching(station) as store:
        write_planes(tmp_path / "exports", "A01", draw(FOUR))
        wait_until(store.count)
        result = store.get("A01")
    assert result is not None
    assert result.error is None
    assert result.cells is not None
    assert "mask" in result.cells.error
    (row,) = cells_of(station.output, "A01")
    assert "mask" in row["error"]


def test_two_fields_never_share_a_table(tmp_path: Path, model: Path) -> None:
    (tmp_path / "a").touch()
    if (tmp_path / "A").exists():
        pytest.skip("this disk does not know the case of letters")
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    with watching(station) as store:
        for count, name in enumerate(("A01", "a01"), 1):
            write_planes(tmp_path / "exports", name, draw(FOUR))
            wait_until(lambda count=count: store.count() == count)  # type: ignore[misc]
        second = store.get("a01")
    assert {row["id"] for row in cells_of(station.output, "A01")} == {"A01"}
    assert second is not None
    assert second.error is None
    assert second.cells is not None
    assert "would have one file" in second.cells.error


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits whole paths, not names alone")
def test_an_id_too_long_for_a_table_is_answered(tmp_path: Path, model: Path) -> None:
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    with watching(station) as store:
        write_planes(tmp_path / "exports", "x" * 244, draw(FOUR))
        wait_until(lambda: store.count() == 1)
        [result] = store.newest(1)
    assert result.error is None
    assert result.cells is not None
    assert "too long for the name of a file" in result.cells.error


def test_partial_tables_of_a_killed_watch_are_removed(tmp_path: Path, model: Path) -> None:
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    folder = station.output / "cells" / "plate"
    folder.mkdir(parents=True)
    partial, own = folder / ".0123abcd.A01.csv", folder / ".mine.csv"
    # Another process answers what is sent to its page.
    sent = station.output / "cells" / UPLOADS / "1" / partial.name
    sent.parent.mkdir(parents=True)
    for file in (partial, own, sent):
        file.touch()
    with watching(station):
        wait_until(lambda: not partial.exists())
    assert own.exists()
    assert sent.exists()


def test_the_station_file_has_the_table(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    text = 'model = "m.onnx"\nwatch = "exports"\noutput = "answers"\n'
    for more, cells in (("", None), ("[cells]\n", Cells()), ('[cells]\nmasks = "m"\n', Cells(masks=tmp_path / "m"))):
        file.write_text(text + more, encoding="utf-8")
        assert read_station(file).cells == cells


def test_an_acquisition_refuses_to_ignore_it(tmp_path: Path, model: Path) -> None:
    station = msgspec.structs.replace(make_station(tmp_path, model), cells=Cells())
    with (
        open_store(station) as store,
        Predictor.load(model, device="cpu") as predictor,
        pytest.raises(SettingError, match="answered as a whole"),
    ):
        FieldHandler(station, predictor, store)
