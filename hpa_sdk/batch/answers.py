"""Gives answers in the order asked: those that a ledger remembers at once, the others as they are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.answer_ledger import AnswerLedger
from hpa_sdk.batch.fingerprint import Comparison, Fingerprint, fingerprint_of, place_of
from hpa_sdk.fields.samples import Sample
from hpa_sdk.prediction import Failure, Prediction

Stream = Callable[[Iterable[Sample]], Iterator[Prediction | Failure]]
"""Predicts samples in the order asked, and may draw some of them ahead: `Predictor.stream`, or an engine like it."""

_MOST_HELD = 1000


@dataclass(frozen=True, slots=True)
class PendingField:
    """A field whose answer the ledger does not have.

    Attributes
    ----------
    sample : Sample
        What is to be predicted.
    place : bytes
        From `place_of`.
    fingerprint : Fingerprint or None
        What the answer will come from, if that is known.
    """

    sample: Sample
    place: bytes = b""
    fingerprint: Fingerprint | None = None


class NoCache:
    """Remembers nothing, for a run without a ledger."""

    hits = 0
    changed = 0
    unrecorded = 0
    devices: frozenset[str] = frozenset()

    def lookup(self, sample: Sample) -> Prediction | PendingField:
        """Owe every answer."""
        return PendingField(sample)

    def record(self, pending: PendingField, answer: Prediction | Failure) -> None:
        """Note nothing."""

    def flush(self) -> None:
        """Hold nothing that could be lost."""


class AnswerCache:
    """Remembers the predictions of a run and of those before it. Fields that failed are tried again.

    Parameters
    ----------
    ledger : AnswerLedger
        Where they stand.
    settings : str
        From `settings_sha256`.
    comparison : str
        How planes are compared.
    thresholds : numpy.ndarray
        float32 of shape (28,): what is open_answer_cache are probabilities, so other thresholds need no other run.
    device : str
        The device that makes the new answers.

    Attributes
    ----------
    hits, changed : int
        How many answers the ledger gave, and how many it had for what the field or the settings were before.
    unrecorded : int
        How many new answers are not in the ledger, because their files changed between the two looks at them.
    devices : set of str
        The devices that made the answers that the ledger gave.
    """

    def __init__(
        self,
        ledger: AnswerLedger,
        *,
        settings: str,
        comparison: Comparison,
        thresholds: npt.NDArray[np.float32],
        device: str,
    ) -> None:
        self.hits = 0
        self.changed = 0
        self.unrecorded = 0
        self.devices: set[str] = set()
        self._ledger = ledger
        self._settings = settings
        self._comparison = comparison
        self._thresholds = thresholds
        self._device = device

    def lookup(self, sample: Sample) -> Prediction | PendingField:
        """Give the prediction that the ledger has of a field as it is now, or what is pending."""
        bound, fingerprint = fingerprint_of(sample, self._settings, self._comparison)
        pending = PendingField(bound, place_of(sample), fingerprint)
        known = self._ledger.get(pending.place)
        if known is None or fingerprint is None:
            return pending
        # A version before kept less of the files, and what it kept is still as good as it was.
        if known.fingerprint != (fingerprint.by_time if known.files is None else fingerprint.value):
            self.changed += 1
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
        )
        if known.files is None:
            # From now on by all that is known of its files.
            self._ledger.add(pending.place, fingerprint.value, known.device, answer)
        return answer

    def record(self, pending: PendingField, answer: Prediction | Failure) -> None:
        """Note a prediction, where it is known what it came from: what was read is what was looked at before."""
        if not isinstance(answer, Prediction):
            return
        if pending.fingerprint is None or not pending.fingerprint.is_of(answer.files):
            self.unrecorded += 1
            return
        self._ledger.add(pending.place, pending.fingerprint.value, self._device, answer)

    def flush(self) -> None:
        """Write what the ledger has not written yet."""
        self._ledger.flush()


def answers_in_order(
    found: Iterator[Sample | Failure], stream: Stream, cache: AnswerCache | NoCache
) -> Iterator[Prediction | Failure]:
    """Answer what was found, in its order, with bounded memory.

    Parameters
    ----------
    found : iterator of Sample or Failure
        A failure, where no sample was found, is its own answer.
    stream : callable
        Predicts the samples that the cache does not know.
    cache : AnswerCache or NoCache
        What is open_answer_cache.

    Yields
    ------
    Prediction or Failure
        One for each that was found.
    """
    waiting: deque[Prediction | Failure | PendingField] = deque()
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


def _ready(waiting: deque[Prediction | Failure | PendingField]) -> Iterator[Prediction | Failure]:
    while waiting and not isinstance(waiting[0], PendingField):
        answer = waiting.popleft()
        if not isinstance(answer, PendingField):
            yield answer


class _Unanswered:
    """The samples that a stream still has to predict; what is known lies waiting for its turn meanwhile.

    It ends early when much waits: then the stream gives what it has, and another goes on. So a long row of known
    answers takes no memory.
    """

    def __init__(
        self,
        found: Iterator[Sample | Failure],
        cache: AnswerCache | NoCache,
        waiting: deque[Prediction | Failure | PendingField],
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
            self._waiting.append(answer)  # before the sample is given: its answer may come on another thread at once
            if isinstance(answer, PendingField):
                yield answer.sample
            else:
                held += 1
