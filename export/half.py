"""Makes the fp16 variant of an exported file: half the size, for devices that compute in halves."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from export.agreement import answer
from export.fields import LEAST_FIELDS, read_fields
from export.variant import JUDGED_FIELDS, read_parent, write_variant
from hpa_sdk.model_card import ModelCard
from hpa_sdk.whole_file import whole_file


def export_fp16(
    model: Path, data: Path, out: Path, *, judged_fields: int = JUDGED_FIELDS, force: bool = False
) -> ModelCard:
    """Make the fp16 variant of a file, once it is shown to answer as its parent does.

    Parameters
    ----------
    model : pathlib.Path
        An fp32 file made by ``python -m export onnx``.
    data : pathlib.Path
        Fields to compare on; their labels count where a table tells them.
    out : pathlib.Path
        The file to write; it appears whole or not at all.
    judged_fields : int
        Most fields to compare on.
    force : bool
        Write it even if it does not pass the gates.

    Returns
    -------
    ModelCard
        The card inside the file.

    Raises
    ------
    VariantError
        The parent can't be used, or a gate is not passed.
    HpaError
        A file can't be read or written.
    """
    parent = read_parent(model)
    fields = read_fields(data, least=LEAST_FIELDS)
    judged = fields.take(range(min(judged_fields, len(fields.samples))))
    with whole_file(out) as partial:
        return write_variant(
            convert_to_fp16(onnx.load(model)),
            "fp16",
            parent,
            judged,
            expected=answer(parent.path, parent.card, judged),
            settings={"inputs and outputs": "float32", "judged": f"{len(judged.samples)} fields of {judged.name}"},
            force=force,
            partial=partial,
        )


def convert_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert weights and arithmetic to float16; inputs and outputs stay float32.

    Parameters
    ----------
    model : onnx.ModelProto
        A model of the contract; it is changed.
    """
    converted = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    # The converter puts the casts of inputs and outputs at the end of the graph, where no checker lets them be.
    converted.topological_sort(is_deterministic=True)
    half: onnx.ModelProto = converted.model
    return half
