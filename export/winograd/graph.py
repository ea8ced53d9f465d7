"""Puts Winograd's minimal filtering into a graph: 36 multiplications instead of the 144 of a 3 x 3 convolution."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from numpy.polynomial import polynomial
from onnx import helper, numpy_helper

_KERNEL = 3
_PLAIN = {"strides": [1, 1], "dilations": [1, 1], "group": 1, "auto_pad": b"NOTSET"}

_TILE = 4
"""Side of the square of results that is computed at once; for larger ones the rounding of float32 is visible."""

_LEAST_CHANNELS = 128
"""Smallest number of channels in and out for which fewer multiplications outweigh the additional data movement."""

_MOST_LEFT = 0.5
"""Largest share of multiplications left in a convolution, for the same reason; small results do not fill tiles."""

_POINTS = np.array([0, 2**-0.5, -(2**-0.5), 2**0.5, -(2**0.5)])
"""Where the polynomials are evaluated, and at infinity: each with its inverse and opposite, with little rounding."""

_SIDE = _TILE + _KERNEL - 1
_PLACES = _SIDE**2
_TAKEN, _TAPS, _GIVEN = "winograd.taken", "winograd.taps", "winograd.given"

_Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Replaced:
    """The replacements in a graph.

    Attributes
    ----------
    convolutions, of : int
        Number of replaced convolutions, and of all convolutions.
    multiplications_left : float
        Multiplications of the convolutions as a share of those before, 0 to 1, without those that transform tiles.
    """

    convolutions: int
    of: int
    multiplications_left: float


def replace_convolutions(model: onnx.ModelProto) -> Replaced:
    """Replace the 3 x 3 convolutions of many channels by products of transformed tiles, F(4 x 4, 3 x 3).

    Tiles of 6 x 6 are cut from the input and transformed by a depthwise convolution, multiplied with the transformed
    weights at each of the 36 positions, and transformed to 4 x 4 results by a transposed convolution. The file size
    does not change: the weights are transformed once, when a runtime folds constants.

    The algorithm is that of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
    arXiv:1509.09308, section 4.

    Convolutions with computed or shared weights, or with unknown sizes, are not replaced.

    Parameters
    ----------
    model : onnx.ModelProto
        A model of the contract that takes images; it is changed, and its shapes must be inferred again.

    Returns
    -------
    Replaced
        The number of replacements, and the multiplications left.

    Raises
    ------
    onnx.shape_inference.InferenceError
        The graph contradicts itself.
    """
    graph = model.graph
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    shapes = {value.name: _shape(value) for value in (*inferred.input, *inferred.value_info, *inferred.output)}
    users = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    weights = {tensor.name: tensor for tensor in graph.initializer if users[tensor.name] == 1}
    nodes: list[onnx.NodeProto] = []
    found, replaced, before, after = 0, 0, 0, 0
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Conv":
            continue
        found += 1
        weight, taken, given = weights.get(node.input[1]), shapes.get(node.input[0]), shapes.get(node.output[0])
        if weight is None or not taken or not given:
            continue
        tiles = (-(-given[2] // _TILE), -(-given[3] // _TILE))
        plain, fewer = prod(given) * prod(weight.dims[1:]), _PLACES * prod(tiles) * prod(weight.dims[:2])
        before += plain
        if not _replaceable(node, weight) or fewer > _MOST_LEFT * plain:
            after += plain
            continue
        after += fewer
        nodes[-1:] = _products(node, tiles, taken, given)
        graph.initializer.extend(_shapes_and_repeats(node.output[0], weight, tiles))
        weight.CopyFrom(_flattened(weight))
        replaced += 1
    if replaced:
        graph.initializer.extend(_transforms())
    del graph.node[:]
    graph.node.extend(nodes)
    return Replaced(replaced, found, after / before if before else 1.0)


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Return the shape of pictures, with 1 for the batch; None if another dimension is unknown."""
    sizes = [size.dim_value for size in value.type.tensor_type.shape.dim][1:]
    return (1, *sizes) if len(sizes) == len("CHW") and all(sizes) else None


