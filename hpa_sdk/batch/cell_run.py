"""Predicts the cells of large numbers of fields, and writes a row per cell and a summary per field."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.answers import NoCache, answers_in_order
from hpa_sdk.batch.cell_cache import CellCache
from hpa_sdk.batch.cell_ledger import CellLedger
from hpa_sdk.batch.fingerprint import Comparison, RunSettings, settings_sha256
from hpa_sdk.batch.provenance import Provenance, provenance_path
from hpa_sdk.batch.resumption import open_ledger, remove_partials
from hpa_sdk.batch.run_lock import lock_output
from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.cells.summary import SummaryWriter, open_summary
from hpa_sdk.cells.writers import CellWriter, open_cell_writer
from hpa_sdk.errors import OutputError
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.trained_scale import whole_field_rules
from hpa_sdk.prediction import Failure

_SUMMARY = ".fields.csv"
_log = logging.getLogger("hpa_sdk")


class CellEngine(RunSettings, Protocol):
    """Predicts cells: a `Predictor`, or an engine that distributes the work over a cluster."""

    thresholds: npt.NDArray[np.float32]

    @property
    def device(self) -> str:
        """The device in use."""

    def cells(
        self, sources: Iterable[Sample], /, *, segmenter: Segmenter, rules: FieldRules | None
    ) -> Iterator[CellAnswers | Failure]:
        """Predict the cells of samples lazily, in the order asked."""


class CellRun:
    """Predicts the cells of the fields found, and writes the answers.

    Attributes
    ----------
    fields, failed : int
        How many fields were answered so far, and how many of these failed or have no cells.
    cells, failed_cells : int
        How many cells were answered, and how many of these failed.
    warned : int
        How many fields with cells have warnings.
    """

    def __init__(
        self,
        predictor: CellEngine,
        segmenter: Segmenter,
        cache: CellCache | NoCache,
        writer: CellWriter,
        summary: SummaryWriter,
        rules: FieldRules | None,
    ) -> None:
        self.fields = self.failed = self.cells = self.failed_cells = self.warned = 0
        self._stream = partial(predictor.cells, segmenter=segmenter, rules=rules)
        self.cache = cache
        self._writer = writer
        self._summary = summary

    def answers(self, found: Iterator[Sample | Failure]) -> Iterator[CellAnswers | Failure]:
        """Answer the fields found, write each answer, and yield it to the caller."""
        for answer in answers_in_order(found, self._stream, self.cache):
            self.fields += 1
            if isinstance(answer, Failure) or not answer.answers:
                self.failed += 1
            else:
                failures = [one for one in answer.answers if isinstance(one, Failure)]
                self.cells += len(answer.answers)
                self.failed_cells += len(failures)
                self.warned += any(not isinstance(one, Failure) and bool(one.warnings) for one in answer.answers)
            self._writer.write(answer)
            self._summary.write(answer)
            yield answer


def summary_path(output: Path) -> Path:
    """Return the path of the summary of fields, next to the output.

    ``cells.fields.csv`` of ``cells.csv``, ``cells.parquet.fields.csv`` of ``cells.parquet``. Only ``X`` and ``X.csv``
    would share one: see `open_cell_run`.
    """
    return output.with_name(f"{output.name.removesuffix('.csv')}{_SUMMARY}")


@contextmanager
def open_cell_run(
    output: Path,
    form: str,
    *,
    predictor: CellEngine,
    segmenter: Segmenter,
    rules: FieldRules | None = None,
    resume: Comparison | None = None,
    request: Mapping[str, object] | None = None,
    log: Callable[[str], None] = _log.warning,
) -> Iterator[CellRun]:
    """Open a run into a file of cells and a summary of fields, which appear complete with their provenance.

    Parameters
    ----------
    output : pathlib.Path
        The file of cells.
    form : str
        One of `hpa_sdk.cells.writers.FORMS`.
    predictor : CellEngine
        Predicts.
    segmenter : Segmenter
        Finds the cells.
    rules : FieldRules, optional
        How the fields are read.
    resume : str or None
        How planes are compared with those of an earlier run that is resumed; None for a run without a ledger.
    request : mapping of str to object, optional
        What the user asked for, for the provenance.
    log : callable
        Called with a line for the user. Default: the log.

    Raises
    ------
    OutputError
        A file, its ledger or its provenance can't be written, another process is using it, or the output has the name
        of the summary of another one, or the same summary as another one.
    """
    if output.name.endswith(_SUMMARY):
        raise OutputError(
            f"files whose names end with {_SUMMARY} are summaries of other files of cells",
            where=output,
            remedy="Give the file of cells another name, such as cells.csv.",
        )
    stem = output.name.removesuffix(".csv")
    other = output.with_name(stem if stem != output.name else f"{stem}.csv")
    if provenance_path(other).exists():
        raise OutputError(
            f"its summary of fields would replace that of {other.name}",
            where=output,
            remedy="Give the file of cells another name.",
        )
    with lock_output(output):
        provenance = Provenance(
            [(predictor.model, predictor.card)], request or {}, views=predictor.views, thresholds=predictor.thresholds
        )
        with ExitStack() as stack:
            cache: CellCache | NoCache = NoCache()
            if resume is not None:
                settings = _settings(predictor, rules, resume)
                opened = open_ledger(CellLedger, output, settings, log)
                remove_partials(summary_path(output))
                cache = CellCache(
                    stack.enter_context(opened),
                    settings=settings,
                    comparison=resume,
                    segmenter=segmenter,
                    thresholds=predictor.thresholds,
                    card=predictor.card,
                    device=predictor.device,
                )
            summary = stack.enter_context(open_summary(summary_path(output)))
            writer = stack.enter_context(open_cell_writer(output, form, predictor.card.label_scheme))
            run = CellRun(predictor, segmenter, cache, writer, summary, rules)
            yield run
            cache.flush()
        cache.log("field", log)
        counts = {
            **{name: getattr(run, name) for name in ("fields", "failed", "cells", "failed_cells", "warned")},
            "recalled": cache.hits,
            "changed": cache.changed,
        }
        provenance.write(output, devices=sorted({predictor.device, *cache.devices}), counts=counts)


def _settings(predictor: CellEngine, rules: FieldRules | None, resume: Comparison) -> str:
    """Describe what all fields share, except thresholds and what the segmenter says of each field."""
    shared = settings_sha256(predictor, resume)
    trained = whole_field_rules(predictor.card, rules, predictor.white)[2]
    pixel_size = rules and rules.files.pixel_size
    return f"{shared} {predictor.card.cell!r} {trained!r} {pixel_size}"
