"""A ledger gives correct results or refuses; it never guesses and never writes a part."""

import sqlite3
from pathlib import Path

import pytest

from hpa_sdk.errors import OutputError
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.live.result_view import ResultView
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import ResultStore
from tests.hpa_sdk.workstation.test_results import failure, result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger ö.sqlite"


def test_what_is_done_is_known_after_a_restart(path: Path) -> None:
    ledger = Ledger(path)
    stamps = {"a_red.png": FileStamp(3, 2**62), "sub/b\udcff_red.png": FileStamp(0, -1)}
    with ledger.transaction():
        ledger.set_done("a", stamps)
    ledger.close()
    ledger = Ledger(path)
    assert {name: ledger.stamp(name) for name in stamps} == stamps
    assert ledger.stamp("b_red.png") is None
    assert sorted(ledger.files_of("a")) == sorted(stamps)
    ledger.close()


def test_a_transaction_counts_whole_or_not_at_all(path: Path) -> None:
    ledger = Ledger(path)
    with pytest.raises(ZeroDivisionError), ledger.transaction():
        ledger.add(result("a"))
        ledger.set_done("a", {"a_red.png": FileStamp(1, 1)})
        raise ZeroDivisionError
    assert (ledger.count(), ledger.stamp("a_red.png")) == (0, None)
    ledger.close()


def test_another_process_reads_while_one_writes(path: Path) -> None:
    writer, reader = Ledger(path), Ledger(path)
    with writer.transaction():
        writer.add(failure("a"))
        assert reader.count() == 0
    assert (reader.count(), reader.count(failed=True)) == (1, 1)
    writer.close()
    reader.close()


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b'{"id": "b", "probabilities": [null]}', b"\xff"])
def test_a_damaged_result_is_reported_and_affects_no_other(path: Path, damage: bytes) -> None:
    ledger = Ledger(path)
    for name in "abc":
        ledger.add(result(name))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE results SET content = ? WHERE id = 'b'", [damage])
    database.close()
    stored = ledger.get("b")
    assert stored is not None
    assert "damaged in the ledger" in str(stored.error)
    assert str(path) in str(stored.error)
    assert [given.id for given in ledger.newest(9)] == ["c", "b", "a"]
    for found in (ledger.after(0, 9), ledger.without_file(9)):
        assert [(given.id, given.error is None) for _, given in found] == [("a", True), ("b", False), ("c", True)]
    ledger.close()


@pytest.mark.parametrize("damage", [b"b\xff", b"d"])
def test_a_damaged_id_affects_no_other_result(path: Path, damage: bytes) -> None:
    ledger = Ledger(path)
    for name in "abc":
        ledger.add(result(name), field="of b" if name == "b" else "")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE results SET id = CAST(? AS TEXT) WHERE id = 'b'", [damage])
    database.close()
    shown = damage.decode("utf-8", "backslashreplace")
    view = ResultView(path)
    for found in (ledger.after(0, 9), [(row.number, row.result) for row in view.after(0, 9)]):
        assert [(given.id, given.error is None) for _, given in found] == [("a", True), (shown, False), ("c", True)]
    view.close()
    assert ledger.answered_ids() == ledger.ids_without_file() == ["a", shown, "c"]
    ledger.add(result("b"), field="of b")  # the field is answered again
    assert [given.id for given in ledger.newest(9)] == ["b", "c", "a"]
    assert ledger.removed() == [shown]
    ledger.close()


def test_a_ledger_with_a_damaged_scheme_is_refused(tmp_path: Path) -> None:
    with ResultStore(tmp_path) as store:
        store.ledger.set_fact("scheme", '["own", ["One", "Tw')
    with pytest.raises(OutputError, match="label scheme of the ledger is damaged"):
        ResultStore(tmp_path)


def of_another_version(path: Path) -> None:
    Ledger(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 1")
    database.close()


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE results (a)")
    database.close()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_another_version, "no ledger of version 4"),
        (of_another_program, "no ledger of version 4"),
        (lambda path: path.write_bytes(b"no database" * 100), "not a database"),
        (lambda path: path.mkdir(), "unable to open"),
    ],
)
def test_a_ledger_of_another_version_is_refused_and_unchanged(path: Path, spoil: object, message: str) -> None:
    spoil(path)  # type: ignore[operator]
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(OutputError, match=message) as caught:
        Ledger(path)
    assert caught.value.where == str(path)
    assert (path.read_bytes() if path.is_file() else None) == before
