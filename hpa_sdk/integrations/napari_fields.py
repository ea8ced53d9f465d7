"""Classifies fields from napari's image layers; needs neither napari nor a screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import cast

import msgspec

from hpa_sdk.errors import HpaError, SettingError
from hpa_sdk.fields.rules import ChannelNames, fold
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.trained_scale import stack_rules_of, to_trained_scale
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_names import resolve_model
from hpa_sdk.prediction import Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import Planes, White
from hpa_sdk.workstation.station import read_station


@dataclass(frozen=True, slots=True)
class Classified:
    """A prediction, and what was done to the planes before it.

    Attributes
    ----------
    prediction : Prediction
        The answer.
    notes : tuple of str
        As in a `hpa_sdk.results.result.Result`.
    """

    prediction: Prediction
    notes: tuple[str, ...]


def usual_names() -> ChannelNames:
    """Return the channel names of the station file template."""
    text = resources.files("hpa_sdk.workstation").joinpath("station.toml").read_bytes()
    return msgspec.convert(msgspec.toml.decode(text)["channels"], ChannelNames)


def names_of(station: Path | None) -> ChannelNames:
    """Return the channel names of a station file, or the usual ones.

    Raises
    ------
    SettingError
        The station file can't be read.
    """
    return usual_names() if station is None else read_station(station).channels


def guess_channels(layers: Sequence[str], names: ChannelNames) -> dict[Channel, str | None]:
    """Guess which layer is which channel.

    A layer matches a channel if its name is one of the channel's names or, if no layer's is, contains one as a separate
    word, as in ``"field-1 [DAPI]"``. Channels with several matches, and layers that match two channels, are left open.

    Parameters
    ----------
    layers : sequence of str
        Names of the layers.
    names : ChannelNames
        Names of the channels.

    Returns
    -------
    dict of Channel to str or None
        A layer for each channel; None if it is open.
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


def white_of(text: str) -> White | None:
    """Parse a white level that the user typed.

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


class LoadedModel:
    """The predictor that was loaded last, reused while its file and the device stay the same."""

    def __init__(self) -> None:
        self._loaded: tuple[Path, str, Predictor] | None = None

    def predictor(self, model: Path, device: str) -> Predictor:
        """Load a model, unless it is already loaded.

        Raises
        ------
        ModelFileError, ModelCardError, DeviceError
            As for `hpa_sdk.Predictor.load`.
        """
        model = resolve_model(model).path.absolute()
        if self._loaded is None or self._loaded[:2] != (model, device) or not self._loaded[2].model.is_on_disk():
            self._loaded = None  # one model at a time in memory
            self._loaded = model, device, Predictor.load(model, device=device)
        return self._loaded[2]


def channels_of(model: Path) -> tuple[Channel, ...]:
    """Return the channels that a model takes: all, if its file can't be read yet. Loading it says why."""
    try:
        _, card = read_model(model)
    except HpaError:
        return tuple(Channel)
    return tuple(channel for channel in Channel if channel in card.preprocessing.channels)


def classify(
    predictor: Predictor, planes: Planes, *, white: White | None, pixel_size: float | None, name: str
) -> Classified:
    """Classify a field, at the scale of the model's training if that is known.

    Parameters
    ----------
    predictor : Predictor
        The predictor.
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    white : optional
        As for `Predictor.load`.
    pixel_size : float or None
        Micrometres a pixel.
    name : str
        Name of the field in messages.

    Raises
    ------
    PlaneError
        The planes can't be classified, such as 16-bit ones without a white level.
    DeviceError
        The device failed.
    """
    # Before padding with black, which would lower a percentile.
    levels = predictor.card.preprocessing.white_levels(planes, white=white, where=name)
    scaled, notes = to_trained_scale(planes, pixel_size, stack_rules_of(predictor.card).trained, Path(name))
    (prediction,) = predictor.predict_planes(scaled[None], white=levels.tolist())
    return Classified(prediction, notes)
