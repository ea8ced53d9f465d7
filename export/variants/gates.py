"""Says which variants may leave the lab: how near to the parent, how good and how small they must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from export.variants.agreement import Agreement
from hpa_sdk.models.model_card import VariantKind


@dataclass(frozen=True, slots=True)
class Gates:
    """The limits of one kind of variant.

    Attributes
    ----------
    least_same_label_sets : float
        Smallest share of the fields with the parent's label set, 0 to 1.
    largest_f1_loss : float
        How much macro F1 may be lost, where the data has labels.
    largest_share : float
        Largest size of the file as a share of its parent's.
    largest_difference : float
        Largest difference of a probability; lower precisions are free in it as long as label sets stay.
    """

    least_same_label_sets: float
    largest_f1_loss: float
    largest_share: float
    largest_difference: float = 1.0


GATES: dict[VariantKind, Gates] = {
    "fp16": Gates(0.995, 0.005, 0.51),
    "int8": Gates(0.99, 0.005, 0.27),
    "winograd": Gates(1.0, 0.0, 1.01, 1e-5),
}


def find_shortfalls(kind: VariantKind, agreement: Agreement, share: float) -> tuple[str, ...]:
    """Say which gates a variant does not pass, and by how much; empty if it passes them all.

    Parameters
    ----------
    kind : str
        ``"fp16"``, ``"int8"`` or ``"winograd"``.
    agreement : Agreement
        How far it is from its parent.
    share : float
        Its size as a share of its parent's.
    """
    return tuple(_shortfalls(GATES[kind], agreement, share))


def _shortfalls(gates: Gates, agreement: Agreement, share: float) -> Iterator[str]:
    # Written so that a NaN fails too.
    least = gates.least_same_label_sets
    if not agreement.same_label_sets >= least:
        yield (
            f"the same label set as the parent for {agreement.same_label_sets:.2%} of {agreement.fields} fields,"
            f" {least - agreement.same_label_sets:.2%} below the {least:.1%} that are needed"
        )
    if agreement.macro_f1 is not None and agreement.parent_macro_f1 is not None:
        loss = agreement.parent_macro_f1 - agreement.macro_f1
        if not loss <= gates.largest_f1_loss:
            yield (
                f"macro F1 {agreement.macro_f1:.4f} against the parent's {agreement.parent_macro_f1:.4f},"
                f" a loss of {loss:.4f} where {gates.largest_f1_loss} is allowed"
            )
    if not agreement.max_difference <= gates.largest_difference:
        yield (
            f"a probability differs by {agreement.max_difference:.1e} where {gates.largest_difference:.0e} is allowed"
        )
    if not share <= gates.largest_share:
        yield f"{share:.1%} of the parent's size where {gates.largest_share:.0%} is allowed"
