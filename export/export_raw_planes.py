"""Makes the raw-plane form of any exported file, whatever its precision."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import onnx

from export.agreement import Agreement, answer, compare
from export.card import embed_card
from export.errors import ParityError
from export.fields import read_fields
from export.raw_planes import with_raw_planes
from export.variant import JUDGED_FIELDS
from hpa_sdk.contract import check_model
from hpa_sdk.model_card import ModelCard
from hpa_sdk.onnx_file import graph_sha256
from hpa_sdk.whole_file import whole_file

LEAST_AGREEMENT = 0.999
"""Smallest share of the fields that must have the same label set in both forms."""


def export_raw_planes(
    model: Path, data: Path, out: Path, *, judged_fields: int = JUDGED_FIELDS
) -> tuple[ModelCard, Agreement]:
    """Put the preprocessing into a file, once its answers are shown to stay.

    Parameters
    ----------
    model : pathlib.Path
        A file of the contract that takes images; fp32, fp16 or int8.
    data : pathlib.Path
        Fields to compare on.
    out : pathlib.Path
        The file to write; it appears whole or not at all.
    judged_fields : int
        Most fields to compare on.

    Returns
    -------
    card : ModelCard
        The card inside the new file.
    agreement : Agreement
        How far the answers of the two files are apart.

    Raises
    ------
    ParityError
        Label sets differ for more fields than `LEAST_AGREEMENT` allows.
    HpaError
        The file does the preprocessing already, or something can't be read or written.
    """
    card = check_model(model)
    fields = read_fields(data, least=1)
    judged = fields.take(range(min(judged_fields, len(fields.samples))))
    in_graph = replace(card, preprocessing=replace(card.preprocessing, place="graph"))
    with whole_file(out) as partial:
        changed = with_raw_planes(onnx.load(model), card.preprocessing)
        serialized = changed.SerializeToString(deterministic=True)
        partial.write_bytes(serialized)
        agreement = compare(answer(model, card, judged), answer(partial, in_graph, judged), card, judged)
        # Written so that a NaN fails too.
        if not agreement.same_label_sets >= LEAST_AGREEMENT:
            raise ParityError(
                f"with the preprocessing in the graph {agreement.same_label_sets:.2%} of {agreement.fields} fields have"
                f" the same label set, where {LEAST_AGREEMENT:.1%} are needed",
                where=model,
                remedy="Nothing was written. Keep the file that takes images, and report this with the model's card.",
            )
        written = replace(
            in_graph,
            weights_sha256=graph_sha256(serialized),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        partial.write_bytes(embed_card(changed, written))
    return written, agreement
