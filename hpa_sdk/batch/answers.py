"""Yields answers in the order asked: cached ones from the ledger at once, the others as they are predicted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.answer_ledger import AnswerLedger
from hpa_sdk.batch.fingerprint import Comparison, Fingerprint, fingerprint_of, place_of
from hpa_sdk.errors import count_of
from hpa_sdk.fields.reading import names_of
from hpa_sdk.fields.samples import Sample
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure, Prediction

Answer = TypeVar("Answer")
"""The answer for a field: a `Prediction`, or the answers for its cells."""

Stream = Callable[[Iterable[Sample]], Iterator[Answer | Failure]]
"""Predicts samples in the order asked, and may read some of them ahead: `Predictor.stream`, or a similar engine."""

_MOST_HELD = 1000


@dataclass(frozen=True, slots=True)
class PendingField:
    """A field without a cached answer.

    Attributes
    ----------
    sample : Sample
        The field to predict.
    place : bytes
        Its key in the ledger, from `place_of`.
    fingerprint : Fingerprint or None
        What the answer will be computed from; None if that is not known.
    """

    sample: Sample
    place: bytes = b""
    fingerprint: Fingerprint | None = None


class Cache(Protocol[Answer]):
    """The answers of earlier runs."""

    def lookup(self, sample: Sample) -> Answer | PendingField:
        """Return the cached answer of a field in its present state, or the field as pending."""

    def record(self, pending: PendingField, answer: Answer | Failure) -> None:
        """Record an answer."""


class Recall:
    """What a cache counts.

    Attributes
    ----------
    hits, changed : int
        How many answers came from the ledger, and for how many fields its answer was outdated, because the field or the
        settings had changed.
    unrecorded : int
        How many new answers were not recorded, because their files changed meanwhile or could not be read for a
        fingerprint.
    unmeasured : int
        How many answers from the ledger have no quality, because a run without it or an earlier version made them.
    remeasured : int
        For how many fields its answer in the ledger was not used, because it has no quality and the run needs one.
    devices : set of str
        The devices that made the cached answers.
    """

    def __init__(self) -> None:
        self.hits = 0
        self.changed = 0
        self.unrecorded = 0
        self.unmeasured = 0
        self.remeasured = 0
        self.devices: set[str] = set()

    def log(self, noun: str, log: Callable[[str], None]) -> None:
        """Log how many answers came from the ledger, and what is missing in it or in them.

        Parameters
        ----------
        noun : str
            What is counted: ``"answer"``, or ``"field"`` if an answer is that for all cells of a field.
        log : callable
            Called with a line for the user.
        """
        if self.hits or self.changed:
            were = "was" if self.changed == 1 else "were"
            log(
                f"{count_of(self.hits, noun)} stood in the ledger;"
                f" {count_of(self.changed, 'field')} had changed and {were} done again."
            )
        if self.remeasured:
            has, was = ("has", "was") if self.remeasured == 1 else ("have", "were")
            log(
                f"{count_of(self.remeasured, noun)} of the ledger {has} no quality and {was} predicted again:"
                " --on-warning fail needs it."
            )
        if self.unrecorded:
            log(
                f"Not recorded in the ledger: {count_of(self.unrecorded, noun)}, because files changed meanwhile,"
                " could not be read, or are in an archive that reports neither their time nor their checksum."
            )
        if self.unmeasured:
            log(
                f"{count_of(self.unmeasured, noun)} of the ledger {'has' if self.unmeasured == 1 else 'have'} no"
                " quality and so no warnings: a run without it made them."
            )


class NoCache(Recall):
    """An empty cache, for a run without a ledger."""

    def lookup(self, sample: Sample) -> PendingField:
        """Return every field as pending."""
        return PendingField(sample)

    def record(self, pending: PendingField, answer: Any) -> None:  # noqa: ANN401 - of any kind
        """Record nothing."""

    def flush(self) -> None:
        """Write nothing."""


class AnswerCache(Recall):
    """The cached predictions of this run and of earlier ones. Fields that failed are not cached, but tried again.

    Parameters
    ----------
    ledger : AnswerLedger
        Where the predictions are stored.
    settings : str
        From `settings_sha256`.
    comparison : str
        How planes are compared.
    thresholds : numpy.ndarray
        float32, one for each class. Probabilities are cached, so other thresholds need no new run.
    card : ModelCard
        The model card: which channels the model takes, and which classes it answers with.
    device : str
        The device that makes the new answers.
    needs_quality : bool
        Whether an answer without quality is predicted again.
    """

    def __init__(
        self,
        ledger: AnswerLedger,
        *,
        settings: str,
        comparison: Comparison,
        thresholds: npt.NDArray[np.float32],
        card: ModelCard,
        device: str,
        needs_quality: bool = False,
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._needs_quality = needs_quality
        self._settings = settings
        self._comparison = comparison
        self._thresholds = thresholds
        self._scheme = card.label_scheme
        self._channels = card.preprocessing.channels
        self._device = device

    def lookup(self, sample: Sample) -> Prediction | PendingField:
        """Return the cached prediction of a field in its present state, or the field as pending."""
        bound, fingerprint = fingerprint_of(sample, self._settings, self._comparison, self._channels)
        pending = PendingField(bound, place_of(sample), fingerprint)
        known = self._ledger.get(pending.place)
        if known is None or fingerprint is None:
            return pending
        # An earlier version stored less about the files; what it stored is still valid.
        if known.fingerprint != (fingerprint.by_time if known.files is None else fingerprint.value):
            self.changed += 1
            return pending
        if self._needs_quality and known.quality is None:
            self.remeasured += 1
            return pending
        self.hits += 1
        self.devices.add(known.device)
        answer = Prediction.from_probabilities(
            known.probabilities,
            id=sample.id,
            thresholds=self._thresholds,
            embedding=known.embedding,
            white=known.white,
            files=fingerprint.files or known.files or (),
            notes=known.notes,
            scheme=self._scheme,
            # An earlier version did not store them; of plain planes they are known.
            channels=known.channels or (names_of(sample.files) if sample.source is None else ()),
            quality=known.quality,
            deviations=known.deviations,
        )
        self.unmeasured += known.quality is None
        if known.files is None:
            # Record it again, with all that is known of its files now.
            self._ledger.add(pending.place, fingerprint.value, known.device, answer)
        return answer

    def record(self, pending: PendingField, answer: Prediction | Failure) -> None:
        """Record a prediction if the files that were read are those of the fingerprint."""
        if not isinstance(answer, Prediction):
            return
        if pending.fingerprint is None or not pending.fingerprint.is_of(answer.files):
            self.unrecorded += 1
            return
        self._ledger.add(pending.place, pending.fingerprint.value, self._device, answer)

    def flush(self) -> None:
        """Write the pending answers to the ledger."""
        self._ledger.flush()


def answers_in_order(
    found: Iterator[Sample | Failure], stream: Stream[Answer], cache: Cache[Answer]
) -> Iterator[Answer | Failure]:
    """Yield the answers of the fields found, in their order and with bounded memory.

    Parameters
    ----------
    found : iterator of Sample or Failure
        A failure stands for a path without a sample, and is its own answer.
    stream : callable
        Predicts the samples that are not in the cache.
    cache : Cache
        The cached answers.

    Yields
    ------
    Answer or Failure
        One for each item of `found`.
    """
    waiting: deque[Answer | Failure | PendingField] = deque()
    while True:
        unanswered = _Unanswered(found, cache, waiting)
        for answer in stream(unanswered):
            yield from _ready(waiting)
            pending = waiting.popleft()
            if isinstance(pending, PendingField):
                cache.record(pending, answer)
            yield answer
        yield from _ready(waiting)
        if unanswered.exhausted:
            return


def _ready(waiting: deque[Answer | Failure | PendingField]) -> Iterator[Answer | Failure]:
    while waiting and not isinstance(waiting[0], PendingField):
        answer = waiting.popleft()
        if not isinstance(answer, PendingField):
            yield answer


class _Unanswered(Generic[Answer]):
    """The samples that a stream still has to predict; known answers wait in the queue for their turn.

    It ends early when many answers wait: the stream then returns its remaining answers, and another stream resumes.
    So a long sequence of known answers takes no memory.
    """

    def __init__(
        self,
        found: Iterator[Sample | Failure],
        cache: Cache[Answer],
        waiting: deque[Answer | Failure | PendingField],
    ) -> None:
        self.exhausted = False
        self._found = found
        self._cache = cache
        self._waiting = waiting

    def __iter__(self) -> Iterator[Sample]:
        held = 0
        while held < _MOST_HELD:
            item = next(self._found, None)
            if item is None:
                self.exhausted = True
                return
            answer = item if isinstance(item, Failure) else self._cache.lookup(item)
            self._waiting.append(answer)  # before the sample is yielded: another thread may return its answer at once
            if isinstance(answer, PendingField):
                yield answer.sample
            else:
                held += 1
