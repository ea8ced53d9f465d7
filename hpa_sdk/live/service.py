"""Handles the requests of the page and of programs, with the predictor, rules and results of one workstation."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import IO

import msgspec

from hpa_sdk import __version__
from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.cells.outlines import css_colours
from hpa_sdk.errors import OutputError, SampleError
from hpa_sdk.fields.file_group import FileGroup
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.stack_samples import samples_of
from hpa_sdk.fields.trained_scale import for_model
from hpa_sdk.files.file_state import escaped
from hpa_sdk.live.answered_files import ChangedError, check_unchanged
from hpa_sdk.live.cell_records import FieldCellsRecord
from hpa_sdk.live.cell_tables import cells_of
from hpa_sdk.live.field_files import field_in, sample_of
from hpa_sdk.live.notices import Notice
from hpa_sdk.live.pictures import View, draw
from hpa_sdk.live.records import Model, Status
from hpa_sdk.live.result_view import ResultCounts, ResultView, Row
from hpa_sdk.live.review_service import ReviewService
from hpa_sdk.live.shared_stream import Answer, SharedStream
from hpa_sdk.live.uploads import Uploads
from hpa_sdk.models.model_content import ensemble_sha256
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result import Result, models_of
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.field_cells import CELLS_FOLDER, FieldCells
from hpa_sdk.workstation.station import Station

LARGEST_UPLOAD = 512 * 2**20
"""Maximum bytes of one request: a field of 4096 x 4096 pixels, 16 bits and four z planes."""


@dataclass(frozen=True, slots=True)
class Received:
    """Files that a client sent.

    Attributes
    ----------
    names : list of str
        The files below the folder for results.
    rules : FieldRules
        The rules that they match.
    group : FileGroup
        The files.
    samples : list of Sample
        The fields in them.
    decided : threading.Lock
        Taken by the one that stores or removes them: a request that is cut short does not end the thread that works
        for it.
    """

    names: list[str]
    rules: FieldRules
    group: FileGroup
    samples: list[Sample]
    decided: threading.Lock = field(default_factory=threading.Lock)


class Service:
    """The requests of the page and of programs. For any thread; every method except `submit` may wait for the disk.

    Parameters
    ----------
    station : Station
        The rules, the model file and the folders.
    predictor : Predictor
        Loaded from the station's model.
    store : ResultStore
        The results.
    view : ResultView
        Reads them.
    reviews : ReviewService
        Handles the reviews of the results.
    stream : SharedStream
        Runs the predictor.
    watches : bool
        Whether this process watches the station's folder.
    notices : sequence of Notice
        The last warnings of this process.
    """

    def __init__(
        self,
        station: Station,
        predictor: Predictor,
        store: ResultStore,
        *,
        view: ResultView,
        reviews: ReviewService,
        stream: SharedStream,
        watches: bool,
        notices: Sequence[Notice],
    ) -> None:
        self.view = view
        self._station = for_model(predictor.card, station)
        self._predictor = predictor
        self._store = store
        store.set_scheme(predictor.card.label_scheme)
        self._stream = stream
        self._watches = watches
        self._notices = notices
        self._uploads = Uploads(station.output)
        self._uploads.remove_orphans(store.ledger.has_below)
        self._cells = None if station.cells is None else FieldCells(station, predictor)
        self.reviews = reviews
        self._model = _model_of(predictor)

    def receive(self, files: Sequence[tuple[str, IO[bytes]]]) -> Received:
        """Store the files of one field that a client sent.

        Raises
        ------
        SampleError
            They are not those of one field.
        OutputError
            They can't be written.
        """
        names = self._uploads.store(files)
        try:
            rules, group = field_in(self._station, self._station.output, names)
            return Received(names, rules, group, samples_of(rules, group))
        except BaseException:
            self._uploads.discard(names)
            raise

    def give_up(self, received: Received) -> None:
        """Remove files that a client sent, unless `finish` has begun, which then decides alone."""
        if received.decided.acquire(blocking=False):
            self._uploads.discard(received.names)

    @property
    def classes(self) -> int:
        """Number of classes of the model."""
        return len(self._store.scheme)

    def submit(self, sample: Sample) -> Future[Answer]:
        """Submit a field; the future returns the answer."""
        return self._stream.submit(sample)

    def finish(self, received: Received, answers: Sequence[Answer]) -> list[Row]:
        """Store the results of the fields that a client sent, with their cells if the station asks for them.

        If they can't be stored, what was sent and what was made of it is removed, even if nobody waits any more.

        Returns
        -------
        list of Row
            The results as they are stored; none if the request was given up before.

        Raises
        ------
        HpaError
            None of the fields could be answered.
        ChangedError
            The files were changed before their cells were found.
        OutputError
            The results or the tables of cells can't be written. Or the results can't be read again, and stay.
        DeviceError
            The device failed.
        """
        if not received.decided.acquire(blocking=False):
            return []
        try:
            results = self._results_of(received, answers)
            self._store.add(*results)
        except BaseException:
            self._uploads.discard(received.names)
            raise
        self._uploads.finish(received.names)
        return [row for result in results if (row := self.view.get(result.id))]

    def _results_of(self, received: Received, answers: Sequence[Answer]) -> list[Result]:
        failures = [answer.error for answer in answers if isinstance(answer, Failure)]
        if len(failures) == len(answers):
            raise failures[0]
        results = [self._result(*pair) for pair in zip(received.samples, answers, strict=True)]
        return results if self._cells is None else self._with_cells(self._cells, received, results)

    def _with_cells(self, cells: FieldCells, received: Received, results: Sequence[Result]) -> list[Result]:
        # Masks are found by the id that the client gave the field.
        folder = received.names[0].rpartition("/")[0]
        samples = cells.samples(received.group, received.rules)
        found = [replace(sample, id=sample.id.removeprefix(f"{folder}/")) for sample in samples]
        read, counts = cells.write(found, [sample.id for sample in received.samples], FieldFiles(cells.folder))
        stamps = {path: stamp for result in results for path, stamp in zip(result.files, result.stamps, strict=False)}
        same = all(stamps.get(escaped(file.path), file.stamp).matches(file.stamp) for file in read)
        if not same or not all(result.id in counts for result in results):
            raise ChangedError(
                "the files that were sent were changed here before their cells were found",
                where=received.names[0],
                remedy="Send them again, and let no other program write to the folder for uploads.",
            )
        return [replace(result, cells=counts[result.id]) for result in results]

    def check_store(self, store: str | None) -> None:
        """Check that the store a client refers to is the one that is open here.

        Raises
        ------
        ChangedError
            It is another one, so the client's numbers mean other results here.
        """
        if store is not None and store != self.view.store:
            raise ChangedError(
                "the results are those of another store now, which numbers them anew",
                remedy="Ask for the results again, without 'before', 'number' and 'store'.",
            )

    def picture(
        self,
        name: str,
        view: View,
        side: int,
        *,
        store: str | None = None,
        number: int | None = None,
        whole: bool = False,
    ) -> bytes:
        """Draw the field of a result as the model sees it.

        Parameters
        ----------
        name : str
            The result's id.
        view, side
            As for `hpa_sdk.live.pictures.draw`.
        store, number : optional
            The store and the number of the expected result.
        whole : bool
            Draw the field as it was read, and not at the scale of the model's training.

        Raises
        ------
        ChangedError
            The store is another one, the id has another result now, or its files or its channels in them
            are not those that were answered.
        SampleError
            There is no such result, or its files may not be shown.
        PlaneError
            Its files can't be read any more.
        """
        row = self._row(name, store, number)
        rules = msgspec.structs.replace(self._station, trained=None) if whole else self._station
        field = read_field(sample_of(row.result, rules, (self._uploads.folder, self._station.watch)))
        # Checks the bytes that were just read: the files could be others before or after.
        check_unchanged(row.result, field)
        return draw(field.planes, view, side=side)

    def cells(self, name: str, *, store: str | None = None, number: int | None = None) -> FieldCellsRecord:
        """Return the cells of a result.

        Parameters
        ----------
        name, store, number
            As for `picture`.

        Raises
        ------
        ChangedError
            The store is another one, the id has another result now, or the table of cells is not that of the result.
        SampleError, TableError
            There is no such result, its cells were not answered, or their table can't be read.
        """
        return cells_of(self._row(name, store, number), self._station.output / CELLS_FOLDER)

    def _row(self, name: str, store: str | None, number: int | None) -> Row:
        self.check_store(store)
        row = self.view.get(name)
        if row is None:
            raise no_such_result(name)
        if number is not None and number != row.number:
            raise ChangedError(
                f"this field was answered again: its result has the number {row.number} now, not {number}",
                remedy="Ask for the result again, and then with its number.",
            )
        return row

    def status(self) -> Status:
        """Return the status."""
        troubles = []
        if not all(
            model.is_on_disk() for model in (self._predictor.model, *(other for other, _ in self._predictor.others))
        ):
            troubles.append(
                "The model file was replaced or removed. The model that was loaded from it stays in use;"
                " start again to use the file that is there now."
            )
        counts = ResultCounts()
        try:
            counts = self.view.counts()
        except OutputError as error:
            troubles.append(str(error))
        return Status(
            status="trouble" if troubles else "ok",
            version=__version__,
            model=self._model,
            device=self._predictor.device,
            providers=self._predictor.providers,
            watching=str(self._station.watch) if self._watches else None,
            labels=self._store.scheme.names,
            cells=self._station.cells is not None,
            cell_colours=tuple(css_colours(self.classes)),
            label_counts=counts.labels,
            results=counts.results,
            failed=counts.failed,
            newest=counts.newest,
            store=self.view.store,
            troubles=tuple(troubles),
            notices=tuple(self._notices),
            largest_upload=LARGEST_UPLOAD,
        )

    def _result(self, sample: Sample, answer: Answer) -> Result:
        # A failure of a stack that was not opened has no scene's id.
        named = answer if not isinstance(answer, Failure) else Failure(sample.id, answer.error)
        return Result.by(self._predictor, named, files=sample.files)


def _model_of(predictor: Predictor) -> Model:
    """Describe what answers: a model, or all models of an ensemble with each different word of their cards."""
    cards = [predictor.card, *(card for _, card in predictor.others)]

    def joined(words: Iterable[str], separator: str = " + ") -> str:
        return separator.join(dict.fromkeys(filter(None, words)))

    models = models_of(predictor)
    return Model(
        name=" + ".join(card.name for card in cards) + f" ({predictor.views} views)" * (predictor.views > 1),
        architecture=joined(card.architecture for card in cards),
        precision=joined(card.computation for card in cards),
        sha256=ensemble_sha256(models, predictor.views),
        models=models,
        views=predictor.views,
        warning=joined((card.warning for card in cards), " "),
    )


def no_such_result(name: str) -> SampleError:
    """Create the error for an id that has no result."""
    return SampleError(f"no result has the id {name!r}", remedy="GET /results gives those that there are.")