def _replaceable(node: onnx.NodeProto, weight: onnx.TensorProto) -> bool:
    given, taken, *kernel = weight.dims
    form = _attributes(node)
    plain = all(form.get(name, usual) == usual for name, usual in _PLAIN.items())
    return plain and kernel == [_KERNEL, _KERNEL] and min(given, taken) >= _LEAST_CHANNELS


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _products(
    node: onnx.NodeProto, tiles: tuple[int, int], taken: tuple[int, ...], given: tuple[int, ...]
) -> list[onnx.NodeProto]:
    """Return the nodes that replace a convolution."""
    # The outputs of nodes have unique names in every graph; node names need not be unique.
    name, (images, weight, *bias) = node.output[0], node.input
    top, left, *_ = _attributes(node).get("pads", [0, 0])
    height, width = (_TILE * count for count in tiles)
    edge = _KERNEL - 1
    within = [top, left, height + edge - taken[2] - top, width + edge - taken[3] - left]
    beyond = [0, 0, height - given[2], width - given[3]]

    def made(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401
        return helper.make_node(operator, inputs, [output], name=output, **attributes)

    def part(suffix: str) -> str:
        return f"{name}.{suffix}"

    return [
        made("Tile", [_TAKEN, part("taken_repeats")], part("taken")),
        made("Conv", [images, part("taken")], part("tiles"), group=taken[1], strides=[_TILE] * 2, pads=within),
        made("Reshape", [part("tiles"), part("tiles_shape")], part("tiles_apart")),
        made("Transpose", [part("tiles_apart")], part("places"), perm=[0, 2, 1, 3]),
        made("MatMul", [_TAPS, weight], part("taps")),
        made("Reshape", [part("taps"), part("taps_shape")], part("taps_apart")),
        made("MatMul", [part("taps_apart"), part("places")], part("products")),
        made("Transpose", [part("products")], part("channels"), perm=[0, 2, 1, 3]),
        made("Reshape", [part("channels"), part("results_shape")], part("results")),
        made("Tile", [_GIVEN, part("given_repeats")], part("given")),
        helper.make_node(
            "ConvTranspose",
            [part("results"), part("given"), *bias],
            node.output,
            name=node.name,
            group=given[1],
            strides=[_TILE] * 2,
            pads=beyond,
        ),
    ]


def _shapes_and_repeats(name: str, weight: onnx.TensorProto, tiles: tuple[int, int]) -> list[onnx.TensorProto]:
    given, taken, *_ = weight.dims
    constants = {
        "taken_repeats": [taken, 1, 1, 1],
        "tiles_shape": [0, taken, _PLACES, prod(tiles)],
        "taps_shape": [_PLACES, given, taken],
        "results_shape": [0, given * _PLACES, *tiles],
        "given_repeats": [given, 1, 1, 1],
    }
    return [numpy_helper.from_array(np.array(sizes, np.int64), f"{name}.{part}") for part, sizes in constants.items()]


def _flattened(weight: onnx.TensorProto) -> onnx.TensorProto:
    """Arrange the nine taps of all pairs of channels as a matrix: (9, channels out x channels in)."""
    taps = numpy_helper.to_array(weight).reshape(-1, _KERNEL**2).T
    return numpy_helper.from_array(np.ascontiguousarray(taps), weight.name)


def _transforms() -> list[onnx.TensorProto]:
    """Return the 2-dimensional transforms of tiles, weights and results, each the square of the 1-dimensional one."""
    taken, taps, given = _transforms_in_one_dimension()
    arrays = {
        _TAKEN: np.kron(taken, taken).reshape(_PLACES, 1, _SIDE, _SIDE),
        _TAPS: np.kron(taps, taps),
        _GIVEN: np.kron(given, given).T.reshape(_PLACES, 1, _TILE, _TILE),
    }
    return [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]


def _transforms_in_one_dimension() -> tuple[_Matrix, _Matrix, _Matrix]:
    """Compute B transposed (6, 6), G (6, 3) and A transposed (4, 6) of the article, by the Toom-Cook construction.

    Two polynomials are multiplied by their values at the points; the coefficient of the highest power is the value
    at infinity. Here the transpose of this multiplication is used.
    """
    others = [np.delete(_POINTS, at) for at in range(len(_POINTS))]
    taken = np.zeros((_SIDE, _SIDE))
    for at, rest in enumerate(others):
        taken[at, :-1] = polynomial.polyfromroots(rest)
    taken[-1] = polynomial.polyfromroots(_POINTS)
    scales = [np.prod(point - rest) for point, rest in zip(_POINTS, others, strict=True)]
    at_infinity = np.eye(_KERNEL)[-1:]
    taps = np.concatenate([np.vander(_POINTS, _KERNEL, increasing=True) / np.array(scales)[:, None], at_infinity])
    given = np.concatenate([np.vander(_POINTS, _TILE, increasing=True), np.eye(_TILE)[-1:]]).T
    return taken, taps, given
