"""Makes the Winograd variant of an exported file: fewer multiplications on a CPU, still in fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from export.errors import VariantError
from export.fields import LEAST_FIELDS, Fields, read_fields
from export.variants.agreement import answer
from export.variants.speed import measure_cpu_shares
from export.variants.variant import JUDGED_FIELDS, Parent, raise_as_variant_errors, read_parent, write_variant
from export.winograd.graph import replace_convolutions
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.contract import image_shape
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import Preprocessing, White

_MOST_LEFT = 0.9


def export_winograd(
    model: Path,
    data: Path,
    out: Path,
    *,
    judged_fields: int = JUDGED_FIELDS,
    white: White | None = None,
    force: bool = False,
    single_cells: bool = False,
) -> ModelCard:
    """Make the variant of a file with Winograd's minimal filtering in its wide 3 x 3 convolutions.

    Parameters
    ----------
    model : pathlib.Path
        An fp32 file with its card.
    data : pathlib.Path
        Fields to compare on; their labels are used if there is a table of them.
    out : pathlib.Path
        The file to write, atomically.
    judged_fields : int
        Most fields to compare on.
    white : optional
        White level of 16-bit planes.
    force : bool
        Write it even if it does not pass the gates.
    single_cells : bool
        Whether each picture is of one cell, for a model that answers for cells.

    Returns
    -------
    ModelCard
        The card inside the file; its settings have the CPU time as a share of the parent's, measured on this machine.

    Raises
    ------
    VariantError
        The parent can't be used, has too few such convolutions, or a gate is not passed.
    HpaError
        A file can't be read or written.
    """
    parent = read_parent(model, out, single_cells=single_cells)
    judged = read_fields(data, parent.card, least=LEAST_FIELDS, white=white).first(judged_fields)
    with raise_as_variant_errors(model):
        changed = onnx.load(model)
        _close_sides(changed, parent.card.preprocessing)
        replaced = replace_convolutions(changed)
        changed = onnx.shape_inference.infer_shapes(changed, strict_mode=True)
    if replaced.multiplications_left > _MOST_LEFT:
        raise VariantError(
            f"of {replaced.of} convolutions {replaced.convolutions} could be computed this way, and"
            f" {replaced.multiplications_left:.0%} of the multiplications would be left where {_MOST_LEFT:.0%} pay",
            where=model,
            remedy="Use the fp32 file, or python -m export quantize, which is faster on most CPUs.",
        )
    with atomic_write(out) as partial:
        onnx.save(changed, partial)
        return write_variant(
            changed,
            "winograd",
            parent,
            judged,
            expected=answer(parent.path, parent.card, judged),
            settings={
                "convolutions": f"{replaced.convolutions} of {replaced.of} by F(4 x 4, 3 x 3)",
                "multiplications": f"{replaced.multiplications_left:.0%} of the parent's",
                "CPU time": _cpu_share(parent, partial, judged),
                "judged": f"{len(judged.samples)} fields of {judged.name}, by onnxruntime on a CPU",
            },
            force=force,
            partial=partial,
        )


def _close_sides(model: onnx.ModelProto, form: Preprocessing) -> None:
    """Give the input the sides that the card says: tiles are counted when the file is made."""
    if form.size is None:
        return
    for dimension, length in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], image_shape(form), strict=True):
        dimension.dim_value = length


def _cpu_share(parent: Parent, variant: Path, fields: Fields) -> str:
    """Measure the CPU time of a field as a share of the parent's, on one core."""
    with raise_as_variant_errors(parent.path):
        shares = measure_cpu_shares(parent, variant, fields)
    return f"{np.median(shares):.0%} of the parent's ({shares.min():.0%} to {shares.max():.0%}), one field on one core"
