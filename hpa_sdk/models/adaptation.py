"""Says how a model file was adapted to the fields of one lab, and what that changed in its accuracy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """One figure before and after the adaptation, on fields that neither was fitted on (nested cross-validation).

    Attributes
    ----------
    figure : str
        Its name, such as ``"macro F1"``.
    before, after : float
        Of the parent and of the adapted model.
    low, high : float
        95 % interval of the difference, after minus before, by a paired bootstrap over the fields.
    """

    figure: str
    before: float
    after: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How a model file was made from another one, its parent, with the reviewed fields of one lab.

    Attributes
    ----------
    parent : str
        Name of the parent.
    parent_sha256 : str
        SHA-256 of the parent's file, in hexadecimal.
    data : str
        Name of the reviewed fields.
    data_fingerprint : str
        SHA-256, in hexadecimal, of their ids and labels.
    fields : int
        Number of fields.
    changes : tuple of str
        What differs from the parent, in words.
    new_labels : tuple of str
        Classes that the parent does not have.
    figures : tuple of FigureChange
        Figures before and after.
    forced : bool
        Whether the user forced a change that is not better than the parent by more than chance.
    field_hashes : bytes
        Of each of these fields, and of those that the parent was adapted to: its
        `hpa_sdk.models.known_data.field_hash`. By these, nothing is judged on the fields again unnoticed, nor adapted
        to them once more.
    """

    parent: str
    parent_sha256: str
    data: str
    data_fingerprint: str
    fields: int
    changes: tuple[str, ...]
    figures: tuple[FigureChange, ...]
    new_labels: tuple[str, ...] = ()
    forced: bool = False
    field_hashes: bytes = b""
