"""Reads the station file: all settings of one microscope's computer."""

from __future__ import annotations

import datetime as dt
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from hpa_sdk.errors import SettingError
from hpa_sdk.fields.rules import Count, FieldRules, Positive, Table
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.model_names import looks_like_name
from hpa_sdk.workstation.station_text import read_toml

_VIEWS = (1, 4, 8)  # as `hpa_sdk.inference.ensemble.Views`, which takes longer to import
_BUILT_IN = (dt.datetime, dt.date, dt.time)  # types of TOML in addition to numbers and texts


class Arrival(Table, frozen=True, kw_only=True):
    """When a file counts as written, and how long a field waits for its last one.

    Attributes
    ----------
    settle_seconds : float
        How long it must not change.
    looks : int
        Number of looks in which it must be unchanged.
    plane_timeout_seconds : float
        How long a field waits for a plane that is missing or can't be opened, before it counts as failed.
    """

    settle_seconds: Positive = 2.0
    looks: Count = 2
    plane_timeout_seconds: Positive = 60.0


class Cells(Table, frozen=True, kw_only=True):
    """Whether the cells of fields are answered too. With an empty table they are, by the built-in segmentation.

    Attributes
    ----------
    masks : pathlib.Path or None
        Folder of label images, one for each field, by its id; None if cells are found by thresholds.
    """

    masks: Path | None = None


class Station(FieldRules, frozen=True, kw_only=True):
    """The settings of one microscope's computer: the keys of the station file are these and those of `FieldRules`.

    Attributes
    ----------
    model, watch, output : pathlib.Path
        The model file or its name in a catalogue, the folder that the microscope writes to, and the one for answers.
        Both folders become absolute, as the paths of what is read are.
    others : tuple of pathlib.Path
        Further models, as `model`, whose answers are averaged with those of the first.
    views : int
        How many views of each field the models run on: 1, 4 or 8, as for `hpa_sdk.Predictor.load`.
    card : pathlib.Path or None
        TOML file with the model card of the first model, if that has none.
    device : str
        As for `hpa_sdk.Predictor.load`.
    gpu_memory : float or None
        GiB of a GPU's memory that the model may take.
    threshold : float or "card"
        As for `hpa_sdk.Predictor.load`.
    ledger : pathlib.Path or None
        The file that records what is done; None for one in the folder for answers.
    arrival : Arrival
        When a file counts as written.
    cells : Cells or None
        How cells are answered; None if only fields are.
    """

    model: Path
    watch: Path
    output: Path
    others: tuple[Path, ...] = ()
    views: int = 1
    card: Path | None = None
    device: str = "auto"
    gpu_memory: Positive | None = None
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | Literal["card"] = "card"
    ledger: Path | None = None
    arrival: Arrival = Arrival()
    cells: Cells | None = None

    def __post_init__(self) -> None:
        """Make the folders absolute."""
        msgspec.structs.force_setattr(self, "watch", self.watch.absolute())
        msgspec.structs.force_setattr(self, "output", self.output.absolute())

    @property
    def models(self) -> tuple[Path, ...]:
        """All models, the first one first."""
        return (self.model, *self.others)

    def check(self) -> None:
        """Check what the types can't express.

        Raises
        ------
        ValueError
            As for `FieldRules`, there is no such number of views, or cells are to be answered by several models.
        """
        super().check()
        if self.views not in _VIEWS:
            raise ValueError(f"views is {self.views}, and can be 1, 4 or 8 - at `$.views`")
        if self.cells is not None and self.others:
            raise ValueError(
                "cells are answered by one model: leave out `others`, or the table [cells] - at `$.others`"
            )


def read_station(path: Path) -> Station:
    """Read a station file.

    Relative paths in it start at its own folder. The model may also be the name of one in a catalogue.

    Raises
    ------
    SettingError
        The file can't be read, or one of its keys is unknown or has a value that can't be used; the message names it.
    """

    def to_path(kind: type, value: Any) -> Path:  # noqa: ANN401, ARG001 - msgspec's signature
        if not isinstance(value, str):
            raise TypeError("expected a path")
        return (path.parent / value).absolute()

    try:
        table = read_toml(path)
        station = msgspec.convert(table, Station, dec_hook=to_path, builtin_types=_BUILT_IN)
        station.check()
    except (ValueError, RecursionError) as error:  # from msgspec, and from the checks of the station
        raise SettingError(str(error), where=path, remedy="Correct this key of the station file.") from error
    model, *others = (
        Path(text) if looks_like_name(text) and not file.exists() else file
        for text, file in zip([table["model"], *table.get("others", [])], station.models, strict=True)
    )
    return msgspec.structs.replace(station, model=model, others=tuple(others))


def write_template(path: Path) -> None:
    """Write a commented station file to start from, never over an existing one.

    Raises
    ------
    SettingError
        The file exists already.
    OutputError
        No file can be written there.
    """
    if path.exists():
        raise SettingError("something lies here already", where=path, remedy="Name a file that does not exist yet.")
    with atomic_write(path) as partial:
        partial.write_bytes(resources.files("hpa_sdk.workstation").joinpath("station.toml").read_bytes())
