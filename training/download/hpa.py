"""Makes a data set in the Kaggle form from published fields of the Human Protein Atlas."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from hpa_sdk.errors import OutputError, UnreachableError
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.tables import parse_indices, read_columns
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import Label
from training.download.fetch import Fetcher, RetryPolicy
from training.download.published_planes import PublishedPlanes, Shape
from training.download.tables import LABEL_TABLE, PLANE_FOLDER, PlaneFailure, write_failures, write_label_table
from training.download.url_pattern import UrlPattern
from training.download.workers import run_all

SETTINGS_FILE = "download.json"
"""The settings with which a folder was started, so that a later run does not mix planes of two kinds in it."""

_PARTIAL_FOLDER = ".partial"
_FEWEST_LINES = 2  # of a table that lists a field


@dataclass(frozen=True, slots=True)
class HpaDownload:
    """The result of a download.

    Attributes
    ----------
    complete : int
        Fields in ``train.csv``: all four planes are there, of one size.
    failures : tuple of PlaneFailure
        What is in ``failures.csv``.
    untried : int
        Planes that were not requested, because the server could no longer be reached.
    """

    complete: int
    failures: tuple[PlaneFailure, ...]
    untried: int


def download_hpa(
    labels: Mapping[str, tuple[Label, ...]],
    out: Path,
    *,
    pattern: UrlPattern,
    size: int = 512,
    workers: int = 8,
    rate: float = 10.0,
    retry_policy: RetryPolicy | None = None,
) -> HpaDownload:
    """Fetch the planes of published fields into a folder in the Kaggle form.

    Complete planes are not fetched again, so the same call resumes an interrupted download.
    ``train.csv`` is written last.

    Parameters
    ----------
    labels : mapping of str to tuple of Label
        The fields by id, with their labels.
    out : pathlib.Path
        Folder to make or to resume: ``train.csv``, ``train/<id>_<channel>.png``, and ``failures.csv`` if planes
        failed.
    pattern : UrlPattern
        Where the planes are.
    size : int
        Height and width of the planes in pixels; 0 keeps those of the pictures.
    workers : int
        Planes fetched at the same time.
    rate : float
        Requests a second, at most.
    retry_policy : RetryPolicy, optional
        Retries and time limits for a plane.

    Raises
    ------
    DownloadError
        An id can't be part of an address.
    UnreachableError
        The server can't be reached, and no plane is there.
    OutputError
        The folder holds other data or fields of another table, or can't be written.
    """
    pattern.check_ids(labels)
    _refuse_another_table(out, labels)
    _begin(out, pattern, size)
    failures: list[PlaneFailure] = []
    shapes: dict[str, dict[Channel, Shape]] = defaultdict(dict)
    tasks = [(field_id, channel) for field_id in labels for channel in Channel]
    stopped = threading.Event()
    with Fetcher(rate=rate, stopped=stopped, retry_policy=retry_policy or RetryPolicy()) as fetcher:
        planes = PublishedPlanes(
            out / PLANE_FOLDER, out / _PARTIAL_FOLDER, pattern=pattern, size=size, fetcher=fetcher, stopped=stopped
        )
        with closing(run_all(planes.get, tasks, workers=workers, stopped=stopped)) as outcomes:
            for outcome in tqdm(outcomes, total=len(tasks), unit=" planes", disable=None):
                if isinstance(outcome, PlaneFailure):
                    failures.append(outcome)
                elif outcome is not None:
                    field_id, channel, shape = outcome
                    shapes[field_id][channel] = shape
    if failures and planes.unreachable == len(failures) and not shapes:
        raise UnreachableError(failures[-1].reason, where=pattern.pattern, remedy="Check the network and the address.")
    untried = len(tasks) - len(failures) - sum(map(len, shapes.values()))
    failures += _unequal(shapes, pattern)
    return _finish(out, labels, failures, set(shapes), untried)


def _refuse_another_table(out: Path, labels: Mapping[str, tuple[Label, ...]]) -> None:
    """Refuse a folder whose table would lose fields or change their labels; new fields are allowed."""
    table = out / LABEL_TABLE
    if not (out / SETTINGS_FILE).is_file() or not table.is_file():
        return
    if len(table.read_bytes().splitlines()) < _FEWEST_LINES:
        return
    for line, (field_id, target) in read_columns(table, "Id", "Target"):
        asked = labels.get(field_id)
        if asked is None or set(asked) != set(parse_indices(target, line, table)):
            difference = "which this table does not list" if asked is None else "for which this table has other labels"
            raise OutputError(
                f"the folder holds the field {field_id}, {difference}",
                where=table,
                remedy="Name another folder; or delete this file, to keep the planes and list the fields anew.",
            )


def _begin(out: Path, pattern: UrlPattern, size: int) -> None:
    settings = json.dumps({"url": pattern.pattern, "size": size})
    record = out / SETTINGS_FILE
    if record.is_file():
        earlier = record.read_text(encoding="utf-8")
        if earlier != settings:
            raise OutputError(
                f"this folder was started with other settings ({earlier})",
                where=out,
                remedy="Give the same --url and --size to resume it, or name another folder.",
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(
            "there are other data already", where=out, remedy="Name a new folder, or one that this command started."
        )
    try:
        for folder in (out / PLANE_FOLDER, out / _PARTIAL_FOLDER):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder can't be made ({error.strerror})", where=out, remedy="Name a folder that you may write to."
        ) from error
    with atomic_write(record) as partial:
        partial.write_text(settings, encoding="utf-8")


def _unequal(shapes: dict[str, dict[Channel, Shape]], pattern: UrlPattern) -> list[PlaneFailure]:
    """Remove the fields with missing planes or planes of several sizes; give a failure for each of the latter."""
    failures = []
    for field_id, by_channel in list(shapes.items()):
        if len(set(by_channel.values())) > 1:
            sizes = ", ".join(f"{channel} {width}x{height}" for channel, (height, width) in by_channel.items())
            reason = f"the planes of the field differ in size ({sizes})"
            failures += [PlaneFailure(field_id, name, pattern.url(field_id, name), reason) for name in by_channel]
        elif len(by_channel) == len(Channel):
            continue
        del shapes[field_id]
    return failures


def _finish(
    out: Path, labels: Mapping[str, tuple[Label, ...]], failures: list[PlaneFailure], complete: set[str], untried: int
) -> HpaDownload:
    in_order = {field_id: row for row, field_id in enumerate(labels)}
    failures.sort(key=lambda failure: (in_order[failure.id], list(Channel).index(Channel(failure.channel))))
    write_failures(out, failures)
    partials = out / _PARTIAL_FOLDER
    if not any(partials.iterdir()):
        partials.rmdir()
    write_label_table(
        out,
        (
            (field_id, " ".join(str(int(label)) for label in found))
            for field_id, found in labels.items()
            if field_id in complete
        ),
    )
    return HpaDownload(len(complete), tuple(failures), untried)
