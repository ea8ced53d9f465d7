"""Makes a field of napari's image layers, without napari and without a screen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError, SettingError
from hpa_sdk.planes import Planes, check_size, stack_planes
from hpa_sdk.prediction import Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White
from hpa_sdk.samples import Channel
from hpa_sdk.workstation.channel_stack import micrometres
from hpa_sdk.workstation.station import ChannelNames, fold, read_station
from hpa_sdk.workstation.trained_scale import to_trained_scale, trained_of

_PLANE = 2  # dimensions of (H, W)


class ImageLayer(Protocol):
    """What is needed of a napari image layer."""

    name: str
    data: Any
    rgb: bool
    scale: npt.NDArray[np.float64]
    units: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Classified:
    """A prediction, and what was done to the planes on the way.

    Attributes
    ----------
    prediction : Prediction
        The answer.
    notes : tuple of str
        As in a `hpa_sdk.workstation.results.Result`.
    """

    prediction: Prediction
    notes: tuple[str, ...]


def usual_names() -> ChannelNames:
    """Give the names of channels that the station file to start from has."""
    text = resources.files("hpa_sdk.workstation").joinpath("station.toml").read_bytes()
    return msgspec.convert(msgspec.toml.decode(text)["channels"], ChannelNames)


def names_of(station: Path | None) -> ChannelNames:
    """Give the names of channels of a station file, or the usual ones.

    Raises
    ------
    SettingError
        The station file can't be read.
    """
    return usual_names() if station is None else read_station(station).channels


def guess_channels(layers: Sequence[str], names: ChannelNames) -> dict[Channel, str | None]:
    """Guess which layer is which channel.

    A layer is a channel if its name is one of the channel's, or, where none is, holds one as a word of its own, as in
    ``"field-1 [DAPI]"``. What several layers could be, or one layer could be twice, is left open.

    Parameters
    ----------
    layers : sequence of str
        Names of the layers.
    names : ChannelNames
        What the channels are called.

    Returns
    -------
    dict of Channel to str or None
        A layer for each channel; None where it is open.
    """
    fitting = {channel: _fitting(layers, getattr(names, channel)) for channel in Channel}
    taken = [found[0] for found in fitting.values() if len(found) == 1]
    return {
        channel: found[0] if len(found) == 1 and taken.count(found[0]) == 1 else None
        for channel, found in fitting.items()
    }


def _fitting(layers: Sequence[str], aliases: Sequence[str | int]) -> list[str]:
    wanted = [str(fold(alias)) for alias in aliases if isinstance(alias, str)]
    exact = [layer for layer in layers if fold(layer) in wanted]
    word = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, wanted))})(?![^\W_])")
    return exact or [layer for layer in layers if wanted and word.search(str(fold(layer)))]


def planes_of(layers: Mapping[Channel, ImageLayer | None], step: Sequence[int]) -> Planes:
    """Put the planes that are shown of four layers together.

    Parameters
    ----------
    layers : mapping of Channel to ImageLayer or None
        The layer of each channel.
    step : sequence of int
        The position of napari's sliders, as ``viewer.dims.current_step``: of a layer with more than two dimensions the
        plane at this position is taken.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (4, H, W).

    Raises
    ------
    PlaneError
        A channel has no layer, a layer is in colour or not of 8 or 16 bits, or the planes differ in size or depth.
    """
    open_channels = [channel for channel in Channel if layers.get(channel) is None]
    if open_channels:
        raise PlaneError(f"no layer is {' or '.join(open_channels)}", remedy="Choose a layer for each channel.")
    chosen = [cast("ImageLayer", layers[channel]) for channel in Channel]
    return stack_planes([_plane(layer, step) for layer in chosen], Path(chosen[0].name))


def _plane(layer: ImageLayer, step: Sequence[int]) -> Planes:
    data = layer.data[0] if isinstance(layer.data, (list, tuple)) else layer.data  # the finest of several resolutions
    if layer.rgb or data.ndim < _PLANE or str(data.dtype) not in {"uint8", "uint16"}:
        raise PlaneError(
            f"the layer is {'in colour' if layer.rgb else f'of {data.dtype}, {data.ndim} dimensions'}",
            where=layer.name,
            remedy="Take layers with the camera's own numbers: grey, 8 or 16 bits.",
        )
    check_size(data.shape[-1], data.shape[-2], Path(layer.name))
    # The sliders count from the right, as napari lays layers of differing dimensions over each other.
    before = data.ndim - _PLANE
    at = tuple(step)[-data.ndim : len(step) - _PLANE] if before else ()
    position = tuple(min(max(0, index), length - 1) for index, length in zip(at, data.shape, strict=False))
    return np.asarray(data[position])


def pixel_size_of(layer: ImageLayer) -> float | None:
    """Give micrometres a pixel of a layer; None where its unit is no length, or its pixels are not square."""
    height, width = (float(step) for step in layer.scale[-2:])
    unit, other = map(str, layer.units[-2:])
    try:
        return micrometres((height, width), unit, Path(layer.name)) if unit == other else None
    except PlaneError:
        return None


def white_of(text: str) -> White | None:
    """Read a white level that somebody typed.

    Parameters
    ----------
    text : str
        A number above 0, four of them with commas or spaces between, ``"dtype"``, ``"percentile"``, or nothing.

    Raises
    ------
    SettingError
        It is none of these.
    """
    words = text.replace(",", " ").split()
    if not words or words in (["dtype"], ["percentile"]):
        return cast("White | None", words[0] if words else None)
    try:
        levels = [float(word) for word in words]
    except ValueError:
        levels = []
    if len(levels) not in {1, len(Channel)} or min(levels) <= 0:
        raise SettingError(
            f"{text!r} is no white level", remedy="Give a number such as 4095, four numbers, dtype or percentile."
        )
    return levels[0] if len(levels) == 1 else levels


@lru_cache(maxsize=1)
def load_predictor(model: Path, device: str, changed: int) -> Predictor:  # noqa: ARG001 - makes a replaced file another
    """Load a model, once as long as its file (told by the time of its last change), and the device, stay the same."""
    return Predictor.load(model, device=device)


def classify(
    predictor: Predictor, planes: Planes, *, white: White | None, pixel_size: float | None, name: str
) -> Classified:
    """Classify a field, at the scale of the model's training where that is known.

    Parameters
    ----------
    predictor : Predictor
        What answers.
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    white : optional
        As for `Predictor.load`.
    pixel_size : float or None
        Micrometres a pixel.
    name : str
        What to call the field in messages.

    Raises
    ------
    PlaneError
        The planes can't be classified, such as 16-bit ones without a white level.
    DeviceError
        The device failed.
    """
    # Before anything is framed in black, which would lower a percentile.
    levels = predictor.card.preprocessing.white_levels(planes, white=white, where=name)
    scaled, notes = to_trained_scale(planes, pixel_size, trained_of(predictor.card), Path(name))
    (prediction,) = predictor.predict_planes(scaled[None], white=levels.tolist())
    return Classified(prediction, notes)
