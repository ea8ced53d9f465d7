"""Reads the metadata of an ONNX file, without a runtime and without reading its weights.

A file of hundreds of megabytes takes milliseconds. A file that this package can't run is refused before a runtime
opens it.
"""

from __future__ import annotations

import hashlib
import mmap
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.model_package import LARGEST_MODEL, read_packed_model
from hpa_sdk.models.onnx_schema import (
    Attribute,
    Dimension,
    Entry,
    Graph,
    Model,
    Node,
    Opset,
    Shape,
    SparseTensor,
    Tensor,
    TensorType,
    Value,
    ValueType,
)
from hpa_sdk.models.protobuf_wire import MalformedMessageError, integer, messages, messages_by_number, text

_STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_ELEMENT_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
_DEEPEST_NESTING = 8
_LARGEST_METADATA = 2**20  # bytes of all metadata_props together; a card has about 5,000
_LONGEST_NAME = 1000
_MOST_DIMENSIONS = 16
_PLAIN_EXPORT = "Export it as one file of standard operators: python -m export onnx."


# Where tensors are in a graph and in an operator's attributes: dense ones, and the parts of sparse ones.
_IN_GRAPH = ((Graph.INITIALIZER,), (Graph.SPARSE_INITIALIZER,))
_IN_ATTRIBUTE = ((Attribute.TENSOR, Attribute.TENSORS), (Attribute.SPARSE_TENSOR, Attribute.SPARSE_TENSORS))


@dataclass(frozen=True, slots=True)
class TensorForm:
    """Element type and shape of an input or output.

    Attributes
    ----------
    dtype : str
        NumPy's name of the element type.
    shape : tuple of int or str
        The dimensions. A str is an open dimension.
    """

    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True, slots=True)
class OnnxFile:
    """The metadata of a model file.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    size : int
        Its size in bytes.
    opset : int
        Version of the standard operator set.
    producer : str
        The program that made the file.
    metadata : dict of str to str
        The file's ``metadata_props``.
    inputs, outputs : dict of str to TensorForm
        By name, in order.
    operators : dict of str to int
        Number of occurrences of each operator, most common first.
    weights : dict of str to int
        Bytes of the file used by weights and other constants, for each element type, largest first.
    """

    path: Path
    size: int
    opset: int
    producer: str
    metadata: dict[str, str]
    inputs: dict[str, TensorForm]
    outputs: dict[str, TensorForm]
    operators: dict[str, int]
    weights: dict[str, int]


def read_onnx(path: str | Path) -> OnnxFile:
    """Read the metadata of a model file.

    Raises
    ------
    ModelFileError
        The file is missing or not an ONNX model, has weights in other files, defines functions, needs non-standard
        operators, or contains something extremely large apart from its weights.
    """
    path = Path(path)
    return describe_onnx(map_file(path), path)


def describe_onnx(model: memoryview, path: Path) -> OnnxFile:
    """Read the metadata of a model.

    Parameters
    ----------
    model : memoryview
        The whole serialized model.
    path : pathlib.Path
        The path that it was read from, for messages.

    Raises
    ------
    ModelFileError
        As for `read_onnx`.
    """
    try:
        return _read_model(model, path)
    except MalformedMessageError as error:
        raise ModelFileError(f"this is no ONNX model ({error})", where=path, remedy=_NAME_A_MODEL) from error


def map_file(path: Path) -> memoryview:
    """Map a model file into memory without reading it yet; or read the one inside a bioimage.io package.

    Raises
    ------
    ModelFileError
        The file is missing, empty, can't be read, or is larger than an ONNX file can be.
    """
    with model_file_errors(path):
        check_model_size(path)
        with path.open("rb") as file:
            packed = read_packed_model(file, path)
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if packed is None else packed)


def check_model_size(path: Path) -> None:
    """Check the size of a model file before it is read.

    Raises
    ------
    ModelFileError
        It is larger than an ONNX model can be.
    OSError
        Its status can't be read.
    """
    if path.stat().st_size > LARGEST_MODEL:
        raise ModelFileError("the file is larger than an ONNX model can be", where=path, remedy=_NAME_A_MODEL)


@contextmanager
def model_file_errors(path: Path) -> Iterator[None]:
    """Convert exceptions of reading a model file to a `ModelFileError`. A `ValueError` means that it is empty."""
    try:
        yield
    except FileNotFoundError as error:
        raise ModelFileError("no such file", where=path, remedy="Check the path of the model file.") from error
    except OSError as error:
        raise ModelFileError(
            f"the file can't be read ({error.strerror})", where=path, remedy="Check that it is a file you may read."
        ) from error
    except ValueError as error:
        raise ModelFileError("the file is empty", where=path, remedy=_NAME_A_MODEL) from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a whole file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def runtime_source(path: Path) -> str | bytes:
    """Return what onnxruntime opens: the path of a model file, or the content of the one inside a package.

    Raises
    ------
    ModelFileError
        As for `map_file`.
    """
    content = map_file(path).obj
    return content if isinstance(content, bytes) else str(path)


