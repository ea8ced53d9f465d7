"""Writes reviews to a table or a file, and reads them from these and from the file that a report saves."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from hpa_sdk.errors import HpaError, OutputError, TableError
from hpa_sdk.fields.exported_files import REVIEW_COLUMNS
from hpa_sdk.fields.table_text import Records, open_text
from hpa_sdk.fields.tables import missing_column, read_header
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_lock import lock_beside
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.labels import HPA_2018, SCHEMES, LabelScheme
from hpa_sdk.results.result import Result, ResultError
from hpa_sdk.results.writers import joined_stamps, joined_texts
from hpa_sdk.review.queue import in_random_share
from hpa_sdk.review.record import VERDICTS, Review
from hpa_sdk.review.safe_cells import from_cell, to_cell

FORM = "hpa-reviews"
"""The name of the form of a file of reviews, which the file holds."""

FORM_VERSION = 1

_COLUMNS = (
    *REVIEW_COLUMNS,
    "random",
    "review",
    "withdraws",
    "scheme",
    "classes",
    "thresholds",
    "files",
    "stamps",
    "channels",
    "notes",
    "error",
    "models",
    "views",
)
_LARGEST = 2**29  # bytes of a file of reviews
_LONGEST_ID = 64
_PATIENCE = 10.0  # seconds to wait for another program that adds a review


class ReviewFile(msgspec.Struct, kw_only=True):
    """A file of reviews, as the page of a report saves it."""

    form: str
    version: int
    reviews: list[Any]


def read_reviews(path: Path) -> Iterator[Review | TableError]:
    """Read reviews, each of which can be unusable without affecting the others.

    Parameters
    ----------
    path : pathlib.Path
        A file that the page of a report saved or `write_review_file` wrote, ``.json``, or a table that
        `write_review_table` wrote, ``.csv``.

    Yields
    ------
    Review or TableError
        In the order of the file, or why one can't be used.

    Raises
    ------
    TableError
        The file can't be read, or holds no reviews.
    """
    try:
        if path.suffix.lower() == ".json":
            yield from _reviews_of_file(path)
        else:
            yield from _reviews_of_table(path)
    except OSError as error:
        raise TableError(
            f"the reviews can't be read ({error.strerror or error})",
            where=path,
            remedy="Name the file that the page of a report saved, or a reviews.csv.",
        ) from error


def write_review_file(reviews: Iterable[Review], path: Path) -> None:
    """Write reviews to a file, complete or not at all, as the page of a report saves them."""
    content = ReviewFile(form=FORM, version=FORM_VERSION, reviews=list(reviews))
    with atomic_write(path) as partial:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1))


def add_to_review_file(review: Review, path: Path) -> list[Review]:
    """Add a review to a file of reviews, which other programs may add to at the same time.

    The file is read and written under a lock, ``.<name>.lock`` beside it, which stays there. A review that the file has
    already, with the same id and content, is not added again.

    Parameters
    ----------
    review : Review
        The review.
    path : pathlib.Path
        The file, ``.json``, which is made if it is missing.

    Returns
    -------
    list of Review
        All reviews of the file, with this one, in the order in which they were added.

    Raises
    ------
    ReviewError
        The review can't be used, has the id of another review in the file, or withdraws what is not that person's
        review.
    TableError
        The file can't be read, or a review in it is damaged: writing the file again would lose it.
    OutputError
        The file can't be locked or written.
    """
    review, path = review.checked(), path.resolve()  # one lock for all names of the file
    with lock_beside(
        path,
        what="the file of reviews",
        busy=lambda: OutputError(
            "another program has held the lock of this file of reviews for too long",
            where=path,
            remedy="Give the review again once that program is done, or name another file.",
        ),
        patience=_PATIENCE,
    ):
        known: list[Review] = []
        for one in read_reviews(path) if path.exists() else ():
            if not isinstance(one, Review):
                raise one
            known.append(one)
        by_id = {one.id: one for one in known}
        if review.id in by_id:
            review.check_known(by_id[review.id])
            return known
        if review.withdraws:
            review.check_withdrawal(by_id.get(review.withdraws))
        known.append(review)
        write_review_file(known, path)
        return known


def write_review_table(reviews: Iterable[Review], path: Path) -> None:
    """Write reviews, withdrawn ones and withdrawals too, to a table, complete or not at all.

    Texts that a spreadsheet would take for a formula have an apostrophe before them.
    """
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        # Readers strip spaces at the start of cells without quotes.
        rows = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        rows.writerow(_COLUMNS)
        rows.writerows([to_cell(cell) for cell in _cells(review)] for review in reviews)


def _cells(review: Review) -> tuple[str, ...]:
    result = review.result
    return (
        *(result.id, review.reviewer, review.time, review.verdict),
        *(_joined(review.labels), _joined(result.indices), result.model_sha256),
        "yes" if in_random_share(result.id) else "",
        *(review.id, review.withdraws, result.scheme, ";".join(result.classes), _joined(result.thresholds)),
        *(joined_texts(result.files), joined_stamps(result.stamps), joined_texts(result.channels)),
        msgspec.json.encode(result.notes).decode() if result.notes else "",
        "" if result.error is None else result.error.what,
        *(" ".join(result.models), str(result.views)),
    )


def _joined(numbers: Iterable[float]) -> str:
    return " ".join(map(str, numbers))


def _reviews_of_file(path: Path) -> Iterator[Review | TableError]:
    if path.stat().st_size > _LARGEST:
        raise _no_reviews(path, f"it is larger than {_LARGEST:,} bytes")
    try:
        content = msgspec.json.decode(path.read_bytes(), type=ReviewFile)
    except msgspec.DecodeError as error:
        raise _no_reviews(path, str(error)) from error
    if (content.form, content.version) != (FORM, FORM_VERSION):
        raise _no_reviews(path, f"it is of the form {content.form[:40]!r}, version {content.version}")
    for number, one in enumerate(content.reviews, 1):
        try:
            yield msgspec.convert(one, Review).checked()
        except (HpaError, ValueError) as error:
            yield _unusable(path, f"review {number}", error, one)


def _reviews_of_table(path: Path) -> Iterator[Review | TableError]:
    with open_text(path) as text:
        header, records, separator = read_header(text, REVIEW_COLUMNS, path)
        missing = [column for column in REVIEW_COLUMNS if column not in header]
        if missing:
            raise TableError(
                missing_column(missing[0], header, separator, path).what,
                where=path,
                remedy="Name a reviews.csv that 'hpa review export' wrote, or the file that a report saved.",
            )
        yield from _rows(records, header, path)


def _rows(records: Records, header: list[str], path: Path) -> Iterator[Review | TableError]:
    for record in records:
        if not record.problem and not any(record.cells):
            continue
        problem = record.problem
        if not problem and len(record.cells) != len(header):
            problem = f"has {len(record.cells)} cells, and the header names {len(header)}"
        if problem:
            yield _unusable(path, f"line {record.line}", ValueError(f"the row {problem}"))
            continue
        row = dict(zip(header, map(from_cell, record.cells), strict=True))
        try:
            yield _review_of(row).checked()
        except (HpaError, ValueError, msgspec.DecodeError) as error:
            yield _unusable(path, f"line {record.line}", error, row)


def _review_of(row: Mapping[str, str]) -> Review:
    scheme = _scheme_of(row)
    labels, shown = (_indices(row[name], scheme, name) for name in ("labels", "shown"))
    if row["verdict"] not in VERDICTS:
        raise ValueError(f"its verdict is {row['verdict'][:40]!r}, which is none of {', '.join(VERDICTS)}")
    files = _texts(row.get("files", ""))
    return Review(
        id=row.get("review") or _own_id(row),
        verdict=row["verdict"],
        labels=labels,
        reviewer=row["reviewer"],
        time=row["time"],
        withdraws=row.get("withdraws", ""),
        result=Result(
            id=row["Id"],
            labels=tuple(scheme.names[index] for index in shown),
            indices=shown,
            thresholds=tuple(map(float, row.get("thresholds", "").split())),
            files=files,
            stamps=tuple(FileStamp.of_text(part) for part in row.get("stamps", "").split(";") if part),
            model_sha256=row["model"],
            device="",
            time="",
            scheme=scheme.name,
            classes=() if scheme == HPA_2018 else scheme.names,
            channels=_texts(row.get("channels", "")),
            notes=msgspec.json.decode(row["notes"], type=tuple[str, ...]) if row.get("notes") else (),
            error=ResultError(row["error"], None, "") if row.get("error") else None,
            models=tuple(row.get("models", "").split()),
            views=int(row.get("views") or 1),
        ),
    )


def _scheme_of(row: Mapping[str, str]) -> LabelScheme:
    name = row.get("scheme") or HPA_2018.name
    if name in SCHEMES:
        return SCHEMES[name]
    scheme = LabelScheme(name, tuple(row.get("classes", "").split(";")))
    scheme.check()
    return scheme


def _indices(cell: str, scheme: LabelScheme, column: str) -> tuple[int, ...]:
    parts = cell.split()
    if not all(part.isdecimal() and len(part) < 6 and int(part) < len(scheme) for part in parts):  # noqa: PLR2004 - digits
        raise ValueError(f"its {column} are {cell[:40]!r}, and not numbers from 0 to {len(scheme) - 1}")
    return tuple(map(int, parts))


def _texts(cell: str) -> tuple[str, ...]:
    """Read what `joined_texts` wrote."""
    if cell.startswith("["):
        return msgspec.json.decode(cell, type=tuple[str, ...])
    return tuple(part for part in cell.split(";") if part)


def _own_id(row: Mapping[str, str]) -> str:
    """Return an id for a row that someone wrote by hand, so that it is imported once."""
    return hashlib.sha256("\0".join(row[column] for column in REVIEW_COLUMNS).encode("utf-8", "replace")).hexdigest()[
        :32
    ]


def _unusable(path: Path, which: str, error: Exception, content: object = None) -> TableError:
    what = error.what if isinstance(error, HpaError) else str(error)
    if isinstance(content, Mapping) and content.get("withdraws"):
        what += f"; it withdraws the review {str(content['withdraws'])[:_LONGEST_ID]!r}, which counts without it"
        remedy = "Withdraw that review again, by the person who gave it. The others are not affected."
        return TableError(f"{which} can't be used: {what}", where=path, remedy=remedy)
    return TableError(f"{which} can't be used: {what}", where=path, remedy="The others are not affected.")


def _no_reviews(path: Path, why: str) -> TableError:
    return TableError(
        f"this is no file of reviews ({why})", where=path, remedy="Name the file that the page of a report saved."
    )
