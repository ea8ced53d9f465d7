"""Looks up the answers for cells of earlier runs, and records new ones."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.answers import PendingField, Recall
from hpa_sdk.batch.cell_ledger import CellLedger
from hpa_sdk.batch.fingerprint import Comparison, fingerprint_of, place_of
from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.errors import HpaError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure, Prediction


class CellCache(Recall):
    """The stored cells of this run and of earlier ones. A field with a failed cell is not stored, but tried again.

    What it counts are fields.

    Parameters
    ----------
    ledger : CellLedger
        Where they are stored.
    settings : str
        A hash of what all fields of the run share.
    comparison : str
        How planes are compared.
    segmenter : Segmenter
        Finds the cells.
    thresholds : numpy.ndarray
        float32, one for each class. Probabilities are stored, so other thresholds need no new run.
    card : ModelCard
        The model card.
    device : str
        The device that makes the new answers.
    """

    def __init__(
        self,
        ledger: CellLedger,
        *,
        settings: str,
        comparison: Comparison,
        segmenter: Segmenter,
        thresholds: npt.NDArray[np.float32],
        card: ModelCard,
        device: str,
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._settings = settings
        self._comparison = comparison
        self._segmenter = segmenter
        self._thresholds = thresholds
        self._scheme = card.label_scheme
        self._channels = {*card.preprocessing.channels, *segmenter.channels}
        self._device = device

    def lookup(self, sample: Sample) -> CellAnswers | PendingField:
        """Return the stored cells of a field in its present state, or the field as pending."""
        try:
            found_by = self._segmenter.fingerprint(sample.id)
        except HpaError:  # it is raised again when the cells are looked for
            return PendingField(sample)
        settings = hashlib.sha256(f"{self._settings}\0{found_by}".encode("utf-8", "surrogateescape")).hexdigest()
        bound, fingerprint = fingerprint_of(sample, settings, self._comparison, self._channels)
        pending = PendingField(bound, place_of(sample), fingerprint)
        known = self._ledger.get(pending.place)
        if known is None or fingerprint is None:
            return pending
        if known.fingerprint != fingerprint.value:
            self.changed += 1
            return pending
        self.hits += 1
        self.devices.add(known.device)
        self.unmeasured += known.quality is None
        arrays = known.probabilities, known.embeddings, known.deviations
        cells = zip(known.segmentation.cells, known.notes, *arrays, strict=True)
        answers = tuple(
            Prediction.from_probabilities(
                probabilities,
                id=f"{sample.id}:{cell.number}",
                thresholds=self._thresholds,
                embedding=embedding,
                white=known.white,
                files=fingerprint.files or known.files,
                notes=notes,
                scheme=self._scheme,
                channels=known.channels,
                quality=known.quality,
                deviations=deviations,
            )
            for cell, notes, probabilities, embedding, deviations in cells
        )
        return CellAnswers(id=sample.id, segmentation=known.segmentation, answers=answers)

    def record(self, pending: PendingField, answer: CellAnswers | Failure) -> None:
        """Record the cells of a field if the files that were read are those of the fingerprint."""
        if not isinstance(answer, CellAnswers):
            return
        predictions = [one for one in answer.answers if isinstance(one, Prediction)]
        if not predictions or len(predictions) < len(answer.answers):
            return
        if pending.fingerprint is None or not pending.fingerprint.is_of(predictions[0].files):
            self.unrecorded += 1
            return
        self._ledger.add(pending.place, pending.fingerprint.value, self._device, answer, predictions)

    def flush(self) -> None:
        """Write the pending answers to the ledger."""
        self._ledger.flush()