def graph_sha256(model: bytes | memoryview) -> str:
    """Return a hash of a model's serialized graph: its operators and weights, not its card.

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
    for graph in messages(memoryview(model), Model.GRAPH):
        digest.update(graph)
    return digest.hexdigest()


_NAME_A_MODEL = "Name a file made by python -m export onnx."


def _read_model(view: memoryview, path: Path) -> OnnxFile:
    graphs = list(messages(view, Model.GRAPH))
    opsets = {text(entry, Opset.DOMAIN): integer(entry, Opset.VERSION) for entry in messages(view, Model.OPSET_IMPORT)}
    if len(graphs) != 1 or not opsets:
        raise MalformedMessageError("it has no graph or names no operator set")
    if any(True for _ in messages(view, Model.FUNCTIONS)):
        raise ModelFileError("the model defines functions of its own", where=path, remedy=_PLAIN_EXPORT)
    operators: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    _check_graph(graphs[0], operators, weights, path)
    return OnnxFile(
        path=path,
        size=len(view),
        opset=opsets.get("") or opsets.get("ai.onnx", 0),
        producer=f"{_name(view, Model.PRODUCER_NAME)} {_name(view, Model.PRODUCER_VERSION)}".strip(),
        metadata=_metadata(view, path),
        inputs={_name(value, Value.NAME): _form(value) for value in messages(graphs[0], Graph.INPUT)},
        outputs={_name(value, Value.NAME): _form(value) for value in messages(graphs[0], Graph.OUTPUT)},
        operators=dict(operators.most_common()),
        weights=dict(weights.most_common()),
    )


def _metadata(view: memoryview, path: Path) -> dict[str, str]:
    entries = list(messages(view, Model.METADATA))
    size = sum(map(len, entries))
    if size > _LARGEST_METADATA:
        raise ModelFileError(
            f"the model's card and other metadata take {size:,} bytes; up to {_LARGEST_METADATA:,} are read",
            where=path,
            remedy=_NAME_A_MODEL,
        )
    return {text(entry, Entry.KEY): text(entry, Entry.VALUE) for entry in entries}


def _name(message: memoryview, number: int) -> str:
    name = text(message, number)
    if len(name) > _LONGEST_NAME:
        raise MalformedMessageError(f"a name in it is longer than {_LONGEST_NAME:,} characters")
    return name


def _check_graph(
    graph: memoryview, operators: Counter[str], weights: Counter[str], path: Path, nesting: int = 0
) -> None:
    if nesting > _DEEPEST_NESTING:
        raise MalformedMessageError("its graphs are nested too deeply")
    parts = messages_by_number(graph)
    _check_tensors(parts, _IN_GRAPH, weights, path)
    for node in parts[Graph.NODE]:
        operator, domain = _name(node, Node.OPERATOR), _name(node, Node.DOMAIN)
        if domain not in _STANDARD_DOMAINS:
            raise ModelFileError(
                f"the model needs the custom operator {domain}.{operator}", where=path, remedy=_PLAIN_EXPORT
            )
        operators[operator] += 1
        for attribute in map(messages_by_number, messages(node, Node.ATTRIBUTE)):
            _check_tensors(attribute, _IN_ATTRIBUTE, weights, path)
            for below in (*attribute[Attribute.GRAPH], *attribute[Attribute.GRAPHS]):
                _check_graph(below, operators, weights, path, nesting + 1)


def _check_tensors(
    parts: Mapping[int, list[memoryview]],
    places: tuple[tuple[int, ...], tuple[int, ...]],
    weights: Counter[str],
    path: Path,
) -> None:
    whole, sparse = ([message for number in numbers for message in parts[number]] for numbers in places)
    for tensor in (*whole, *(part for one in sparse for number in SparseTensor for part in messages(one, number))):
        if integer(tensor, Tensor.DATA_LOCATION) or any(True for _ in messages(tensor, Tensor.EXTERNAL_DATA)):
            raise ModelFileError(
                "the model keeps weights in other files (external data)", where=path, remedy=_PLAIN_EXPORT
            )
        weights[_element_type(integer(tensor, Tensor.ELEMENT_TYPE))] += len(tensor)


def _form(value: memoryview) -> TensorForm:
    shape: list[int | str] = []
    element_type = 0
    for tensor_type in messages(value, Value.TYPE, ValueType.TENSOR):
        element_type = integer(tensor_type, TensorType.ELEMENT_TYPE)
        shape += [
            # Old exporters leave an open dimension without a name.
            _name(dimension, Dimension.NAME) or integer(dimension, Dimension.NUMBER) or "?"
            for dimension in messages(tensor_type, TensorType.SHAPE, Shape.DIMENSION)
        ]
    if len(shape) > _MOST_DIMENSIONS:
        raise MalformedMessageError(f"an input or output has {len(shape):,} dimensions")
    return TensorForm(_element_type(element_type), tuple(shape))


def _element_type(number: int) -> str:
    return _ELEMENT_TYPES.get(number, f"type {number}")
