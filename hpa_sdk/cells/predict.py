"""Answers for each cell of fields: the cells of many fields run together in full batches."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import Protocol

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.cut_field import CutField, PreparedCell, cut, read_cells
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.sources import Source, find_fields
from hpa_sdk.fields.trained_scale import whole_field_rules
from hpa_sdk.inference.pipeline import run_in_batches
from hpa_sdk.inference.prepared_field import PreparedField
from hpa_sdk.inference.session import Session
from hpa_sdk.inference.threads import ThreadPlan
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.preprocessing import White
from hpa_sdk.quality.reference import Reference

_TOGETHER = 2  # cells: with more, workers of a large network wait for each other at the end
_LARGEST_INPUTS = 16 * 2**20  # bytes of the inputs of the model for the cells that a worker cuts at once


class Engine(Protocol):
    """What is needed of a `hpa_sdk.Predictor`."""

    card: ModelCard
    session: Session
    white: White | None
    quality: bool
    given_reference: Reference | None

    @property
    def threads(self) -> ThreadPlan:
        """How the cores are shared."""

    @property
    def others(self) -> Sequence[object]:
        """The further models of an ensemble."""

    def _run(self, prepared: list[PreparedField], turn: int | None) -> list[Prediction | Failure]: ...


def predict_cells(
    self: Engine,
    sources: Source | Iterable[Source],
    *,
    segmenter: Segmenter | None = None,
    recursive: bool = False,
    root: str | os.PathLike[str] | None = None,
    rules: FieldRules | None = None,
) -> Generator[CellAnswers | Failure]:
    """Predict each cell of fields lazily, in the order of the sources, with bounded memory.

    A model that answers for fields sees each cell alone in its field: all other pixels are black. A model that answers
    for cells sees the crop that its card describes. The quality of a field is that of each of its cells.

    Parameters
    ----------
    sources : Source or iterable of Source
        As for `hpa_sdk.Predictor.stream`.
    segmenter : Segmenter, optional
        Finds the cells. Default: `hpa_sdk.cells.classical.ClassicalSegmenter`, by thresholds and a watershed.
    recursive : bool
        Also search the folders below a folder.
    root : str or os.PathLike, optional
        Folder that contains the planes of a table's ids.
    rules : FieldRules, optional
        How stacks are read: channel names, z, pixel size. The pixel size also applies to arrays.

    Yields
    ------
    CellAnswers or Failure
        For each field: its cells, each with a `Prediction` or a `Failure`; or why it has none. The id of a prediction
        is the field's id and the number of the cell: ``"A01:7"``.

    Raises
    ------
    SettingError
        The packages of the default segmenter are not installed, several models were loaded, or a reference was given
        that cells can't use.
    DeviceError
        The device failed while running.
    """
    check_settings(self.card, self.others, self.given_reference)
    if segmenter is None:
        from hpa_sdk.cells.classical import ClassicalSegmenter  # noqa: PLC0415 - OpenCV code that only this needs

        segmenter = ClassicalSegmenter.of_model(self.card, rules, self.white)
    whole, stack_rules, trained = whole_field_rules(self.card, rules, self.white, segmenter.channels)
    return _answers(
        self,
        run_in_batches(
            find_fields(sources, recursive=recursive, root=root, rules=whole, stack_rules=stack_rules),
            prepare=partial(
                read_cells,
                card=self.card,
                segmenter=segmenter,
                white=self.white,
                trained=trained,
                pixel_size=None if rules is None else rules.files.pixel_size,
                quality=self.quality,
            ),
            run=_unchanged,
            batch_size=1,
            workers=max(1, self.threads.workers // 2),  # the other threads cut cells and run the model
        ),
    )


def check_settings(card: ModelCard, others: Sequence[object], reference: object) -> None:
    """Refuse settings of a predictor that its cells would not use.

    Parameters
    ----------
    card : ModelCard
        The card of the model.
    others : sequence
        The further models of an ensemble.
    reference : Reference, str, os.PathLike or None
        The reference that was given in place of the card's own, or its file.

    Raises
    ------
    SettingError
        There are further models, or whole fields can't be compared with the reference.
    """
    if others:
        raise SettingError(
            "cells are predicted by one model, and several were loaded",
            remedy="Load one model; several views are possible.",
        )
    if reference is None:
        return
    name = reference.data if isinstance(reference, Reference) else reference
    if card.unit == "cell":
        raise SettingError(
            "the model answers for cells: the limits of its reference are of what it sees, and not of whole fields",
            where=str(name),
            remedy="Leave reference= (--reference) out: the fields are compared with the limits that ship.",
        )
    if isinstance(reference, Reference) and reference.limits is None:
        raise SettingError(
            "the reference has no limits, and fields of cells are compared with nothing else",
            where=str(name),
            remedy="Make it again with 'hpa reference MODEL FIELDS -o FILE', or leave it out.",
        )


def _unchanged(fields: list[CutField]) -> list[CutField]:
    return fields


@dataclass(frozen=True, slots=True)
class _Pending:
    """A field some of whose cells are not answered yet."""

    found: CutField | Failure
    answers: list[Prediction | Failure] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return isinstance(self.found, Failure) or len(self.answers) == len(self.found.segmentation.cells)

    def result(self) -> CellAnswers | Failure:
        if isinstance(self.found, Failure):
            return self.found
        return CellAnswers(id=self.found.id, segmentation=self.found.segmentation, answers=tuple(self.answers))


_Job = tuple[CutField, Sequence[int]]
"""A field and the positions of some of its cells; of none, if the field has none or failed."""


def _answers(engine: Engine, fields: Generator[CutField | Failure]) -> Generator[CellAnswers | Failure]:
    waiting: deque[_Pending] = deque()
    runs = count()
    batch_size = engine.session.batch_size

    def jobs() -> Iterator[_Job | None]:
        for found in fields:
            waiting.append(_Pending(found))
            # Without a cell, it keeps its turn among the cells of other fields.
            yield from [None] if isinstance(found, Failure) or not found.segmentation.cells else _jobs(engine, found)

    def prepare(job: _Job | None) -> list[PreparedCell | Failure]:
        return [] if job is None else [cut(job[0], at, engine.card) for at in job[1]]

    def run(jobs: list[list[PreparedCell | Failure]]) -> list[list[Prediction | Failure]]:
        asked = [cell for cells in jobs for cell in cells if isinstance(cell, PreparedCell)]
        turns = [next(runs) for _ in asked[::batch_size]]
        answers = iter(engine._run([cell.prepared for cell in asked], turns[0]) if asked else ())  # noqa: SLF001 - of the Engine
        return [
            [cell if isinstance(cell, Failure) else _with_quality(cell, next(answers)) for cell in cells]
            for cells in jobs
        ]

    answers: Generator[list[Prediction | Failure] | Failure] = run_in_batches(
        jobs(),
        prepare=prepare,
        run=run,
        batch_size=batch_size,
        workers=engine.threads.workers,
        parallel_runs=engine.threads.parallel_runs,
    )
    # Closed explicitly: the traceback of a raised error would keep the generators, and so their threads, alive.
    with closing(fields), closing(answers):
        for answer in answers:
            waiting[0].answers.extend([answer] if isinstance(answer, Failure) else answer)
            if waiting[0].complete:
                yield waiting.popleft().result()


def _jobs(engine: Engine, found: CutField) -> Iterator[_Job]:
    """Divide the cells of a field among the workers.

    If a run takes one cell, a worker cuts some cells and then runs them: what it needs for either stays in the cache of
    its core.
    """
    count, form, workers = len(found.segmentation.cells), engine.card.preprocessing, engine.threads.workers
    most = 1
    if engine.session.batch_size == 1:
        sides = found.segmentation.labels.shape if form.size is None else (form.size, form.size)
        # Pixels are floats, or four planes of bytes if the model does the preprocessing.
        inputs = found.read.planes.nbytes if form.place == "graph" else math.prod(sides) * len(form.blend) * 4
        most = max(1, min(_TOGETHER, _LARGEST_INPUTS // inputs))
    jobs = min(count, math.ceil(count / (workers * most)) * workers)
    yield from ((found, range(count * at // jobs, count * (at + 1) // jobs)) for at in range(jobs))


def _with_quality(cell: PreparedCell, answer: Prediction | Failure) -> Prediction | Failure:
    return answer if isinstance(answer, Failure) else replace(answer, quality=cell.quality)
