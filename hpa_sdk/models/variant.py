"""Says how far a variant, such as an fp16 file, is from the fp32 file that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VariantKind = Literal["fp16", "int8", "winograd"]
"""Variants of an fp32 file: a lower precision, or another algorithm in the same precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How much a variant differs from the fp32 file that it was made from, and the loss of accuracy.

    Attributes
    ----------
    kind : str or None
        ``"fp16"``, ``"int8"``, or ``"winograd"``: fp32 with fewer multiplications, for CPUs. None in cards before 1.2.
    parent_sha256 : str
        The parent's `ModelCard.weights_sha256`.
    settings : dict of str to str
        The settings used to make it, such as the signedness of int8, and the measurements behind them.
    data : str
        Name of the data that both files predicted.
    fields : int
        Number of fields.
    max_difference, mean_difference : float
        Absolute difference of the probabilities.
    same_label_sets : float
        Fraction of the fields with the same label set, 0 to 1.
    micro_f1, macro_f1, parent_micro_f1, parent_macro_f1 : float or None
        F1 of the file and of its parent on these fields at the card's thresholds; None if the data has no labels.
    shortfalls : tuple of str
        Each acceptance test that the file failed, in words. The file was written only because the user forced it.
        Empty for a file that passed.
    """

    parent_sha256: str
    settings: dict[str, str]
    data: str
    fields: int
    max_difference: float
    mean_difference: float
    same_label_sets: float
    micro_f1: float | None
    macro_f1: float | None
    parent_micro_f1: float | None
    parent_macro_f1: float | None
    shortfalls: tuple[str, ...] = ()
    kind: VariantKind | None = None
