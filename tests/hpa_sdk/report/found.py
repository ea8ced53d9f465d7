"""Finds and reads planes for tests as a report does, and reads what a report holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpa_sdk.fields.samples import Sample
from hpa_sdk.report.checked_planes import CheckedPlanes, read_checked
from hpa_sdk.report.finder import PlaneFinder, PlanesOfResult, SearchPaths
from hpa_sdk.results.result import Result


def content_of(page: Path) -> Any:
    """Read the content of a report."""
    text = page.read_text(encoding="utf-8")
    start = text.index(">", text.index('id="content"')) + 1
    return json.loads(text[start : text.index("</script>", start)])


def result_of(name: str, *files: Path, **known: Any) -> Result:
    """Make a result of a name and files, as an earlier version wrote it."""
    return Result(id=name, files=tuple(map(str, files)), model_sha256="", device="", time="", **known)


def found_of(sample: Sample) -> PlanesOfResult:
    """Find a sample's own files."""
    return PlaneFinder([], SearchPaths()).find(result_of(sample.id, *sample.files))


def read(result: Result, places: Sequence[Path] = (), *, results: Sequence[Result] | None = None) -> CheckedPlanes:
    """Find a result's planes in places that a user names, and read them."""
    return read_checked(PlaneFinder(results or [result], SearchPaths(paths=places)).find(result))
