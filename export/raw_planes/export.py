"""Makes the raw-plane form of any exported file, of any precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from export.errors import ParityError
from export.fields import LEAST_FIELDS, read_fields
from export.model_card import card_for, embed_card
from export.parity import LARGEST_DIFFERENCE, LEAST_AGREEMENT
from export.raw_planes.graph import with_raw_planes
from export.unchanged import check_unchanged, stable_stamp
from export.variants.agreement import Agreement, answer, compare
from export.variants.variant import JUDGED_FIELDS, refuse_overwriting, refuse_package
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import White


def export_raw_planes(
    model: Path, data: Path, out: Path, *, judged_fields: int = JUDGED_FIELDS, white: White | None = None
) -> tuple[ModelCard, Agreement]:
    """Put the preprocessing into a file, if its answers stay the same.

    Parameters
    ----------
    model : pathlib.Path
        A file of the contract that takes images: fp32, or a variant.
    data : pathlib.Path
        Fields to compare on.
    out : pathlib.Path
        The file to write, atomically.
    judged_fields : int
        Most fields to compare on.
    white : optional
        White level of 16-bit planes.

    Returns
    -------
    card : ModelCard
        The card inside the new file.
    agreement : Agreement
        The differences between the answers of the two files.

    Raises
    ------
    ParityError
        Label sets differ for more than 0.1 % of the fields, or the probabilities of an fp32 file by more than 1e-4.
    ModelFileError
        The file was changed while it was read.
    HpaError
        The file does the preprocessing already, or something can't be read or written.
    """
    stamp = stable_stamp(model)
    card = check_model(model)
    refuse_package(model)
    refuse_overwriting(model, out)
    judged = read_fields(data, card, least=LEAST_FIELDS, white=white).first(judged_fields)
    # The parent's parity is for another input; the difference between this file and the parent is checked below.
    in_graph = replace(card, preprocessing=replace(card.preprocessing, place="graph"), parity=None)
    with atomic_write(out) as partial:
        changed = with_raw_planes(onnx.load(model), card)
        serialized = changed.SerializeToString(deterministic=True)
        partial.write_bytes(serialized)
        agreement = compare(answer(model, card, judged), answer(partial, in_graph, judged), card, judged)
        check_unchanged(model, stamp)
        # In this form of the condition a NaN fails too.
        near = card.precision != "fp32" or agreement.max_difference <= LARGEST_DIFFERENCE["graph"]
        if not (near and agreement.same_label_sets >= LEAST_AGREEMENT["graph"]):
            raise ParityError(
                f"with the preprocessing in the graph {agreement.same_label_sets:.2%} of {agreement.fields} fields have"
                f" the same label set, and probabilities differ by up to {agreement.max_difference:.1e}",
                where=model,
                remedy="Nothing was written. Keep the file that takes images, and report this with the model's card.",
            )
        written = card_for(serialized, in_graph)
        partial.write_bytes(embed_card(changed, written))
    return written, agreement
