"""Finds and replaces the layer of an ONNX model that turns its embedding into its scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from hpa_sdk.errors import HpaError
from hpa_sdk.models.network_form import Tensors

_UNCHANGED = frozenset({"Cast", "Dropout", "Flatten", "Identity"})
"""Operators that leave the numbers of a vector as they are."""

_BIAS_OF_GEMM = 2


class LastLayerError(HpaError):
    """The last layer of a model is not a linear function of its embedding, so it can't be refitted."""


@dataclass(frozen=True, slots=True, eq=False)
class LastLayer:
    """The last layer: ``logits = embedding @ weights + bias``.

    Attributes
    ----------
    weights : numpy.ndarray
        float64 of shape (width, classes).
    bias : numpy.ndarray
        float64 of shape (classes,).
    replace : callable
        Puts other weights and another bias, also of more classes, into the model that it was found in.
    """

    weights: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    replace: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], None]


def find_last_layer(model: onnx.ModelProto, tensors: Tensors) -> LastLayer:
    """Find the last layer: Gemm, or MatMul with or without Add, and a sigmoid if the scores are probabilities.

    Parameters
    ----------
    model : onnx.ModelProto
        The model; `LastLayer.replace` changes it.
    tensors : Tensors
        Its outputs.

    Raises
    ------
    LastLayerError
        There is no embedding, or the scores are not a linear function of it, and of a sigmoid where the card says so.
    """
    return _Graph(model, tensors).last_layer()


class _Graph:
    def __init__(self, model: onnx.ModelProto, tensors: Tensors) -> None:
        self._graph = model.graph
        self._tensors = tensors
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._constants: dict[str, onnx.TensorProto] = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self._constants[node.output[0]] = node.attribute[0].t

    def last_layer(self) -> LastLayer:
        if self._tensors.embedding is None:
            raise _refusal("the model gives no embedding")
        name, passed = self._logits()
        node, bias, more = self._linear(name)
        if self._skip(node.input[0])[0] != self._skip(self._tensors.embedding)[0]:
            raise _refusal("its scores are not computed from its embedding alone")
        kernel = self._constant(node.input[1])
        transposed = node.op_type == "Gemm" and self._gemm_transposes(node)
        weights = self._numbers(kernel)
        weights = weights.T if transposed else weights
        numbers = np.zeros(1) if bias is None else self._numbers(bias).reshape(-1)

        def replace(weights: npt.NDArray[np.float64], numbers: npt.NDArray[np.float64]) -> None:
            _set(kernel, weights.T if transposed else weights)
            if bias is None:
                self._add_bias(node, numbers, kernel.data_type)
            else:
                _set(bias, numbers if len(bias.dims) < 2 else numbers[np.newaxis])  # noqa: PLR2004 - a row
            self._forget_shapes({*passed, *more}, len(numbers))

        return LastLayer(weights, np.broadcast_to(numbers, weights.shape[1:]).copy(), replace)

    def _logits(self) -> tuple[str, list[str]]:
        """Return the tensor that the linear layer gives, and those from the scores to it."""
        name, passed = self._skip(self._tensors.scores)
        if self._tensors.scores_are == "logits":
            return name, passed
        sigmoid = self._makers.get(name)
        if sigmoid is None or sigmoid.op_type != "Sigmoid":
            raise _refusal("its probabilities are not the sigmoids of a linear layer")
        name, more = self._skip(sigmoid.input[0])
        return name, passed + more

    def _linear(self, name: str) -> tuple[onnx.NodeProto, onnx.TensorProto | None, list[str]]:
        """Return the product that gives a tensor, its bias, and the tensors that both give."""
        node = self._makers.get(name)
        outputs = [name]
        if node is not None and node.op_type == "Add":
            at = 1 if node.input[1] in self._constants else 0
            bias = self._constant(node.input[at])
            node = self._makers.get(node.input[1 - at])
            if node is not None and node.op_type == "MatMul":
                return node, bias, [*outputs, *node.output]
        elif node is not None and node.op_type in {"Gemm", "MatMul"}:
            given = len(node.input) > _BIAS_OF_GEMM and node.input[_BIAS_OF_GEMM]
            return node, self._constant(node.input[_BIAS_OF_GEMM]) if given else None, outputs
        raise _refusal("its scores are not those of a linear layer")

    def _skip(self, name: str) -> tuple[str, list[str]]:
        """Return the tensor above the operators that change no number, and the tensors that were passed."""
        passed = [name]
        while (node := self._makers.get(passed[-1])) is not None and node.op_type in _UNCHANGED:
            passed.append(node.input[0])
        return passed[-1], passed

    def _gemm_transposes(self, node: onnx.NodeProto) -> bool:
        given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        if given.get("transA", 0) or given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1:
            raise _refusal("its last layer scales its inputs or weights")
        return bool(given.get("transB", 0))

    def _constant(self, name: str) -> onnx.TensorProto:
        tensor = self._constants.get(name)
        if tensor is None:
            raise _refusal("the weights of its last layer are quantized or computed in the graph")
        if sum(list(node.input).count(name) for node in self._graph.node) > 1:
            raise _refusal("it uses the weights of its last layer twice")
        return tensor

    def _numbers(self, tensor: onnx.TensorProto) -> npt.NDArray[np.float64]:
        numbers = numpy_helper.to_array(tensor)
        if numbers.dtype.kind != "f":
            raise _refusal("the weights of its last layer are quantized")
        return numbers.astype(np.float64)

    def _add_bias(self, node: onnx.NodeProto, numbers: npt.NDArray[np.float64], data_type: int) -> None:
        taken = {*self._makers, *self._constants, *(value.name for value in self._graph.input)}
        name = next(f"last_bias_{at}" for at in range(len(taken) + 1) if f"last_bias_{at}" not in taken)
        tensor = onnx.TensorProto(name=name, data_type=data_type)
        _set(tensor, numbers)
        self._graph.initializer.append(tensor)
        if node.op_type == "Gemm":
            del node.input[_BIAS_OF_GEMM:]
            node.input.append(name)
            return
        product = f"{name}_product"
        add = onnx.helper.make_node("Add", [product, name], [node.output[0]], name=f"{name}_add")
        node.output[0] = product
        self._graph.node.insert(list(self._graph.node).index(node) + 1, add)

    def _forget_shapes(self, names: set[str], classes: int) -> None:
        """Set the number of classes of the output, and drop the shapes noted of tensors before it."""
        for value in self._graph.output:
            if value.name == self._tensors.scores:
                dimension = value.type.tensor_type.shape.dim[-1]
                if dimension.HasField("dim_value"):
                    dimension.dim_value = classes
        kept = [value for value in self._graph.value_info if value.name not in names]
        del self._graph.value_info[:]
        self._graph.value_info.extend(kept)


def _set(tensor: onnx.TensorProto, numbers: npt.NDArray[Any]) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numbers, dtype), tensor.name))


def _refusal(what: str) -> LastLayerError:
    return LastLayerError(
        f"the last layer of this model can't be refitted: {what}",
        remedy="Thresholds and temperature are adapted without it.",
    )
