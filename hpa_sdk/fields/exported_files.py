"""Reads what ``hpa review export`` wrote beside a table of labels: their label scheme, and the record of reviews."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from hpa_sdk.errors import ModelCardError, TableError
from hpa_sdk.fields.table_text import open_text
from hpa_sdk.fields.tables import read_header
from hpa_sdk.files.file_state import escaped
from hpa_sdk.labels import HPA_2018, LabelScheme

SCHEME, REVIEWS = "scheme.json", "reviews.csv"
"""The classes of the labels, if they are not those of 2018; and all reviews."""

REVIEW_COLUMNS = ("Id", "reviewer", "time", "verdict", "labels", "shown", "model")
"""Columns that every table of reviews has."""

_log = logging.getLogger("hpa_sdk")


def review_record(table: Path) -> Path | None:
    """Return the record of the reviews that a table of labels was made of; None if there is none.

    A file of that name that has not its columns is none, and a warning says so.
    """
    file = table.parent / REVIEWS
    if not file.is_file():
        return None
    try:
        with open_text(file) as text:
            header, _, _ = read_header(text, REVIEW_COLUMNS, file)
        missing = [name for name in REVIEW_COLUMNS if name not in header]
    except (OSError, TableError) as error:
        missing = [error.what if isinstance(error, TableError) else str(error)]
    if not missing:
        return file
    _log.warning(
        "%s is not used: it is no record of reviews that 'hpa review export' wrote (%s). If it was one, export again.",
        *(escaped(str(file)), f"it lacks {', '.join(missing)}" if missing[0] in REVIEW_COLUMNS else missing[0]),
    )
    return None


def stated_scheme(table: Path) -> LabelScheme | None:
    """Read the label scheme that stands beside a table of labels; None if nothing says which it is.

    Raises
    ------
    TableError
        The file with the scheme can't be read, or no model can have such a scheme.
    """
    file = table.parent / SCHEME
    if not file.is_file():
        return HPA_2018 if review_record(table) else None
    try:
        scheme = msgspec.json.decode(file.read_bytes(), type=LabelScheme)
        scheme.check()
    except (OSError, msgspec.DecodeError, ModelCardError) as error:
        reason = error.what if isinstance(error, ModelCardError) else error
        raise TableError(
            f"the label scheme can't be read ({reason})", where=file, remedy="Export the reviews again."
        ) from error
    return scheme


def check_scheme(table: Path, scheme: LabelScheme) -> None:
    """Check that the numbers in a table of labels mean classes of a scheme, as far as the files beside it say.

    Those of a scheme that begins with the same classes do, if one of the two has further ones.

    Raises
    ------
    TableError
        They mean other classes, or the file with the scheme can't be read.
    """
    stated = stated_scheme(table)
    if stated is not None and any(one != other for one, other in zip(stated.names, scheme.names, strict=False)):
        raise TableError(
            f"the table has labels of {stated.name}, not of {scheme.name}: the same numbers mean other classes",
            where=table,
            remedy="Name fields that were reviewed with these classes.",
        )
