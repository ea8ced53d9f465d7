"""Predicts during a Micro-Manager acquisition on a simulated microscope, and images dividing cells again.

    python -m training simulate fields --count 6
    hpa station init                                       # then set the model and a folder for results in it
    python examples/micro_manager.py station.toml fields

On a real microscope the core is `CMMCorePlus` with its configuration loaded, and the rest stays as it is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import useq
from pymmcore_plus.experimental.unicore import (
    ShutterDevice,
    SimpleCameraDevice,
    StateDevice,
    UniMMCore,
    XYStageDevice,
)

from hpa_sdk import Channel, Label, find_samples, read_planes
from hpa_sdk.preprocessing import Planes
from hpa_sdk.results import Result
from hpa_sdk.workstation import FieldHandler, follow_up, load_predictor, open_store, read_station

FILTERS = ("DAPI", "protein", "tubulin", "ER")
"""The simulated microscope's channels; the template of the station file knows these names."""

SHOWN = (Channel.BLUE, Channel.GREEN, Channel.RED, Channel.YELLOW)
"""The plane for each filter."""

SPACING = 1000.0
"""Micrometres from one field to the next, along x."""


class Stage(XYStageDevice):
    """A stage that reaches its target immediately."""

    _place = (0.0, 0.0)

    def set_position_um(self, x: float, y: float) -> None:
        """Move to a position."""
        self._place = (x, y)

    def get_position_um(self) -> tuple[float, float]:
        """Return the position."""
        return self._place

    def home(self) -> None:
        """Move to the first field."""
        self._place = (0.0, 0.0)

    def stop(self) -> None:
        """Do nothing: it never moves."""

    def set_origin_x(self) -> None:
        """Do nothing: its origin is fixed."""

    def set_origin_y(self) -> None:
        """Do nothing: its origin is fixed."""


class FilterWheel(StateDevice):
    """A wheel with a filter for each channel."""

    _position = 0

    def get_state(self) -> int:
        """Return the current filter."""
        return self._position

    def set_state(self, position: int) -> None:
        """Select a filter."""
        self._position = position


class Shutter(ShutterDevice):
    """A shutter; without one, a core that opens it by itself ends every acquisition with an error."""

    _open = False

    def get_open(self) -> bool:
        """Say whether the shutter is open."""
        return self._open

    def set_open(self, open: bool) -> None:  # noqa: A002, FBT001 - pymmcore-plus's signature
        """Open or close the shutter."""
        self._open = open


class Camera(SimpleCameraDevice):
    """A camera that gives stored planes: those of the field at the stage position, through the current filter."""

    def __init__(self, fields: Sequence[Planes], stage: Stage, wheel: FilterWheel) -> None:
        super().__init__()
        self._fields = fields
        self._stage = stage
        self._wheel = wheel
        self._exposure = 10.0

    def get_exposure(self) -> float:
        """Return the exposure in milliseconds."""
        return self._exposure

    def set_exposure(self, exposure: float) -> None:
        """Set the exposure in milliseconds."""
        self._exposure = exposure

    def sensor_shape(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        _, height, width = self._fields[0].shape
        return height, width

    def dtype(self) -> np.dtype[Any]:
        """Return the type of a pixel."""
        return self._fields[0].dtype

    def snap(self, buffer: npt.NDArray[Any]) -> Mapping[str, object]:
        """Take a picture."""
        time.sleep(self._exposure / 1000)
        x, _ = self._stage.get_position_um()
        channel = SHOWN[self._wheel.get_state()]
        buffer[:] = self._fields[round(x / SPACING)][list(Channel).index(channel)]
        return {}


def simulated_core(fields: Sequence[Planes], *, pixel_size: float = 0.0) -> UniMMCore:
    """Make a core whose camera sees fields, side by side under the stage.

    Parameters
    ----------
    fields : sequence of numpy.ndarray
        Planes of shape (4, H, W) in the order of `Channel`, all of one size and type.
    pixel_size : float
        Micrometres per pixel; 0.0 if the core does not have it.
    """
    stage, wheel = Stage(), FilterWheel(enumerate(FILTERS))
    core = UniMMCore()
    devices = {"Camera": Camera(fields, stage, wheel), "Stage": stage, "Filter": wheel, "Shutter": Shutter()}
    for name, device in devices.items():
        core.loadPyDevice(name, device)
        core.initializeDevice(name)
    core.setCameraDevice("Camera")
    core.setXYStageDevice("Stage")
    core.setShutterDevice("Shutter")
    for name in FILTERS:
        core.defineConfig("Channel", name, "Filter", "Label", name)
    core.setChannelGroup("Channel")
    if pixel_size:
        core.definePixelSizeConfig("Objective")
        core.setPixelSizeUm("Objective", pixel_size)
        core.setPixelSizeConfig("Objective")
    return core


def plan(count: int, *, channels: Sequence[str] = FILTERS, exposure: float = 10.0, **more: Any) -> useq.MDASequence:  # noqa: ANN401 - useq's own options
    """Plan an acquisition of the first fields, each through all filters; exposures are in milliseconds."""
    return useq.MDASequence(
        channels=tuple(useq.Channel(config=name, exposure=exposure) for name in channels),
        stage_positions=tuple(useq.AbsolutePosition(x=at * SPACING, y=0.0) for at in range(count)),
        **more,
    )


def main() -> None:
    """Take every field once, and those with a mitotic spindle once more, with a longer exposure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("station", type=Path, help="station file")
    parser.add_argument("fields", type=Path, help="folder of fields for the simulated camera to see")
    parser.add_argument("--pixel-size", type=float, default=0.32, help="of these fields, in micrometres")
    options = parser.parse_args()
    station = read_station(options.station)
    predictor = load_predictor(station)
    fields = [read_planes(sample) for sample in find_samples(options.fields)]
    core = simulated_core(fields, pixel_size=options.pixel_size)
    sequence = plan(len(fields))

    def decide(result: Result, events: list[useq.MDAEvent]) -> list[useq.MDAEvent]:
        if Label.MITOTIC_SPINDLE not in result.indices:
            return []
        return [event.replace(exposure=50) for event in events]

    with open_store(station) as store, FieldHandler(station, predictor, store) as handler:
        handler.check(sequence)
        handler.answered.connect(lambda result: print(result.id, result.error or "; ".join(result.labels)))
        core.mda.run(follow_up(handler, sequence, decide), output=[handler])
    print(handler.report)


if __name__ == "__main__":
    main()
