"""A ledger of an earlier version gives its answers as it did, and gets the new form."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from hpa_sdk import Sample
from hpa_sdk.batch.fingerprint import fingerprint_of, place_of
from tests.hpa_sdk.batch.runs import RESUMED, predict


def make_earlier(ledger: Path, fields: list[Sample]) -> None:
    """Turn a ledger into version 1: without origins, and by sizes and times of change alone."""
    with closing(sqlite3.connect(ledger)) as file, file:
        (settings,) = file.execute("SELECT value FROM facts WHERE name = 'settings'").fetchone()
        for field in fields:
            _, fingerprint = fingerprint_of(field, settings, "time")
            assert fingerprint is not None
            file.execute("UPDATE answers SET fingerprint = ? WHERE place = ?", (fingerprint.by_time, place_of(field)))
        file.execute("ALTER TABLE answers DROP COLUMN origin")
        file.execute("PRAGMA user_version = 1")


def test_answers_of_an_earlier_ledger_count(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    predict(model, folder, "-o", out, *RESUMED)
    expected = out.read_bytes()
    make_earlier(tmp_path / "out.csv.ledger", fields)
    assert "5 answers stood in the ledger; 0 fields had changed" in predict(model, folder, "-o", out, *RESUMED).stderr
    assert out.read_bytes() == expected
    with closing(sqlite3.connect(tmp_path / "out.csv.ledger")) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (2,)
    # From then on they are held to all that is known of their files: here to the time of the last change of an inode.
    status = fields[2].files[1].stat()
    os.utime(fields[2].files[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "4 answers stood in the ledger; 1 fields had changed" in (
        predict(model, folder, "-o", out, *RESUMED).stderr.replace("1 field had", "1 fields had")
    )
