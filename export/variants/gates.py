"""The gates for variants: limits on the difference from the parent, the loss of F1, and the size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from export.variants.agreement import Agreement
from hpa_sdk.models.variant import VariantKind


@dataclass(frozen=True, slots=True)
class Gates:
    """The limits of one kind of variant.

    Attributes
    ----------
    least_same_label_sets : float
        Smallest share of the fields with the parent's label set, 0 to 1.
    largest_f1_loss : float
        Largest loss of macro F1, if the data has labels.
    largest_share : float
        Largest size of the file as a share of its parent's.
    largest_difference : float
        Largest difference of a probability; not limited for lower precisions, where label sets count.
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
    """Describe the gates that a variant does not pass, and by how much; empty if it passes all of them.

    Parameters
    ----------
    kind : str
        ``"fp16"``, ``"int8"`` or ``"winograd"``.
    agreement : Agreement
        Its agreement with its parent.
    share : float
        Its size as a share of its parent's.
    """
    return tuple(_shortfalls(GATES[kind], agreement, share))


def _shortfalls(gates: Gates, agreement: Agreement, share: float) -> Iterator[str]:
    # In this form of the condition a NaN fails too.
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
