"""Reads reviewed fields with their labels, and what a model says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hpa_sdk.adapt.errors import AdaptationError
from hpa_sdk.errors import HpaError, PlaneError, TableError
from hpa_sdk.fields.exported_files import review_record
from hpa_sdk.fields.listing import same_name
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.sources import FoundField, find_fields
from hpa_sdk.fields.tables import is_table, labels_fingerprint, parse_labels_of, read_rows
from hpa_sdk.fields.trained_scale import rules_for, scale_notes, stack_rules_of
from hpa_sdk.files.file_state import stamp_of
from hpa_sdk.labels import LabelScheme
from hpa_sdk.models.known_data import field_hash
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.review.record import Review
from hpa_sdk.review.tables import read_reviews

TABLE = "train.csv"
"""The table of labels in a folder in the Kaggle form."""

_NO_FIELD = "{}: no field has this id"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedFields:
    """Reviewed fields, and the answers of a model.

    Attributes
    ----------
    name : str
        Name of the data in cards: its folder, and the table if that is not ``train.csv``.
    ids : tuple of str
        Their ids, in the order of the table.
    truth : numpy.ndarray
        bool of shape (fields, classes).
    probabilities, embeddings : numpy.ndarray
        float32 of shape (fields, classes of the model) and (fields, width).
    fingerprint : str
        SHA-256, in hexadecimal, of ids and labels.
    hashes : tuple of bytes
        Identifies each field: see `hpa_sdk.models.known_data.field_hash`.
    as_fitted : str
        What a fit on them would have as the fingerprint of its data: see `hpa_sdk.models.model_card.Training`.
    left_out : tuple of str
        Why other fields of the table are not used, one sentence each.
    """

    name: str
    ids: tuple[str, ...]
    truth: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]
    fingerprint: str
    hashes: tuple[bytes, ...]
    as_fitted: str
    left_out: tuple[str, ...]


def read_reviewed(
    reviewed: Path, predictor: Predictor, scheme: LabelScheme, *, rules: FieldRules | None = None
) -> ReviewedFields:
    """Read reviewed fields, and predict them.

    Parameters
    ----------
    reviewed : pathlib.Path
        A folder with ``train.csv``, or a table: columns ``Id`` and ``Target``, and the planes beside it.
    predictor : Predictor
        The model.
    scheme : LabelScheme
        The classes of the labels.
    rules : FieldRules, optional
        How stacks are read.

    Raises
    ------
    AdaptationError
        There is no table of labels, or the fields would be brought to the pixel size of training twice.
    TableError
        The table can't be read, or is changed meanwhile; a label is not of the scheme, or two rows or two ids of one
        field contradict each other.
    PlaneError
        A plane was changed meanwhile.
    """
    table = table_of(reviewed)
    before = stamp_of(table)
    left_out: list[str] = []
    labels = dict(_labels(table, scheme, left_out))
    found: dict[str, Prediction] = {}
    failed: dict[str, Failure] = {}
    answers = predictor.stream(table, rules=rules)
    for answer in tqdm(answers, total=len(labels), desc="predict", unit=" fields", disable=None, leave=False):
        if isinstance(answer, Prediction):
            found[answer.id] = answer
        else:
            failed[answer.id] = answer
    # A row is a stack with several fields, or its file is gone.
    left_out += [
        str(failed[name].error) if name in failed else _NO_FIELD.format(name) for name in labels if name not in found
    ]
    found = {name: found[name] for name in labels if name in found}
    _check_scale(found.values(), table)
    hashes = _hashes(table, found, predictor, rules)
    _check_unchanged(found.values(), table)
    if stamp_of(table) != before:
        raise TableError(
            "the table was changed while it was read",
            where=table,
            remedy="Run again when nobody writes to it any more.",
        )
    sizes = ([file.stamp.size for file in answer.files] for answer in found.values())
    fitted = labels_fingerprint(zip(found, (sorted(labels[name]) for name in found), sizes, strict=True))
    # One field under two ids would be learned from and held out at once.
    for name, first in _repeated(hashes, labels, table):
        left_out.append(f"{name} has the same planes as {first}, and counts once")
        del found[name], hashes[name]
    truth = np.zeros((len(found), len(scheme)), np.bool_)
    digest = hashlib.sha256()
    for row, name in enumerate(found):
        truth[row, list(labels[name])] = True
        digest.update(f"{name} {sorted(labels[name])}\n".encode("utf-8", "backslashreplace"))
    folder = table.parent.resolve().name
    predicted = list(found.values())
    return ReviewedFields(
        name=folder if table.name == TABLE else f"{folder}/{table.name}",
        ids=tuple(found),
        truth=truth,
        probabilities=np.array([answer.probabilities for answer in predicted], np.float32),
        embeddings=np.array([answer.embedding for answer in predicted], np.float32),
        fingerprint=digest.hexdigest(),
        hashes=tuple(hashes.values()),
        as_fitted=fitted,
        left_out=tuple(left_out),
    )


def table_of(reviewed: Path) -> Path:
    """Return the table of labels in a folder, or the table itself.

    Raises
    ------
    AdaptationError
        There is none.
    """
    table = reviewed if is_table(reviewed) else reviewed / TABLE
    if not table.is_file():
        raise AdaptationError(
            "there are no labels of reviewed fields here",
            where=reviewed,
            remedy=f"Name a folder with {TABLE} (columns Id and Target) and the planes beside it, or such a table.",
        )
    return table


def _labels(table: Path, scheme: LabelScheme, left_out: list[str]) -> Iterator[tuple[str, frozenset[int]]]:
    seen: dict[str, tuple[int, frozenset[int]]] = {}
    for row in read_rows(table, "Id", "Target"):
        if row.problem is not None:
            left_out.append(str(row.problem))
            continue
        target = row.values[1]
        name = same_name(row.values[0])
        try:
            labels = frozenset(int(label) for label in parse_labels_of(scheme, target, row.line, table))
        except TableError as error:
            raise TableError(
                f"{error.what}; the model's labels are those of {scheme.name}",
                where=table,
                remedy="Adapt the model of the review. An own class needs --new-class NAME.",
            ) from error
        line, earlier = seen.setdefault(name, (row.line, labels))
        if earlier != labels:
            raise TableError(
                f"lines {line} and {row.line} give the field {name} different labels",
                where=table,
                remedy="Keep the row that is right.",
            )
        yield name, labels


def _check_scale(answers: Iterable[Prediction], table: Path) -> None:
    """Refuse fields that ``hpa review export`` wrote at the pixel size of training, and that were rescaled again."""
    if not any(scale_notes(answer.notes) for answer in answers):
        return
    record = review_record(table)
    read = list(read_reviews(record)) if record else []
    if any(isinstance(one, Review) and scale_notes(one.result.notes) for one in read):
        raise AdaptationError(
            "the fields were exported at the pixel size of training, and are brought to it a second time",
            where=table,
            remedy="Give no pixel size: neither --pixel-size, nor a station file with files.pixel_size.",
        )
    if unusable := next((one for one in read if not isinstance(one, Review)), None):
        raise AdaptationError(
            "the record of the reviews does not say whether the fields were exported at the pixel size of training, to"
            f" which they are brought ({unusable.what})",
            where=record,
            remedy="Export the reviews again; or give no pixel size, if they were.",
        )


def _repeated(hashes: Mapping[str, bytes], labels: Mapping[str, frozenset[int]], table: Path) -> list[tuple[str, str]]:
    """Return the ids whose field has another id before, and that one."""
    firsts: dict[bytes, str] = {}
    repeated = []
    for name, known in hashes.items():
        first = firsts.setdefault(known, name)
        if labels[first] != labels[name]:
            raise TableError(
                f"{first} and {name} have the same planes and different labels",
                where=table,
                remedy="Keep the row that is right.",
            )
        if first != name:
            repeated.append((name, first))
    return repeated


def _hashes(table: Path, found: Collection[str], predictor: Predictor, rules: FieldRules | None) -> dict[str, bytes]:
    """Read the planes of the predicted fields once more, as they were read for the prediction, and hash them."""
    channels = predictor.card.preprocessing.channels
    read = find_fields(
        table,
        recursive=False,
        root=None,
        rules=rules_for(predictor.card, rules, predictor.white),
        stack_rules=stack_rules_of(predictor.card),
    )
    hashes: dict[str, bytes] = {}
    for field in read:
        if field.id in found and isinstance(field, FoundField):
            try:
                hashes[field.id] = field_hash(field.read(channels).planes, channels)
            except HpaError as error:
                raise _changed(error.where or field.id, table) from error
    if missing := next((name for name in found if name not in hashes), None):
        raise _changed(missing, table)
    return {name: hashes[name] for name in found}


def _check_unchanged(answers: Iterable[Prediction], table: Path) -> None:
    for answer in answers:
        for file in answer.files:
            try:
                same = file.stamp.sha256 is not None or stamp_of(file.path).matches(file.stamp)
            except OSError:
                same = False
            if not same:
                raise _changed(file.path, table)


def _changed(where: str, table: Path) -> PlaneError:
    return PlaneError(
        "the file was changed while the fields were read",
        where=where,
        remedy=f"Nothing was written. Run again when nobody writes to the fields of {table.name} any more.",
    )
