"""Results are kept once each, and their files are made right again after a stop at any point."""

import csv
import errno
import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk.errors import HpaError, OutputError
from hpa_sdk.labels import HPA_2018, Label
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.result import Result, columns
from hpa_sdk.results.result_store import LEDGER, TABLE, ResultStore
from hpa_sdk.results.writers import ORIGIN_COLUMNS, CsvWriter
from tests.hpa_sdk.workstation.watching import rows


def predict(name: str, seed: int = 0) -> Prediction:
    return Prediction.from_probabilities(
        np.random.default_rng(seed).random(len(Label), dtype=np.float32),
        id=name,
        thresholds=np.full(len(Label), 0.2, np.float32),
        embedding=np.zeros(512, np.float32),
        white=np.ones(4, np.float32),
    )


def result(name: str, seed: int = 0) -> Result:
    return Result.of(predict(name, seed), model_sha256="ab", device="cpu", files=[Path("a.png")], notes=["resized"])


def failure(name: str) -> Result:
    error = HpaError("it is torn", where="x.png", remedy="Copy it again.")
    return Result.of(Failure(name, error), model_sha256="ab", device="cpu")


def test_a_record_holds_all_of_a_prediction() -> None:
    prediction = predict("Zelle ö")
    record = Result.of(prediction, model_sha256="ab", device="cuda:1", files=[Path("x/a.png")], notes=["resized"])
    assert Result.from_json(record.to_json()) == record
    assert {Label(index) for index in record.indices} == prediction.labels
    assert {Label.from_name(name) for name in record.labels} == prediction.labels
    np.testing.assert_array_equal(np.asarray(record.probabilities, np.float32), prediction.probabilities)
    np.testing.assert_array_equal(np.asarray(record.thresholds, np.float32), prediction.thresholds)
    assert (record.files, record.device, record.notes) == ((str(Path("x/a.png").absolute()),), "cuda:1", ("resized",))


@pytest.mark.parametrize("answer", [predict("a"), Failure("b", HpaError("what", where="w", remedy="Do."))])
def test_a_row_begins_as_that_of_hpa_predict(answer: Prediction | Failure) -> None:
    file = io.StringIO()
    CsvWriter(file, HPA_2018).write(answer)
    head, row = csv.reader(io.StringIO(file.getvalue()))
    own = [str(cell) for cell in Result.of(answer, model_sha256="ab", device="cpu").to_row()]
    origin = len(ORIGIN_COLUMNS)
    assert tuple(head[-origin:]) == ORIGIN_COLUMNS
    assert list(columns()[: len(head) - origin]) == head[:-origin]
    # Digits may be written in another form, and mean the same float32.
    assert own[:4] == row[:4]
    digits = slice(4, len(head) - origin)
    assert [cell and np.float32(cell) for cell in own[digits]] == [cell and np.float32(cell) for cell in row[digits]]
    named = dict(zip(columns(), own, strict=True))
    assert [named[column] for column in ORIGIN_COLUMNS] == row[-origin:]
    assert len(own) == len(columns())


def test_names_that_are_no_unicode_are_kept_escaped(tmp_path: Path) -> None:
    with ResultStore(tmp_path) as store:
        store.add(result("a\udcff"))
        store.publish()
        assert [row["id"] for row in rows(tmp_path)] == [r"a\udcff"]
        assert store.get(r"a\udcff") is not None


def test_results_are_newest_first_and_replace_earlier_ones(tmp_path: Path) -> None:
    with ResultStore(tmp_path) as store:
        store.add(failure("a"), result("b"))
        store.publish()
        last = store.after(0)[-1][0]
        store.add(result("a", seed=5))
        store.publish()
        assert [found.id for found in store.newest(5)] == ["a", "b"]
        assert store.newest(1) == [result_at for _, result_at in store.after(last)]
        assert (store.count(), store.count(failed=True)) == (2, 0)
        assert [(row["id"], row["error"]) for row in rows(tmp_path)] == [("b", ""), ("a", "")]
        assert Result.from_json((tmp_path / "a.json").read_bytes()) == store.get("a")


def spoil_nothing(folder: Path) -> None:
    """Leave the files as they are."""


def cut_table(folder: Path) -> None:
    (folder / TABLE).write_bytes((folder / TABLE).read_bytes()[:-20])


def lengthen_table(folder: Path) -> None:
    with (folder / TABLE).open("ab") as file:
        file.write(b"b,half a r")


@pytest.mark.parametrize("spoil", [spoil_nothing, cut_table, lengthen_table, lambda folder: (folder / TABLE).unlink()])
@pytest.mark.parametrize("published", [True, False])
def test_a_stop_at_any_point_is_made_good(tmp_path: Path, spoil: object, published: bool) -> None:
    with ResultStore(tmp_path) as store:
        store.add(result("a"))
        store.publish()
        store.add(result("b"))
        if published:
            store.publish()
    spoil(tmp_path)  # type: ignore[operator]
    with ResultStore(tmp_path) as store:
        store.publish()
        store.add(result("c"))
        store.publish()
        assert [row["id"] for row in rows(tmp_path)] == ["a", "b", "c"]
        for name in "abc":
            assert Result.from_json((tmp_path / f"{name}.json").read_bytes()) == store.get(name)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    mine = [tmp_path / ".notes.json", tmp_path / "0123abcd.a.json"]
    left = [tmp_path / ".0123abcd.a.json", tmp_path / "below" / ".0123abcd.a.json", tmp_path / f".0123abcd.{TABLE}"]
    for path in (*mine, *left):
        path.write_text("half", encoding="utf-8")
    with ResultStore(tmp_path) as store:
        store.add(result("below/a"), result("not yet/b"))
        store.remove_partials()
    assert [path.exists() for path in (*mine, *left)] == [True, True, False, False, False]


