"""Makes the fp16 variant of an exported file: half the size, for devices that compute in float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel
from tqdm import tqdm

from export.errors import VariantError
from export.fields import LEAST_FIELDS, Fields, read_fields
from export.variants.agreement import answer
from export.variants.variant import JUDGED_FIELDS, Parent, raise_as_variant_errors, read_parent, write_variant
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import White

LARGEST_HALF = 65_504.0
"""The largest float16 number."""


def export_fp16(
    model: Path,
    data: Path,
    out: Path,
    *,
    judged_fields: int = JUDGED_FIELDS,
    white: White | None = None,
    force: bool = False,
    single_cells: bool = False,
) -> ModelCard:
    """Make the fp16 variant of a file, if its answers pass the comparison with its parent's.

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
        The card inside the file.

    Raises
    ------
    VariantError
        The parent can't be used, computes numbers that float16 can't hold, or a gate is not passed.
    HpaError
        A file can't be read or written.
    """
    parent = read_parent(model, out, single_cells=single_cells)
    judged = read_fields(data, parent.card, least=LEAST_FIELDS, white=white).first(judged_fields)
    largest = _largest_result(parent, judged.first(LEAST_FIELDS))
    if not largest <= LARGEST_HALF:
        raise VariantError(
            f"a result inside the network is {largest:.3g}, and float16 ends at {LARGEST_HALF:g}",
            where=model,
            remedy="Use the fp32 file: a GPU would answer with infinities.",
        )
    with atomic_write(out) as partial:
        with raise_as_variant_errors(model):
            half = convert_to_fp16(onnx.load(model))
        return write_variant(
            half,
            "fp16",
            parent,
            judged,
            expected=answer(parent.path, parent.card, judged),
            settings={
                "inputs and outputs": "float32",
                "largest result inside": f"{largest:.3g} of the {LARGEST_HALF:g} that float16 holds",
                "judged": f"{len(judged.samples)} fields of {judged.name}, on a CPU, which computes halves as float32",
            },
            force=force,
            partial=partial,
        )


def _largest_result(parent: Parent, fields: Fields) -> float:
    """Find the largest absolute output of any operator of the parent on these fields."""
    model = onnx.load(parent.path)
    outputs = [name for node in model.graph.node for name in node.output if name]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = fields.images(parent.card.preprocessing)
    shown = tqdm(images, total=len(fields.samples), desc="range", unit="field", disable=None, leave=False)
    results = (result for image in shown for result in session.run(None, parent.inputs_of(image)))
    # Indices and shapes stay integers. NumPy's max, since the built-in one ignores a NaN.
    return float(np.max([np.abs(result).max() for result in results if result.dtype.kind == "f" and result.size]))


def convert_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert weights and arithmetic to float16; inputs and outputs stay float32.

    Parameters
    ----------
    model : onnx.ModelProto
        A model of the contract; it is changed.
    """
    converted = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    # The converter puts the casts of inputs and outputs at the end of the graph, which no checker accepts.
    converted.topological_sort(is_deterministic=True)
    half: onnx.ModelProto = converted.model
    return half
