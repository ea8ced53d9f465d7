"""Reads the results of every command, in each of their formats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from hpa_sdk.errors import HpaError, TableError
from hpa_sdk.fields.table_text import is_empty, open_text
from hpa_sdk.fields.tables import missing_column, read_header
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.labels import HPA_2018, SCHEMES, LabelScheme
from hpa_sdk.results.result import Result, ResultError
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import LEDGER, TABLE
from hpa_sdk.results.writers import FIRST_COLUMNS, ORIGIN_COLUMNS, SCHEME_COLUMN

_ROWS_AT_ONCE = 500
_COLUMNS = ("id", "labels", "error")
_Stamp = tuple[int, int | None, int | None, int | None, str | None]  # all parts are required here
_AGAIN = "Predict this field again, or mend the row."


def read_results(path: Path) -> Iterator[Result]:
    """Read results.

    Parameters
    ----------
    path : pathlib.Path
        What ``hpa predict`` writes (``.csv``, ``.jsonl``, ``.parquet``), or the folder, table or ledger of
        ``hpa watch``.

    Yields
    ------
    Result
        In the order of the file; of ``hpa watch``, oldest first. A row that can't be used becomes a failed result.

    Raises
    ------
    TableError
        The file does not exist, has another format, or has no results.
    OutputError
        The ledger can't be read.
    """
    if path.is_dir():
        path = next((path / name for name in (LEDGER, TABLE) if (path / name).is_file()), path)
    empty = True
    is_ledger = path.suffix == ".sqlite" and path.is_file()
    for result in _results_of_ledger(path) if is_ledger else (result for _, result in read_rows(path)):
        empty = False
        yield result
    if empty:
        raise TableError("there are no results in it", where=path, remedy="Name a file with at least one field.")


def read_rows(path: Path) -> Iterator[tuple[Mapping[str, Any], Result]]:
    """Read a file of results, and return with each the row that it is made of, which can have further columns.

    Parameters
    ----------
    path : pathlib.Path
        A ``.csv``, ``.jsonl`` or ``.parquet`` file.

    Raises
    ------
    TableError
        The file does not exist or has another format.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise TableError(
            "this holds no results",
            where=path,
            remedy="Name a .csv, .jsonl or .parquet file of hpa predict, or the folder for results of hpa watch.",
        )
    try:
        for number, row in enumerate(read(path), 1):
            yield row, _result(row, number)
    except OSError as error:
        raise TableError(
            f"the results can't be read ({error.strerror or error})",
            where=path,
            remedy="Name a file of hpa predict or hpa watch that you may read.",
        ) from error


def _results_of_ledger(path: Path) -> Iterator[Result]:
    ledger = Ledger(path)
    try:
        number = 0
        while batch := ledger.after(number, _ROWS_AT_ONCE):
            yield from (result for _, result in batch)
            number = batch[-1][0]
    finally:
        ledger.close()


def _rows_of_csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with open_text(path) as text:
        header, records, separator = read_header(text, _COLUMNS, path)
        # Spreadsheets preserve column names; someone may have typed them in capitals.
        names = [name.lower() if name.lower() in _COLUMNS and name.lower() not in header else name for name in header]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise TableError(
                f"it has several columns {twice}",
                where=path,
                remedy="Remove the columns that were added to the results.",
            )
        missing = [column for column in _COLUMNS if column not in names]
        if missing:
            raise TableError(
                missing_column(missing[0], header, separator, path).what,
                where=path,
                remedy="Name a table of hpa predict --format csv; a Kaggle submission has no probabilities.",
            )
        for record in records:
            if record.problem:
                yield {"error": f"the row {record.problem}"}
            elif len(record.cells) < len(names) or not is_empty(record.cells[len(names) :]):
                if not is_empty(record.cells):
                    name = dict(zip(names, record.cells, strict=False)).get("id")
                    yield {"id": name, "error": "the row is cut short, or has more cells than the table has columns"}
            elif not is_empty(record.cells):
                yield dict(zip(names, record.cells, strict=False))


def _rows_of_json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with open_text(path) as text:
        for line in text:
            try:
                line.encode()  # invalid bytes were read as surrogates
                if line.strip():
                    yield json.loads(line)
            except (ValueError, RecursionError) as error:  # damage, endless numbers, or endless lists
                yield {"error": f"the line can't be read as JSON ({error})"}


def _rows_of_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise TableError(
            "Parquet needs a package that is not installed",
            where=path,
            remedy="Install it: pip install 'hpa-sdk[parquet]'.",
        ) from error
    try:
        file = parquet.ParquetFile(path)
    except ValueError as error:  # pyarrow's own errors are ValueErrors or OSErrors
        raise TableError(
            f"the file can't be read as Parquet ({error})", where=path, remedy="Copy it again, or predict again."
        ) from error
    with file:
        for group in range(file.num_row_groups):
            try:
                rows = file.read_row_group(group).to_pylist()
            except (ValueError, OSError) as error:  # damage is only reported for a whole group
                count = file.metadata.row_group(group).num_rows
                rows = [{"error": f"its part of the file can't be read ({error})"}] * count
            yield from rows


