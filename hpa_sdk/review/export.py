"""Makes a labelled data set of reviewed fields: a table and planes in the Kaggle form, beside all reviews."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import HpaError, OutputError
from hpa_sdk.fields.exported_files import REVIEWS, SCHEME
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import FileState, stamp_of
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.preprocessing import Planes
from hpa_sdk.results.result import Result
from hpa_sdk.review.consensus import SettledField
from hpa_sdk.review.record import Review
from hpa_sdk.review.safe_cells import to_cell
from hpa_sdk.review.tables import write_review_table

TABLE, NAMES = "train.csv", "ids.csv"
"""Files of an exported data set: labels by field; and the ids that differ from those of the results, because those
can't be file names."""

_LONGEST = 100
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)|.*\.$", re.IGNORECASE)
_CHANNEL_END = re.compile(r".*_(?:red|green|blue|yellow)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReadPlanes:
    """The planes of a field, and the files that they were read from; `remark` says what is not certain about them."""

    planes: Planes
    files: tuple[FileState, ...]
    remark: str = ""


PlaneReader = Callable[[Result], ReadPlanes]
"""Reads the planes of a result, and raises `HpaError` if they are gone or are not those that were answered."""


@dataclass(slots=True)
class Export:
    """What was exported, and what was left out.

    Attributes
    ----------
    fields : int
        Number of exported fields.
    left_out : dict of str to list of str
        Ids of the fields that were left out, by reason.
    remarks : list of str
        What is not certain about exported fields, with their ids.
    """

    fields: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def leave_out(self, name: str, reason: str) -> None:
        """Record a field that is left out."""
        self.left_out.setdefault(reason, []).append(name)


def export(
    folder: Path,
    fields: Sequence[SettledField],
    reviews: Iterable[Review],
    *,
    scheme: LabelScheme,
    read: PlaneReader,
) -> Export:
    """Write a data set that `training` reads: a field is in it if its labels are settled and its planes are there.

    Parameters
    ----------
    folder : pathlib.Path
        A new or empty folder.
    fields : sequence of SettledField
        The reviewed fields.
    reviews : iterable of Review
        All reviews, for ``reviews.csv``.
    scheme : LabelScheme
        The classes of the data set; fields with other classes are left out.
    read : callable
        Reads the planes of a result.

    Returns
    -------
    Export
        What is in it, and why the rest is not.

    Raises
    ------
    OutputError
        The folder is not empty, or can't be written.
    """
    _make_folder(folder)
    done = Export()
    rows: list[tuple[str, str]] = []
    names: dict[str, str] = {}
    pictures: dict[bytes, str] = {}
    try:
        for settled in fields:
            reason = _why_not(settled, scheme)
            if reason:
                done.leave_out(settled.field, reason)
                continue
            name = _safe_name(settled.field, names)
            try:
                found = read(settled.result)
                _write_planes(folder, name, settled.result.read_channels, found)
            except HpaError as error:
                done.leave_out(settled.field, f"planes can't be used: {error.what}")
                continue
            same = pictures.setdefault(hashlib.sha256(found.planes.tobytes()).digest(), settled.field)
            done.remarks += [f"{settled.field}: {remark}" for remark in _remarks(settled, found, same)]
            names[name] = settled.field
            rows.append((name, " ".join(map(str, sorted(settled.labels)))))
        _write_table(folder / TABLE, ("Id", "Target"), rows)
        write_review_table(reviews, folder / REVIEWS)
        if scheme != HPA_2018:
            content = msgspec.json.encode({"name": scheme.name, "names": scheme.names})
            (folder / SCHEME).write_bytes(msgspec.json.format(content, indent=2))
        changed = [(name, to_cell(own)) for name, own in names.items() if name != own]
        if changed:
            _write_table(folder / NAMES, ("Id", "field"), changed)
    except OSError as error:
        raise OutputError(
            f"the data set can't be written ({error.strerror or error})",
            where=folder,
            remedy="Check that the disk is writable and not full, remove the folder, and export again.",
        ) from error
    done.fields = len(rows)
    return done


def _why_not(settled: SettledField, scheme: LabelScheme) -> str:
    if settled.result.label_scheme != scheme:
        return f"of another label scheme ({settled.result.scheme})"
    return {
        "labels": "" if settled.labels else "without a label, which a table of the Kaggle form can't say",
        "wrong": "wrong, and nobody named the right labels",
        "unsure": "unsure",
        "bad": "bad field",
        "contradictory": "people contradict each other",
    }[settled.state]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise OutputError(
            f"the folder can't be used ({error.strerror or error})", where=folder, remedy="Name another folder."
        ) from error
    if taken:
        raise OutputError("the folder is not empty", where=folder, remedy="Name a new folder for the data set.")


def _safe_name(field_id: str, taken: dict[str, str]) -> str:
    """Return the id if it can be the start of a file name on every system, else one made of it."""
    plain = (
        len(field_id) <= _LONGEST and _PLAIN.fullmatch(field_id) is not None and not _RESERVED.match(field_id)
        # Windows does not distinguish letter case, and "a_red" would be the name of a plane.
    ) and not _CHANNEL_END.fullmatch(field_id)
    folded = {name.casefold() for name in taken}
    if plain and field_id.casefold() not in folded:
        return field_id
    digest = hashlib.sha256(f"{field_id}\0{len(taken)}".encode("utf-8", "replace")).hexdigest()[:12]
    last = re.sub(r"[^A-Za-z0-9]+", "-", field_id.replace("\\", "/").rpartition("/")[2]).strip("-")[:40]
    return f"{last or 'field'}-{digest}"


def _remarks(settled: SettledField, found: ReadPlanes, same: str) -> Iterator[str]:
    channels = settled.result.read_channels
    if found.remark:
        yield found.remark
    if len(channels) < len(Channel):
        yield f"has only the channels {', '.join(channels)}"
    if same != settled.field:
        yield f"has the same planes as {same}: check that their labels agree, and keep one of them"


def _write_planes(folder: Path, name: str, channels: Sequence[Channel], found: ReadPlanes) -> None:
    targets = [folder / f"{name}_{channel}.png" for channel in channels]
    planes = [plane for channel, plane in zip(Channel, found.planes, strict=True) if channel in channels]
    try:
        for channel, plane, target in zip(channels, planes, targets, strict=True):
            if not (len(found.files) == len(planes) and _copied(found.files[channels.index(channel)], plane, target)):
                _write_png(plane, target)
    except HpaError:
        for target in targets:
            target.unlink(missing_ok=True)
        raise


def _copied(file: FileState, plane: npt.NDArray[Any], target: Path) -> bool:
    """Copy the file of a plane if it is a PNG of exactly this plane.

    A hard link would cost no space, but it changes the state of the file: its results would count as those of a file
    that was changed since.
    """
    source = Path(file.path)
    if source.suffix.lower() != ".png":
        return False
    shutil.copyfile(source, target)
    if not file.stamp.matches(stamp_of(source)):
        raise OutputError("the file was changed while it was exported", where=source, remedy="Export again.")
    copy = cv2.imdecode(np.fromfile(target, np.uint8), cv2.IMREAD_UNCHANGED)
    return copy is not None and np.array_equal(copy, plane)


def _write_png(plane: npt.NDArray[Any], target: Path) -> None:
    written, png = cv2.imencode(".png", plane)
    if not written:
        raise RuntimeError("OpenCV wrote no PNG")
    target.write_bytes(png.tobytes())


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
