"""Moves the preprocessing into a model, so that programs can run it without an image library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.contract import BATCH, HEIGHT, WIDTH, image_shape
from hpa_sdk.models.model_card import PLANES_INPUT, ModelCard
from hpa_sdk.preprocessing import Preprocessing

_PART = "preprocessing_"
_RESIZED = f"{_PART}resized"
_AXES_OPSET = 18
"""The first version of the standard operators that resizes two axes of four."""


def with_raw_planes(model: onnx.ModelProto, card: ModelCard) -> onnx.ModelProto:
    """Add resize, blend, scale, mean and deviation before a model.

    The resize is that of ``cv2.INTER_LINEAR``: pixel centres at one half, borders repeated, no antialiasing. It comes
    before the blend, as on the host, and takes separate planes (N, C, H, W): only for this layout onnxruntime has a
    fast kernel for CPUs and a kernel for CUDA.

    Parameters
    ----------
    model : onnx.ModelProto
        A model of any precision whose only input is the image that the card describes; it is not changed.
    card : ModelCard
        Its card.

    Returns
    -------
    onnx.ModelProto
        The same outputs from the input ``planes``, uint8 (N, C, H, W), for any H and W. It has no card, since the old
        card describes the old input.

    Raises
    ------
    ModelFileError
        The model takes another input.
    ModelCardError
        The card leaves the size of the image open, or normalizes each image by its own values.
    """
    form = card.preprocessing
    replace(card, preprocessing=replace(form, place="graph")).check()
    if not _takes(model.graph, card.tensors.input, image_shape(form)):
        raise ModelFileError(
            f"the model takes {[value.name for value in model.graph.input]}, not float32 images of {form.size} pixels",
            remedy="Only a model that takes images can be made to take raw planes: export it without them first.",
        )
    graph, image = _apart_from_planes(model.graph, card.tensors.input)
    opset = max(opset.version for opset in model.opset_import if not opset.domain)
    merged = compose.merge_graphs(_front(form, graph, image, opset), graph, [(image, image)], name=graph.name)
    return helper.make_model(
        merged,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )


def _takes(graph: onnx.GraphProto, name: str, shape: tuple[int, ...]) -> bool:
    if len(graph.input) != 1 or graph.input[0].name != name:
        return False
    tensor = graph.input[0].type.tensor_type
    lengths = [dimension.dim_value for dimension in tensor.shape.dim[1:]]
    fits = [found in {0, length} for found, length in zip(lengths, shape, strict=False)]  # 0: open
    return tensor.elem_type == TensorProto.FLOAT and len(lengths) == len(shape) and all(fits)


def _apart_from_planes(graph: onnx.GraphProto, image: str) -> tuple[onnx.GraphProto, str]:
    """Return the graph, with its tensors renamed if it uses the names of the part before it, and its input's name."""
    names = {value.name for value in (*graph.input, *graph.initializer, *graph.output)}
    names.update(chain.from_iterable(node.output for node in graph.node))
    clashes = {name for name in names if name == PLANES_INPUT or name.startswith(_PART)}
    if not clashes:
        return graph, image
    if clashes & {value.name for value in graph.output}:
        raise ModelFileError(
            f"an output of the model has a name that raw planes need ({', '.join(sorted(clashes))})",
            remedy="Keep the file that takes images.",
        )
    prefix = "network_"
    return compose.add_prefix_graph(graph, prefix, rename_outputs=False, rename_nodes=False), prefix + image


def _front(form: Preprocessing, graph: onnx.GraphProto, image: str, opset: int) -> onnx.GraphProto:
    (fixed,) = (value.type.tensor_type.shape.dim[0].dim_value for value in graph.input)
    batch = fixed or BATCH
    planes = helper.make_tensor_value_info(PLANES_INPUT, TensorProto.UINT8, (batch, len(form.channels), HEIGHT, WIDTH))
    result = helper.make_tensor_value_info(image, TensorProto.FLOAT, [batch, *image_shape(form)])
    nodes, values = _resize(form, opset)
    operators = list(_operators(form))
    last = _RESIZED
    for at, (operator, value, attributes) in enumerate(operators):
        name = f"{_PART}{_WORDS[operator]}"
        given = image if at == len(operators) - 1 else f"{_PART}{_RESULTS[operator]}"
        if value is not None:
            values[name] = value
        node = helper.make_node(operator, [last, *([] if value is None else [name])], [given])
        node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
        nodes.append(node)
        last = given
    initializers = [numpy_helper.from_array(value, name) for name, value in values.items()]
    return helper.make_graph(nodes, "preprocessing", [planes], [result], initializers)


_WORDS = {"MatMul": "blend", "Conv": "blend", "Sub": "mean", "Div": "deviation", "Transpose": "pixels"}
_RESULTS = {"MatMul": "blended", "Conv": "blended", "Sub": "centred", "Div": "divided", "Transpose": "pixels"}


def _resize(
    form: Preprocessing, opset: int
) -> tuple[list[onnx.NodeProto], dict[str, npt.NDArray[np.float32 | np.int64]]]:
    """Return the operators that resize the planes, with their constants."""
    floats, size = f"{_PART}floats", f"{_PART}size"
    modes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    values: dict[str, npt.NDArray[np.float32 | np.int64]] = {size: np.full(2, form.size, np.int64)}
    cast = helper.make_node("Cast", [PLANES_INPUT], [floats], to=TensorProto.FLOAT)
    if opset >= _AXES_OPSET:
        return [cast, helper.make_node("Resize", [floats, "", "", size], [_RESIZED], axes=[2, 3], **modes)], values
    # Earlier versions need the sizes of all four axes, and the oldest an empty tensor in place of what is left out.
    shape, start, end, front, sizes, none = (
        f"{_PART}{name}" for name in ("shape", "start", "end", "batch", "sizes", "none")
    )
    values |= {start: np.zeros(1, np.int64), end: np.full(1, 2, np.int64), none: np.zeros(0, np.float32)}
    return [
        cast,
        helper.make_node("Shape", [PLANES_INPUT], [shape]),
        helper.make_node("Slice", [shape, start, end], [front]),
        helper.make_node("Concat", [front, size], [sizes], axis=0),
        helper.make_node("Resize", [floats, none, none, sizes], [_RESIZED], **modes),
    ], values


def _operators(form: Preprocessing) -> Iterator[tuple[str, npt.NDArray[np.float32] | None, dict[str, list[int]]]]:
    """Yield what follows the resize: operators with their constants and attributes."""
    blend = np.asarray(form.blend, np.float32) / np.float32(form.scale)
    after = (("Sub", form.mean), ("Div", form.deviation))
    if form.layout == "nhwc":
        yield "Transpose", None, {"perm": [0, 2, 3, 1]}
        # Each column makes one colour of the image from the planes.
        yield "MatMul", np.ascontiguousarray(blend.T), {}
        shape: tuple[int, ...] = (-1,)
    else:
        yield "Conv", blend[:, :, np.newaxis, np.newaxis], {}
        shape = (-1, 1, 1)
    for operator, given in after:
        if given is not None:
            yield operator, np.asarray(given, np.float32).reshape(shape), {}