_READERS: dict[str, Callable[[Path], Iterator[Mapping[str, Any]]]] = {
    ".csv": _rows_of_csv,
    ".jsonl": _rows_of_json_lines,
    ".parquet": _rows_of_parquet,
}


def _result(row: Mapping[str, Any], number: int) -> Result:
    """Convert a row to a result: with lists, as in JSON and Parquet, or joined texts, as in CSV."""
    try:
        error = row.get("error") or None
        files = _texts(row.get("files"))
        scheme = _scheme_of(row)
        found = set() if error else {scheme.from_name(name) for name in _parts(row["labels"])}
        labels = sorted(found, key=int)
        return Result(
            id=str(row.get("id") or f"row {number}"),
            labels=tuple(label.hpa_name for label in labels),
            indices=tuple(map(int, labels)),
            probabilities=() if error else _numbers(row, "probabilities", scheme),
            thresholds=() if error else _numbers(row, "thresholds", scheme),
            error=_error(error),
            files=files,
            model_sha256=row.get("model_sha256") or "",
            device=row.get("device") or "",
            time=str(row.get("time") or ""),
            notes=_texts(row.get("notes")),
            stamps=_stamps(row.get("stamps"), files),
            scheme=scheme.name,
            classes=() if scheme == HPA_2018 else scheme.names,
            channels=_texts(row.get("channels")),
            warnings=tuple(_parts(row.get("warnings"))),
            disagreement=_disagreement(row.get("disagreement")),
            models=tuple((row.get("models") or "").split()),
            views=int(row.get("views") or 1),
        )
    except (HpaError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        wrong = ResultError(f"row {number} can't be used ({error})", None, _AGAIN)
        name = row.get("id") if isinstance(row, Mapping) else None
        return Result(id=str(name or f"row {number}"), error=wrong, model_sha256="", device="", time="")


def _parts(value: object) -> list[str]:
    return [part for part in value.split(";") if part] if isinstance(value, str) else list(value or ())  # type: ignore[call-overload]


def _texts(value: object) -> tuple[str, ...]:
    """Read paths, names or notes: a list, or the text that `hpa_sdk.results.writers.joined_texts` makes of it."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):  # a table of an earlier version, with a folder of such a name
            value = json.loads(value)
    texts = tuple(_parts(value))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its files, channels or notes are not texts")
    return texts


def _stamps(value: object, files: tuple[str, ...]) -> tuple[FileStamp, ...]:
    """Read stamps: each a text that `FileStamp.to_text` wrote, or a list of its parts; empty if none are known."""
    stamps = tuple(
        FileStamp.of_text(part) if isinstance(part, str) else FileStamp(*msgspec.convert(part, _Stamp))
        for part in _parts(value)
    )
    if stamps and len(stamps) != len(files):
        raise ValueError(f"it has {len(stamps)} stamps of {len(files)} files")
    return stamps


def _scheme_of(row: Mapping[str, Any]) -> LabelScheme:
    """Return the classes of a row: as it names them, or as its table or its probabilities do."""
    name = row.get(SCHEME_COLUMN) or HPA_2018.name
    if name in SCHEMES:
        return SCHEMES[name]
    named = row.get("classes") or row.get("probabilities")
    if not named:
        columns = list(row)
        last = [column for column in ("time", ORIGIN_COLUMNS[0]) if column in columns]
        named = columns[columns.index(FIRST_COLUMNS[-1]) + 1 : min(map(columns.index, last))]
    return _own_scheme(str(name), tuple(map(str, named)))


@lru_cache(maxsize=16)
def _own_scheme(name: str, names: tuple[str, ...]) -> LabelScheme:
    scheme = LabelScheme(name, names)
    scheme.check()
    return scheme


def _numbers(row: Mapping[str, Any], name: str, scheme: LabelScheme) -> tuple[float, ...]:
    """Return a number for each class: from a list, a mapping by name, or columns of these names; else none."""
    found = row.get(name)
    if found is None and name == "probabilities" and scheme.names[0] in row:
        found = row
    if not found:
        return ()
    values = [found[label] for label in scheme.names] if isinstance(found, Mapping) else list(found)
    numbers = tuple(map(float, values))
    if len(numbers) != len(scheme) or not all(0 <= number <= 1 for number in numbers):
        raise ValueError(f"{name} are not {len(scheme)} numbers from 0 to 1")
    return numbers


def _disagreement(value: object) -> float | None:
    if value in {None, ""}:
        return None
    number = float(str(value))
    if not 0 <= number <= 1:
        raise ValueError(f"disagreement is {number:g}, not a number from 0 to 1")
    return number


def _error(error: object) -> ResultError | None:
    if error is None or isinstance(error, str):
        return None if error is None else ResultError(error, None, "")
    return msgspec.convert(error, ResultError)
