"""Reads what an ONNX file says of itself, without a runtime and without touching its weights.

A file of hundreds of megabytes is understood in milliseconds, and one that this package does not run is refused before
a runtime opens it. Field numbers are those of onnx.proto, https://github.com/onnx/onnx.
"""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.protobuf_wire import MalformedMessageError, integer, messages, text

_STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_ELEMENT_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
_DEEPEST_NESTING = 8
_PLAIN_EXPORT = "Export it as one file of standard operators: python -m export onnx."


class _Model(IntEnum):
    PRODUCER_NAME = 2
    PRODUCER_VERSION = 3
    GRAPH = 7
    OPSET_IMPORT = 8
    METADATA = 14
    FUNCTIONS = 25


class _Opset(IntEnum):
    DOMAIN = 1
    VERSION = 2


class _Entry(IntEnum):
    KEY = 1
    VALUE = 2


class _Graph(IntEnum):
    NODE = 1
    INITIALIZER = 5
    INPUT = 11
    OUTPUT = 12


class _Node(IntEnum):
    OPERATOR = 4
    ATTRIBUTE = 5
    DOMAIN = 7


class _Attribute(IntEnum):
    TENSOR = 5
    GRAPH = 6
    TENSORS = 10
    GRAPHS = 11


class _Tensor(IntEnum):
    EXTERNAL_DATA = 13
    DATA_LOCATION = 14


class _Value(IntEnum):
    NAME = 1
    TYPE = 2


class _Type(IntEnum):
    TENSOR = 1


class _TensorType(IntEnum):
    ELEMENT_TYPE = 1
    SHAPE = 2


class _Shape(IntEnum):
    DIMENSION = 1


class _Dimension(IntEnum):
    NUMBER = 1
    NAME = 2


@dataclass(frozen=True, slots=True)
class TensorForm:
    """Element type and shape of an input or output.

    Attributes
    ----------
    dtype : str
        NumPy's name of the element type.
    shape : tuple of int or str
        The dimensions; a str where the dimension is open.
    """

    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """What a model file says of itself.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    size : int
        Its length in bytes.
    opset : int
        Version of the standard operator set.
    producer : str
        The program that made the file.
    metadata : dict of str to str
        The file's ``metadata_props``.
    inputs, outputs : dict of str to TensorForm
        By name, in order.
    operators : dict of str to int
        How often each operator occurs, commonest first.
    """

    path: Path
    size: int
    opset: int
    producer: str
    metadata: dict[str, str]
    inputs: dict[str, TensorForm]
    outputs: dict[str, TensorForm]
    operators: dict[str, int]


def read_onnx(path: str | Path) -> OnnxFile:
    """Read what a model file says of itself.

    Raises
    ------
    ModelFileError
        The file is missing or no ONNX model, keeps weights in other files, defines functions, or needs operators
        beyond the standard ones.
    """
    path = Path(path)
    view = _map(path)
    try:
        return _read_model(view, path)
    except MalformedMessageError as error:
        raise ModelFileError(f"this is no ONNX model ({error})", where=path, remedy=_NAME_A_MODEL) from error


def graph_sha256(model: bytes | memoryview) -> str:
    """Hash the serialized graph of a model: its operators and weights, not its card.

    Parameters
    ----------
    model : bytes or memoryview
        The whole serialized model.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for graph in messages(memoryview(model), _Model.GRAPH):
        digest.update(graph)
    return digest.hexdigest()


_NAME_A_MODEL = "Name a file made by python -m export onnx."


def _map(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise ModelFileError("no such file", where=path, remedy="Check the path of the model file.") from error
    except OSError as error:
        raise ModelFileError(
            f"the file can't be read ({error.strerror})", where=path, remedy="Check that it is a file you may read."
        ) from error
    except ValueError as error:
        raise ModelFileError("the file is empty", where=path, remedy=_NAME_A_MODEL) from error


def _read_model(view: memoryview, path: Path) -> OnnxFile:
    graphs = list(messages(view, _Model.GRAPH))
    opsets = {
        text(entry, _Opset.DOMAIN): integer(entry, _Opset.VERSION) for entry in messages(view, _Model.OPSET_IMPORT)
    }
    if len(graphs) != 1 or not opsets:
        raise MalformedMessageError("it has no graph or names no operator set")
    if any(True for _ in messages(view, _Model.FUNCTIONS)):
        raise ModelFileError("the model defines functions of its own", where=path, remedy=_PLAIN_EXPORT)
    operators: Counter[str] = Counter()
    _check_graph(graphs[0], operators, path)
    return OnnxFile(
        path=path,
        size=len(view),
        opset=opsets.get("") or opsets.get("ai.onnx", 0),
        producer=f"{text(view, _Model.PRODUCER_NAME)} {text(view, _Model.PRODUCER_VERSION)}".strip(),
        metadata={text(entry, _Entry.KEY): text(entry, _Entry.VALUE) for entry in messages(view, _Model.METADATA)},
        inputs={text(value, _Value.NAME): _form(value) for value in messages(graphs[0], _Graph.INPUT)},
        outputs={text(value, _Value.NAME): _form(value) for value in messages(graphs[0], _Graph.OUTPUT)},
        operators=dict(operators.most_common()),
    )


def _check_graph(graph: memoryview, operators: Counter[str], path: Path, nesting: int = 0) -> None:
    if nesting > _DEEPEST_NESTING:
        raise MalformedMessageError("its graphs are nested too deeply")
    for tensor in messages(graph, _Graph.INITIALIZER):
        _check_tensor(tensor, path)
    for node in messages(graph, _Graph.NODE):
        operator, domain = text(node, _Node.OPERATOR), text(node, _Node.DOMAIN)
        if domain not in _STANDARD_DOMAINS:
            raise ModelFileError(
                f"the model needs the custom operator {domain}.{operator}", where=path, remedy=_PLAIN_EXPORT
            )
        operators[operator] += 1
        for attribute in messages(node, _Node.ATTRIBUTE):
            for kind in (_Attribute.TENSOR, _Attribute.TENSORS):
                for tensor in messages(attribute, kind):
                    _check_tensor(tensor, path)
            for kind in (_Attribute.GRAPH, _Attribute.GRAPHS):
                for below in messages(attribute, kind):
                    _check_graph(below, operators, path, nesting + 1)


def _check_tensor(tensor: memoryview, path: Path) -> None:
    if integer(tensor, _Tensor.DATA_LOCATION) or any(True for _ in messages(tensor, _Tensor.EXTERNAL_DATA)):
        raise ModelFileError("the model keeps weights in other files (external data)", where=path, remedy=_PLAIN_EXPORT)


def _form(value: memoryview) -> TensorForm:
    shape: list[int | str] = []
    element_type = 0
    for tensor_type in messages(value, _Value.TYPE, _Type.TENSOR):
        element_type = integer(tensor_type, _TensorType.ELEMENT_TYPE)
        shape += [
            text(dimension, _Dimension.NAME) or integer(dimension, _Dimension.NUMBER)
            for dimension in messages(tensor_type, _TensorType.SHAPE, _Shape.DIMENSION)
        ]
    return TensorForm(_ELEMENT_TYPES.get(element_type, f"type {element_type}"), tuple(shape))
