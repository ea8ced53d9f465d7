"""The part of the napari widget that takes reviews, with the keys of the live page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QShortcut, QTableWidget, QVBoxLayout, QWidget

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Channel, FieldPlanes, Sample
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.preprocessing import Planes
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.log import ReviewLog, standing
from hpa_sdk.review.record import Review, ReviewError, Verdict, now
from hpa_sdk.review.tables import add_to_review_file

VERDICTS: dict[str, tuple[Verdict, str]] = {
    "R": ("right", "Right"),
    "W": ("wrong", "Wrong"),
    "L": ("labels", "These labels"),
    "U": ("unsure", "Unsure"),
    "B": ("bad", "Bad field"),
}
_DIGITS = "123456789"


class ReviewPanel(QWidget):  # type: ignore[misc] # Qt's bindings have no types of their own
    """Buttons and keys for verdicts on the result that is shown, and where they are stored.

    Parameters
    ----------
    table : QTableWidget
        The labels of the result, in the order of their rows, which can be ticked.
    """

    def __init__(self, table: QTableWidget) -> None:
        super().__init__()
        self._table = table
        self._result: Result | None = None
        self._order: tuple[int, ...] = ()
        self._last: tuple[Review, Path] | None = None
        self.reviewer, self.target = QLineEdit(), QLineEdit()
        self.reviewer.setPlaceholderText("your name")
        self.target.setPlaceholderText("folder of results, or a file reviews.json")
        self.message = QLabel(wordWrap=True)
        self.message.setTextFormat(Qt.TextFormat.PlainText)  # names of people and fields can look like HTML
        self.buttons: dict[str, QPushButton] = {}
        verdicts = QHBoxLayout()
        actions = {key: (partial(self.judge, verdict), text) for key, (verdict, text) in VERDICTS.items()}
        for key, (act, text) in (actions | {"Z": (self.undo, "Undo")}).items():
            button = QPushButton(f"{text} ({key})")
            button.clicked.connect(_without_arguments(act))
            self.buttons[key] = button
            verdicts.addWidget(button)
        names = QHBoxLayout()
        for part in (QLabel("Review as"), self.reviewer, QLabel("into"), self.target):
            names.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for row in (names, verdicts):
            layout.addLayout(row)
        layout.addWidget(self.message)

    def add_keys(self, widget: QWidget) -> dict[str, QShortcut]:
        """Give a widget the keys, which work while it or a part of it has the focus."""
        actions: dict[str, Callable[[], object]] = {key: button.click for key, button in self.buttons.items()}
        actions |= {digit: partial(self.flip, int(digit) - 1) for digit in _DIGITS}
        shortcuts = {}
        for key, act in actions.items():
            shortcut = QShortcut(QKeySequence(key), widget)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(_without_arguments(act))
            shortcuts[key] = shortcut
        return shortcuts

    def take(self, result: Result | None, order: tuple[int, ...] = ()) -> None:
        """Take the result that is shown, and its labels in the order of the rows; None if there is none."""
        self._result, self._order = result, order

    def flip(self, row: int) -> None:
        """Tick the label of a row, or untick it."""
        item = self._table.item(row, 0)
        if item is not None:
            ticked = item.checkState() == Qt.CheckState.Checked
            item.setCheckState(Qt.CheckState.Unchecked if ticked else Qt.CheckState.Checked)

    def judge(self, verdict: Verdict) -> None:
        """Store a verdict on the result that is shown."""
        if self._result is None:
            self.message.setText("Classify a field first.")
            return
        ticked = tuple(
            label
            for row, label in enumerate(self._order)
            if self._table.item(row, 0).checkState() == Qt.CheckState.Checked
        )
        labels = {"right": self._result.indices, "labels": ticked}.get(verdict, ())
        self._store(
            Review(
                id=uuid4().hex,
                verdict=verdict,
                labels=labels,
                reviewer=self.reviewer.text(),
                time=now(),
                result=self._result,
            ),
            Path(self.target.text().strip()),
        )

    def undo(self) -> None:
        """Withdraw the last review of this panel, where it was stored."""
        if self._last is None:
            self.message.setText("There is nothing to undo.")
            return
        last, target = self._last
        self._store(
            Review(
                id=uuid4().hex,
                verdict="withdrawn",
                reviewer=last.reviewer,
                time=now(),
                result=last.result,
                withdraws=last.id,
            ),
            target,
        )

    def _store(self, review: Review, target: Path) -> None:
        try:
            review = review.checked()
            of_field = store_review(review, target)
        except HpaError as error:
            self.message.setText(str(error))
            return
        self._last = None if review.verdict == "withdrawn" else (review, target)
        others = [f"{one.reviewer}: {one.verdict}" for one in standing(of_field) if one.reviewer != review.reviewer]
        self.message.setText(
            f"{review.field}: {review.verdict}, stored in {target}" + f". Others: {', '.join(others)}" * bool(others)
        )


def store_review(review: Review, target: Path) -> list[Review]:
    """Store a review in a result store, or in a file that ``hpa review import`` takes.

    Parameters
    ----------
    review : Review
        The review.
    target : pathlib.Path
        The folder of a result store, or a ``.json`` file, which is made if it is missing.

    Returns
    -------
    list of Review
        All reviews of its field there, those of other people and programs too, oldest first.

    Raises
    ------
    HpaError
        The review can't be used, or the target can't be read or written.
    """
    if target.suffix.lower() == ".json":
        return [one for one in add_to_review_file(review, target) if one.field == review.field]
    if not target.is_dir() or target == Path():
        raise ReviewError(
            "there is no such place for reviews",
            where=target,
            remedy="Name the folder for results of hpa watch or hpa serve, or a file such as reviews.json.",
        )
    with ResultStore(target) as store:
        log = ReviewLog(store.ledger)
        log.add(review)
        return [entry.review for entry in log.page(0, field=review.field).entries]


def files_of(layers: Mapping[Channel, Any], planes: Planes) -> tuple[str, FieldPlanes] | None:
    """Return the id and the files of a field, if its layers show exactly the planes of four files.

    Parameters
    ----------
    layers : mapping of Channel to napari.layers.Image
        The layer of each channel.
    planes : numpy.ndarray
        The planes that were classified.
    """
    paths = [getattr(getattr(layers.get(channel), "source", None), "path", None) for channel in Channel]
    files = [Path(path) for path in paths if path is not None]
    stems = {file.stem.removesuffix(f"_{channel}") for channel, file in zip(Channel, files, strict=False)}
    if len(files) < len(Channel) or len(set(files)) < len(files) or len(stems) > 1:
        return None
    red, green, blue, yellow = files
    try:
        field = read_field(Sample(stems.pop(), (red, green, blue, yellow)))
    except HpaError:
        return None
    return (files[0].stem.removesuffix("_red"), field) if np.array_equal(field.planes, planes) else None


def stamp_of_planes(planes: Planes) -> FileStamp:
    """Return a stamp that tells planes without files from others under the same name."""
    return FileStamp(planes.nbytes, sha256=sha256(planes.tobytes()).hexdigest())


def _without_arguments(act: Callable[[], object]) -> Callable[..., None]:
    """Qt passes what a function has no use for, such as whether a button is checked."""

    def run(*_: object) -> None:
        act()

    return run
