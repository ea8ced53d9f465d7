"""Field numbers of an ONNX file, from https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""

from __future__ import annotations

from enum import IntEnum


class Model(IntEnum):
    """Fields of ModelProto."""

    PRODUCER_NAME = 2
    PRODUCER_VERSION = 3
    GRAPH = 7
    OPSET_IMPORT = 8
    METADATA = 14
    FUNCTIONS = 25


class Opset(IntEnum):
    """Fields of OperatorSetIdProto."""

    DOMAIN = 1
    VERSION = 2


class Entry(IntEnum):
    """Fields of StringStringEntryProto."""

    KEY = 1
    VALUE = 2


class Graph(IntEnum):
    """Fields of GraphProto."""

    NODE = 1
    INITIALIZER = 5
    INPUT = 11
    OUTPUT = 12
    SPARSE_INITIALIZER = 15


class Node(IntEnum):
    """Fields of NodeProto."""

    INPUT = 1
    OUTPUT = 2
    OPERATOR = 4
    ATTRIBUTE = 5
    DOMAIN = 7


class Attribute(IntEnum):
    """Fields of AttributeProto."""

    TENSOR = 5
    GRAPH = 6
    TENSORS = 10
    GRAPHS = 11
    SPARSE_TENSOR = 22
    SPARSE_TENSORS = 23


class SparseTensor(IntEnum):
    """Fields of SparseTensorProto."""

    VALUES = 1
    INDICES = 2


class Tensor(IntEnum):
    """Fields of TensorProto."""

    DIMENSIONS = 1
    ELEMENT_TYPE = 2
    FLOATS = 4
    NAME = 8
    RAW = 9
    EXTERNAL_DATA = 13
    DATA_LOCATION = 14


class Value(IntEnum):
    """Fields of ValueInfoProto."""

    NAME = 1
    TYPE = 2


class ValueType(IntEnum):
    """Fields of TypeProto."""

    TENSOR = 1


class TensorType(IntEnum):
    """Fields of TypeProto.Tensor."""

    ELEMENT_TYPE = 1
    SHAPE = 2


class Shape(IntEnum):
    """Fields of TensorShapeProto."""

    DIMENSION = 1


class Dimension(IntEnum):
    """Fields of TensorShapeProto.Dimension."""

    NUMBER = 1
    NAME = 2
