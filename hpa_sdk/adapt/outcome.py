"""Holds what was learned from reviewed fields, and says it in words and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hpa_sdk.adapt.choice import Candidate, Fields, Learned
from hpa_sdk.adapt.figures import Change, Present
from hpa_sdk.models.adaptation import FigureChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was learned.

    Attributes
    ----------
    fields : Fields
        The reviewed fields.
    learned : Learned
        The adapted model.
    way : Candidate or None
        What is better than the old model; None if the old classes stay as they are.
    held_out : Candidate
        The answers of models that were not learned from a field.
    new_classes : mapping of str to Change
        Average precision of each new class, against that of chance.
    temperature : float or None
        The temperature, if it is better than the old one.
    forced : bool
        Whether something is not better by more than chance.
    """

    fields: Fields
    learned: Learned
    way: Candidate | None
    held_out: Candidate
    new_classes: Mapping[str, Change]
    temperature: float | None
    forced: bool

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return self.way is None and not self.new_classes and self.temperature is None

    @property
    def changes_answers(self) -> bool:
        """Whether label sets or probabilities change, and not only the temperature."""
        return self.way is not None or bool(self.new_classes)

    @property
    def predicted(self) -> Present:
        """The label set of each field by a model that was not learned from it."""
        predicted = self.held_out.predicted.copy()
        if self.way is None:
            old = slice(self.fields.old_classes)
            predicted[:, old] = self.fields.logits[:, old] >= self.fields.thresholds[old]
        return predicted

    def changes(self) -> Iterator[str]:
        """Say what differs from the old model."""
        old = slice(self.fields.old_classes)
        moved = int((self.learned.thresholds[old] != self.fields.thresholds[old]).sum())
        if moved:
            yield f"thresholds of {_classes(moved)}"
        if self.way is not None and len(self.way.refitted) and self.learned.freedoms["old classes"]:
            freedom = self.learned.freedoms["old classes"]
            yield f"last layer of {_classes(len(self.way.refitted))}, with an expected change of {freedom:g} in logits"
        for name in self.new_classes:
            yield f"new class {name}"
        if self.temperature is not None:
            yield f"temperature {self.temperature:.3g}"

    def figures(self) -> Iterator[FigureChange]:
        """Give the figures before and after, each on fields that were not learned from."""
        if self.way is not None:
            yield _figure("macro F1", self.way.f1)
            yield _figure("macro average precision", self.way.average_precision)
        for name, change in self.new_classes.items():
            yield _figure(f"average precision of {name}, before by chance", change)


def _classes(count: int) -> str:
    return "1 class" if count == 1 else f"{count} classes"


def _figure(name: str, change: Change) -> FigureChange:
    low, high = change.interval
    return FigureChange(figure=name, before=float(change.before[0]), after=float(change.after[0]), low=low, high=high)
