"""Runs a batch and writes its output in order, with provenance, and resumes an earlier run on request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.answer_ledger import AnswerLedger
from hpa_sdk.batch.answers import AnswerCache, NoCache, answers_in_order
from hpa_sdk.batch.fingerprint import Comparison, RunSettings, settings_sha256
from hpa_sdk.batch.provenance import Provenance
from hpa_sdk.batch.resumption import open_ledger
from hpa_sdk.batch.run_lock import lock_output
from hpa_sdk.errors import QualityError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.writers import Writer, open_writer

_log = logging.getLogger("hpa_sdk")


OnWarning = Literal["record", "fail"]
"""What to do with a field that has warnings."""


class Engine(RunSettings, Protocol):
    """Predicts samples: a `Predictor`, or an engine that distributes the work over a cluster."""

    thresholds: npt.NDArray[np.float32]

    def stream(self, sources: Iterable[Sample], /) -> Iterator[Prediction | Failure]:
        """Predict samples lazily, in the order asked."""


class Run:
    """Predicts the fields found, and writes the answers.

    Parameters
    ----------
    engine : Engine
        Predicts.
    writer : Writer
        Writes the answers.
    cache : AnswerCache or NoCache
        The cached answers of earlier runs.
    on_warning : str
        ``"record"``: a field with warnings is answered, and its warnings are written too. ``"fail"``: it fails, and so
        does one whose quality was not measured.

    Attributes
    ----------
    fields, failed, warned : int
        How many fields were answered so far, how many of these failed, and how many of the others have warnings.
    """

    def __init__(
        self, engine: Engine, writer: Writer, cache: AnswerCache | NoCache, *, on_warning: OnWarning = "record"
    ) -> None:
        self.cache = cache
        self.fields = 0
        self.failed = 0
        self.warned = 0
        self._on_warning = on_warning
        self._engine = engine
        self._writer = writer

    def answers(self, found: Iterator[Sample | Failure]) -> Iterator[Prediction | Failure]:
        """Answer the fields found, write each answer, and yield it to the caller."""
        for answer in answers_in_order(found, self._engine.stream, self.cache):
            taken = _refused(answer) if self._on_warning == "fail" else answer
            self.fields += 1
            self.failed += isinstance(taken, Failure)
            self.warned += isinstance(taken, Prediction) and bool(taken.warnings)
            self._writer.write(taken)
            yield taken


def _refused(answer: Prediction | Failure) -> Prediction | Failure:
    if isinstance(answer, Failure) or (answer.quality is not None and not answer.warnings):
        return answer
    what, remedy = " ".join(answer.warnings).removesuffix("."), "Take the field again"
    if answer.quality is None:
        what, remedy = (
            "its quality was not measured, so nothing says that it is good",
            "Load the model with quality=True",
        )
    error = QualityError(
        what,
        where=answer.files[0].path if answer.files else None,
        remedy=f"{remedy}, or allow it with --on-warning record.",
    )
    return Failure(answer.id, error)


@contextmanager
def open_run(
    output: Path,
    form: str,
    *,
    engine: Engine,
    resume: Comparison | None = None,
    on_warning: OnWarning = "record",
    request: Mapping[str, object] | None = None,
    log: Callable[[str], None] = _log.warning,
) -> Iterator[Run]:
    """Open a run into a file, which appears complete with its provenance when the block ends without an error.

    Parameters
    ----------
    output : pathlib.Path
        The file.
    form : str
        One of `hpa_sdk.results.writers.FORMS`.
    engine : Engine
        Predicts; its model, white level and runtime options are those of the run.
    resume : str or None
        How planes are compared with those of an earlier run that is resumed; None for a run without a ledger.
    on_warning : str
        As for `Run`.
    request : mapping of str to object, optional
        What the user asked for, for the provenance.
    log : callable
        Called with a line for the user. Default: the log.

    Raises
    ------
    OutputError
        The file, its ledger or its provenance can't be written, or another process is using it.
    """
    with lock_output(output):
        models = ((engine.model, engine.card), *engine.others)
        provenance = Provenance(models, request or {}, views=engine.views, thresholds=engine.thresholds)
        with ExitStack() as stack:
            cache: AnswerCache | NoCache = NoCache()
            if resume is not None:
                settings = settings_sha256(engine, resume)
                opened = open_ledger(AnswerLedger, output, settings, log)
                cache = AnswerCache(
                    stack.enter_context(opened),
                    settings=settings,
                    comparison=resume,
                    thresholds=engine.thresholds,
                    card=engine.card,
                    device=engine.device,
                    needs_quality=on_warning == "fail",
                )
            writer = stack.enter_context(open_writer(output, form, engine.card.label_scheme))
            run = Run(engine, writer, cache, on_warning=on_warning)
            yield run
            # Before the output appears: after that, only writing the provenance can fail.
            cache.flush()
        cache.log("answer", log)
        counts = {
            "fields": run.fields,
            "failed": run.failed,
            "warned": run.warned,
            "recalled": cache.hits,
            "changed": cache.changed,
            "remeasured": cache.remeasured,
        }
        provenance.write(output, devices=sorted({engine.device, *cache.devices}), counts=counts)
