"""Extracts the planes that a napari viewer shows of four image layers; needs neither napari nor a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.channel_stack import micrometres
from hpa_sdk.fields.planes import check_size
from hpa_sdk.fields.reading import stack_planes
from hpa_sdk.fields.samples import Channel, FieldPlanes

_PLANE = 2  # dimensions of (H, W)
_EQUAL_SIZES = 0.01


_SHIFT = 0.5  # pixels by which two layers may be shifted
_COUPLED = 1e-3


class ImageLayer(Protocol):
    """The part of a napari image layer that is used here."""

    name: str
    data: Any
    rgb: bool
    multiscale: bool
    ndim: int
    units: tuple[Any, ...]

    def world_to_data(self, position: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401 - napari's own signature
        """Convert a position in the world, in the layer's own units, to pixels."""


@dataclass(frozen=True, slots=True)
class View:
    """What a napari viewer shows.

    Attributes
    ----------
    point : tuple of float
        Positions of its sliders in the world, as ``viewer.dims.point``.
    displayed : tuple of int
        The axes that are shown.
    units : tuple or None
        The units of the world, one per axis; None if the viewer has none.
    thick : bool
        Whether several planes are shown as one.
    """

    point: tuple[float, ...]
    displayed: tuple[int, ...]
    units: tuple[Any, ...] | None = None
    thick: bool = False


def planes_of(
    layers: Mapping[Channel, ImageLayer | None], view: View, channels: Sequence[Channel] = tuple(Channel)
) -> FieldPlanes:
    """Combine the planes that are shown of the layers.

    Parameters
    ----------
    layers : mapping of Channel to ImageLayer or None
        The layer of each channel.
    view : View
        What is shown: for a layer with more than two dimensions, the plane that napari shows is used.
    channels : sequence of Channel
        The channels that the model takes, in the order of `Channel`. The planes of others are black.

    Returns
    -------
    FieldPlanes
        With a note on each channel: its layer, and the plane of it if it has several.

    Raises
    ------
    PlaneError
        A channel has no layer, two have the same one, a layer is in colour or not of 8 or 16 bits, the viewer shows no
        plane of it, or the planes differ in size or depth, or don't coincide.
    """
    open_channels = [channel for channel in channels if layers.get(channel) is None]
    if open_channels:
        raise PlaneError(f"no layer is {' or '.join(open_channels)}", remedy="Choose a layer for each channel.")
    chosen = [cast("ImageLayer", layers[channel]) for channel in channels]
    for at, layer in enumerate(chosen):
        if any(layer is other for other in chosen[:at]):
            raise PlaneError(
                "the layer is chosen for two channels", where=layer.name, remedy="Choose another layer for one of them."
            )
    data = [_data_of(layer) for layer in chosen]
    positions = [_position(layer, own.shape, view) for layer, own in zip(chosen, data, strict=True)]
    planes = [np.asarray(own[position]) for own, position in zip(data, positions, strict=True)]
    merged = stack_planes(dict(zip(channels, planes, strict=True)), Path(chosen[0].name))
    _check_overlay(chosen, view, merged.shape[1:])
    notes = [
        f"{channel} is " + f"plane {', '.join(map(str, position))} of " * bool(position) + f"layer {layer.name!r}"
        for channel, layer, position in zip(channels, chosen, positions, strict=True)
    ]
    return FieldPlanes(merged, notes=tuple(notes))


def _data_of(layer: ImageLayer) -> Any:  # noqa: ANN401 - arrays of any library
    data = layer.data[0] if layer.multiscale else layer.data  # the finest of several resolutions
    if layer.rgb or data.ndim < _PLANE or str(data.dtype) not in {"uint8", "uint16"}:
        raise PlaneError(
            f"the layer is {'in colour' if layer.rgb else f'of {data.dtype}, {data.ndim} dimensions'}",
            where=layer.name,
            remedy="Take layers with the camera's own numbers: grey, 8 or 16 bits.",
        )
    check_size(data.shape[-1], data.shape[-2], Path(layer.name))
    return data


