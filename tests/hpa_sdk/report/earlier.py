"""Makes results what an earlier version wrote: without the files that were read, and without where paths begin."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from hpa_sdk.batch.provenance import provenance_path
from hpa_sdk.models.onnx_file import file_sha256

_NEW_COLUMNS = {"files", "notes", "stamps", "channels"}


def as_earlier_version(results: Path) -> None:
    """Take from a CSV file and its provenance what earlier versions did not write."""
    with results.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    kept = [at for at, name in enumerate(header) if name not in _NEW_COLUMNS]
    with results.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([row[at] for at in kept] for row in (header, *rows))
    path = provenance_path(results)
    if path.exists():
        facts = json.loads(path.read_text(encoding="utf-8"))
        del facts["working_folder"]
        facts["output"]["sha256"] = file_sha256(results)
        path.write_text(json.dumps(facts), encoding="utf-8")
