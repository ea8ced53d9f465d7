"""The report on an acquisition's fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The state of an acquisition's fields.

    Attributes
    ----------
    planned, answered, failed : int
        Fields that were planned, that have labels, and that have an error instead.
    warned : int
        Answered fields with warnings.
    dropped : int
        Failed fields for which the queue was full.
    incomplete : dict of str to tuple of str
        Failed fields that lacked frames, by id, with the channels that were missing.
    unplanned_frames : int
        Frames that were not planned.
    late_frames : int
        Frames of the four channels that came after their field was predicted or given up.
    unsaved : int
        Results that the store did not accept; `FieldHandler.close` tries once more.
    troubles : tuple of str
        Other problems, each once.
    """

    planned: int
    answered: int
    failed: int
    warned: int
    dropped: int
    incomplete: dict[str, tuple[str, ...]]
    unplanned_frames: int
    late_frames: int
    unsaved: int
    troubles: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether there was no problem."""
        return not (self.failed or self.unplanned_frames or self.late_frames or self.unsaved or self.troubles)

    def __str__(self) -> str:
        lines = [f"{self.answered} of {self.planned} planned fields answered, {self.failed} failed"]
        if self.warned:
            lines.append(f"{self.warned} fields with warnings: see the results")
        if self.dropped:
            lines.append(f"{self.dropped} fields dropped: the predictor was behind")
        lines += [f"{name}: no complete {', '.join(channels)}" for name, channels in self.incomplete.items()]
        if self.unplanned_frames:
            lines.append(f"{self.unplanned_frames} frames ignored: call plan with events that are no MDASequence")
        if self.late_frames:
            lines.append(f"{self.late_frames} frames came after their field was predicted or given up")
        if self.unsaved:
            lines.append(f"{self.unsaved} results are not saved")
        return "\n".join([*lines, *self.troubles])