def _position(layer: ImageLayer, shape: Sequence[int], view: View) -> tuple[int, ...]:
    """Return the indices of the plane that napari shows of a layer, along all axes except the last two."""
    last = {len(view.point) - _PLANE, len(view.point) - 1}
    if set(view.displayed) != last or view.thick:
        raise PlaneError(
            "the viewer shows several planes as one"
            if view.thick
            else "the viewer does not show the last two axes, as a picture",
            where=layer.name,
            remedy="Show one plane in two dimensions, with its axes in the order of the layer.",
        )
    own = np.asarray(layer.world_to_data(_in_units_of(layer, view, view.point)))[:-_PLANE]
    for axis in (-2, -1):
        moved = list(view.point)
        moved[axis] += 1 / _COUPLED
        other = np.asarray(layer.world_to_data(_in_units_of(layer, view, moved)))[:-_PLANE]
        if (abs(other - own) > 1).any():
            raise PlaneError(
                "the layer is rotated or sheared out of its plane",
                where=layer.name,
                remedy="Reset the layer's affine transform.",
            )
    # As in napari: a half is rounded to the even neighbour.
    position = tuple(int(at) for at in np.round(own))
    if any(not 0 <= at < length for at, length in zip(position, shape, strict=False)):
        raise PlaneError(
            f"the viewer is at {', '.join(f'{at:g}' for at in own)}, outside the layer"
            f" ({', '.join(map(str, shape[:-_PLANE]))} planes), and shows nothing of it",
            where=layer.name,
            remedy="Move the sliders to where all four layers have a plane.",
        )
    return position


def _in_units_of(layer: ImageLayer, view: View, point: Sequence[float]) -> npt.NDArray[np.float64]:
    own = np.asarray(point[-layer.ndim :], np.float64)
    if view.units is None or len(view.units) < layer.ndim:
        return own
    factors = [_factor(*pair, layer) for pair in zip(view.units[-layer.ndim :], layer.units, strict=True)]
    return own * factors


def _factor(unit: Any, own: Any, layer: ImageLayer) -> float:  # noqa: ANN401 - pint's
    if str(unit) == str(own):
        return 1.0
    try:
        return float((1 * unit).to(own).magnitude)
    except Exception as error:  # pint's own errors, which this module does not import
        raise PlaneError(
            f"the layer is in {own}, and the viewer in {unit}",
            where=layer.name,
            remedy="Give all layers the same units.",
        ) from error


def _check_overlay(layers: Sequence[ImageLayer], view: View, size: Sequence[int]) -> None:
    """Check that the pixels of the four layers coincide."""
    first, *others = (_plane_map(layer, view) for layer in layers)
    # Transforms are linear: a bound at three corners holds between them.
    corners = np.array([(0, 0, 1), (size[0], 0, 1), (0, size[1], 1)], np.float64).T
    positions = np.linalg.solve(first, corners)
    for layer, transform in zip(layers[1:], others, strict=True):
        apart = float(abs(transform @ positions - corners).max())
        if not apart <= _SHIFT:
            raise PlaneError(
                f"it lies up to {apart:.3g} pixels off the layer {layers[0].name!r}: their scales or places differ",
                where=layer.name,
                remedy="Give the four layers the same scale and translation, or export them again.",
            )


def _plane_map(layer: ImageLayer, view: View) -> npt.NDArray[np.float64]:
    """Return the matrix from positions in the shown plane of the world to pixels, in homogeneous coordinates."""
    ends = []
    for shift in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        point = [*view.point[:-_PLANE], *shift]
        ends.append(np.asarray(layer.world_to_data(_in_units_of(layer, view, point)))[-_PLANE:])
    matrix = np.eye(3)
    matrix[:2] = np.column_stack([ends[1] - ends[0], ends[2] - ends[0], ends[0]])
    return matrix


def place_of(layer: ImageLayer, view: View) -> npt.NDArray[np.float64]:
    """Return the matrix from the pixels of the shown plane of a layer to the world, in homogeneous coordinates."""
    return cast("npt.NDArray[np.float64]", np.linalg.inv(_plane_map(layer, view)))


def common_pixel_size(layers: Sequence[ImageLayer]) -> float | None:
    """Return micrometres per pixel of the layers of a field; None if a layer does not give it, or they differ."""
    sizes = [pixel_size_of(layer) for layer in layers]
    known = sorted(size for size in sizes if size is not None)
    same = all(after / before - 1 <= _EQUAL_SIZES for before, after in pairwise(known))
    return known[0] if known and len(known) == len(sizes) and same else None


def pixel_size_of(layer: ImageLayer) -> float | None:
    """Return micrometres per pixel of a layer; None if its unit is not a length, or its pixels are not square."""
    matrix = _plane_map(layer, View(point=(0.0,) * layer.ndim, displayed=()))[:2, :2]
    height, width = (float(side) for side in np.linalg.norm(np.linalg.inv(matrix), axis=0))
    unit, other = map(str, layer.units[-2:])
    try:
        return micrometres((height, width), unit, Path(layer.name)) if unit == other else None
    except PlaneError:
        return None