def test_only_folders_with_written_files_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ResultStore(tmp_path) as store:
        store.add(*(result(f"sub {at}/a") for at in range(20)))
        store.publish()
        store.add(result("sub 7/b"))
        listed: list[Path] = []
        real = os.listdir

        def listing(folder: Path) -> list[str]:
            listed.append(folder)
            return real(folder)

        monkeypatch.setattr(os, "listdir", listing)
        store.remove_partials()
    assert sorted(listed) == [tmp_path, tmp_path / "sub 7"]


def test_old_ids_of_a_field_are_removed_even_after_a_stop(tmp_path: Path) -> None:
    with ResultStore(tmp_path) as store:
        store.add(result("a#1"), result("a#2"), field="a")
        store.add(result("b"), field="b")
        store.add(result("c"))
        store.publish()
        store.add(result("a"), field="a")
    with ResultStore(tmp_path) as store:
        assert sorted(found.id for found in store.newest(9)) == ["a", "b", "c"]
        store.publish()
        assert sorted(row["id"] for row in rows(tmp_path)) == ["a", "b", "c"]
        assert sorted(path.name for path in tmp_path.glob("*.json")) == ["a.json", "b.json", "c.json"]
        (tmp_path / "a.json").unlink()
        (tmp_path / "a.json").mkdir()
        store.add(result("a#1"), result("a#2"), field="a")
        with pytest.raises(OutputError, match=r"a\.json"):
            store.publish()
        assert (tmp_path / "a#2.json").exists()
        (tmp_path / "a.json").rmdir()
        store.publish()
        assert store.ledger.removed() == []


def test_an_id_that_comes_back_keeps_its_file(tmp_path: Path) -> None:
    with ResultStore(tmp_path) as store:
        store.add(result("a#1"), field="a")
        store.publish()
        store.add(result("a"), field="a")
        store.add(result("a#1", seed=3), field="a")
        store.publish()
        assert [path.name for path in tmp_path.glob("*.json")] == ["a#1.json"]


NAMES = [
    "../up",
    "/etc/passwd",
    "a/../../b",
    "C:\\x",
    "c:x",
    "con",
    "nul.txt",
    ".",
    "",
    "a/",
    "x" * 300,
    "ä" * 200,
    "e\x00",
]


def test_no_id_leads_out_of_the_folder_or_to_another_s_file(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    with ResultStore(folder) as store:
        store.add(*map(result, [*NAMES, "plain", "sub/plain"]))
        store.publish()
        paths = {name: store.json_path(name) for name in NAMES}
    assert len(set(paths.values())) == len(NAMES)
    for name, path in paths.items():
        assert path.resolve().is_relative_to(folder.resolve())
        assert Result.from_json(path.read_bytes()).id == name
        assert not set(path.name) & set('<>:"|?*\\')
    assert (folder / "plain.json").exists()
    assert (folder / "sub" / "plain.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


def test_a_file_that_can_t_be_written_costs_no_other_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with ResultStore(tmp_path) as store:
        store.add(result("a"), result("b"))
        with pytest.raises(OutputError, match="folder"):
            store.publish()
        assert (tmp_path / "b.json").exists()
        assert [row["id"] for row in rows(tmp_path)] == ["a", "b"]
        (tmp_path / "a.json").rmdir()
        store.publish()
        assert (tmp_path / "a.json").is_file()


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with ResultStore(tmp_path) as store:
        store.add(result("a"))
        store.publish()
        store.add(*(result(f"b{at}") for at in range(120)))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OutputError, match="full"):
                store.publish()
        store.publish()
        assert [row["id"] for row in rows(tmp_path)] == ["a", *(f"b{at}" for at in range(120))]
        assert sum(1 for _ in tmp_path.glob("*.json")) == 121


def test_several_may_write_at_once(tmp_path: Path) -> None:
    def write(part: int) -> None:
        with ResultStore(tmp_path) as store:
            for at in range(20):
                store.add(result(f"{part}-{at}"))
                store.publish()

    ResultStore(tmp_path).close()
    threads = [threading.Thread(target=write, args=(part,)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["id"] for row in rows(tmp_path)) == sorted(
        f"{part}-{at}" for part in range(3) for at in range(20)
    )


def test_a_table_of_another_ledger_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="not of this ledger"):
        ResultStore(tmp_path)
    assert (tmp_path / TABLE).read_text(encoding="utf-8") == "mine"


def test_a_missing_folder_is_refused_a_ledger_may_be_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no such folder"):
        ResultStore(tmp_path / "gone")
    (tmp_path / "results").mkdir()
    with ResultStore(tmp_path / "results", ledger=tmp_path / "mine.sqlite") as store:
        store.add(result("a"))
    assert not (tmp_path / "results" / LEDGER).exists()
    with ResultStore(tmp_path / "results", ledger=tmp_path / "mine.sqlite") as store:
        assert store.count() == 1
