"""Moves the preprocessing into a model, so that programs can run it without an image library."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.contract import BATCH, HEIGHT, OPSET, WIDTH, image_shape
from hpa_sdk.models.model_card import PLANES_INPUT
from hpa_sdk.preprocessing import Preprocessing

_SIZE, _BLEND, _FLOATS, _RESIZED, _PIXELS = (
    f"preprocessing_{name}" for name in ("size", "blend", "floats", "resized", "pixels")
)


def with_raw_planes(model: onnx.ModelProto, preprocessing: Preprocessing) -> onnx.ModelProto:
    """Add resize, blend and scale before a model.

    The resize is that of ``cv2.INTER_LINEAR``: pixel centres at one half, borders repeated, no antialiasing. It comes
    before the blend, as on the host, and takes separate planes (N, C, H, W): only for this layout onnxruntime has a
    fast kernel for CPUs and a kernel for CUDA.

    Parameters
    ----------
    model : onnx.ModelProto
        A model of any precision with the only input ``image``, float32 (N, size, size, 3); it is not changed.
    preprocessing : Preprocessing
        The preprocessing to add; its `place` does not matter.

    Returns
    -------
    onnx.ModelProto
        The same outputs from the input ``planes``, uint8 (N, 4, H, W), for any H and W. It has no card, since the old
        card describes the old input.

    Raises
    ------
    ModelFileError
        The model takes another input, or its operators are too old to resize two axes of four.
    """
    taken = [_form(value) for value in model.graph.input]
    if taken != [("image", TensorProto.FLOAT, list(image_shape(preprocessing)))]:
        raise ModelFileError(
            f"the model takes {[name for name, *_ in taken]}, not float32 images of {preprocessing.size} pixels",
            remedy="Only a model that takes images can be made to take raw planes: export it without them first.",
        )
    if max(opset.version for opset in model.opset_import if not opset.domain) < OPSET:
        raise ModelFileError(
            f"raw planes need the operators of opset {OPSET} or later",
            remedy="Export with these, or without raw planes.",
        )
    graph = compose.merge_graphs(_front(preprocessing), model.graph, [("image", "image")], name=model.graph.name)
    return helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )


def _form(value: onnx.ValueInfoProto) -> tuple[str, int, list[int]]:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, [dimension.dim_value for dimension in tensor.shape.dim[1:]]


def _front(preprocessing: Preprocessing) -> onnx.GraphProto:
    name = PLANES_INPUT
    shape = (BATCH, len(preprocessing.channels), HEIGHT, WIDTH)
    planes = helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [BATCH, *image_shape(preprocessing)])
    # Each column makes one colour of the image from the four planes.
    blend = np.asarray(preprocessing.blend, np.float32).T / np.float32(preprocessing.scale)
    values = {_SIZE: np.asarray(image_shape(preprocessing)[:2], np.int64), _BLEND: np.ascontiguousarray(blend)}
    nodes = [
        helper.make_node("Cast", [name], [_FLOATS], to=TensorProto.FLOAT),
        helper.make_node(
            "Resize",
            [_FLOATS, "", "", _SIZE],
            [_RESIZED],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
            axes=[2, 3],
        ),
        helper.make_node("Transpose", [_RESIZED], [_PIXELS], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", [_PIXELS, _BLEND], [image.name]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in values.items()]
    return helper.make_graph(nodes, "preprocessing", [planes], [image], initializers)
