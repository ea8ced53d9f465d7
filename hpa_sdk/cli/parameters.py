"""Parameter types and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from hpa_sdk.preprocessing import White


def _completions(incomplete: str) -> list[CompletionItem]:
    from hpa_sdk.errors import HpaError  # noqa: PLC0415 - only for completion
    from hpa_sdk.models.catalogue import known_models  # noqa: PLC0415
    from hpa_sdk.models.model_store import ModelStore  # noqa: PLC0415

    try:
        known = known_models(ModelStore())
    except HpaError:  # a shell shows no messages here
        return []
    return [
        CompletionItem(name, help=each.entry.title)
        for name, each in sorted(known.items())
        if name.startswith(incomplete)
    ]


class ModelName(click.ParamType[str]):
    """The name of a model in a catalogue."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Read a name; whether a model has it is checked when it is used."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Complete names."""
        return _completions(incomplete)


class ModelPath(click.Path):
    """A model file, or the name of a model in a catalogue, which is fetched if it is not here."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of the file."""
        from hpa_sdk.models.model_names import resolve_model  # noqa: PLC0415 - --help must not wait for it

        return super().convert(resolve_model(value).path, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete names and files."""
        return _completions(incomplete) + super().shell_complete(ctx, param, incomplete)


class WhiteLevel(click.ParamType[White]):
    """A white level of 16-bit planes, or how to find one."""

    name = "FLOAT|dtype|percentile"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Show the words unchanged; click would show capitals."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> White:
        """Read a number above 0, or one of the two words in any letter case."""
        word = str(value).lower()
        if word in {"dtype", "percentile"}:
            return cast("White", word)
        return click.FloatRange(min=0, min_open=True).convert(value, param, ctx)


white_option = click.option(
    "--white", type=WhiteLevel(), help="White level of 16-bit planes, such as 4095 for a 12-bit camera."
)
"""The option of commands that read planes."""


class Threshold(click.ParamType[float | Literal["card"]]):
    """The probability from which a class counts, or the word for those of the model card."""

    name = "card|FLOAT"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002
        """Show the word unchanged; click would show capitals."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | Literal["card"]:
        """Read a number from 0 to 1, or the word in any letter case."""
        return "card" if str(value).lower() == "card" else click.FloatRange(0, 1).convert(value, param, ctx)


class DeviceName(click.ParamType[str]):
    """The name of a device, in any letter case."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Read a name; whether the device exists is checked when it is used."""
        return str(value).lower()


device_option = click.option(
    "--device",
    type=DeviceName(),
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, cuda:1, tensorrt or openvino.",
)
"""The option of commands that open a model."""


card_option = click.option(
    "--card",
    type=click.Path(path_type=Path),
    help="TOML file with the model card of a MODEL that has none: see 'hpa card init'.",
)
"""The option of commands that read a model."""

single_cells_option = click.option(
    "--single-cells", is_flag=True, help="Each picture is of one cell, for a MODEL that answers for cells."
)
"""The option of commands that learn from pictures, or judge by them: see `hpa_sdk.models.contract.check_pictures`."""


Command = TypeVar("Command", bound=Callable[..., Any])


def _all_of(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def ensemble_options(*, views: str | None) -> Callable[[Command], Command]:
    """Return the options of commands that average the answers of several models and views.

    Parameters
    ----------
    views : str or None
        The default of ``--views``; None for a command that has to know whether it was given.
    """
    return _all_of(
        click.option(
            "--with",
            "others",
            type=ModelPath(),
            multiple=True,
            metavar="OTHER",
            help="Average with this model; repeatable.",
        ),
        click.option(
            "--views",
            type=click.Choice(["1", "4", "8"]),
            default=views,
            show_default=views or "1",
            help="Run on rotations (4) and their mirror images (8) of each field, and average.",
        ),
    )


class RuntimeOption(click.ParamType[tuple[str, str]]):
    """An option of the device's runtime, by the runtime's own name."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Read a name and a value with an equals sign between them."""
        if isinstance(value, tuple):
            return cast("tuple[str, str]", value)
        name, equals, setting = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not of the form NAME=VALUE", param, ctx)
        return name, setting


runtime_option = click.option(
    "--runtime-option",
    "runtime_options",
    type=RuntimeOption(),
    multiple=True,
    help="Option of the device's runtime; OpenVINO's INFERENCE_PRECISION_HINT=bf16 is faster and less exact.",
)
"""The option of commands that open a model for many fields."""


search_options = _all_of(
    click.option("-r", "--recursive", is_flag=True, help="Search the folders below a folder too."),
    click.option(
        "--root",
        type=click.Path(path_type=Path),
        help="Folder of a table's ids. Default: train/ beside it, or its own.",
    ),
)
"""Where fields are searched for."""

speed_options = _all_of(
    click.option("--batch-size", type=click.IntRange(min=1), help="Inputs a run. Default: what suits the device."),
    click.option("--threads", type=click.IntRange(min=1), help="Cores to use. Default: all that the process may use."),
)
"""How a device is used for many fields."""

resume_options = _all_of(
    click.option("--resume", is_flag=True, help="Keep a ledger next to the output, and resume an earlier run from it."),
    click.option(
        "--compare",
        type=click.Choice(["time", "content"]),
        default="time",
        show_default=True,
        help="With --resume: a plane is the same if its size and time, or its size and content, are.",
    ),
)
"""How an interrupted run is resumed."""

engine_option = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="ray: on all nodes of a Ray cluster, one actor a GPU or --threads cores.",
)

RAY_FIELDS = "hpa_sdk.integrations.ray", "RayPredictor"
RAY_CELLS = "hpa_sdk.integrations.ray_cells", "RayCellPredictor"
"""The module and the class that predict on a cluster."""


def loader_of(engine: str, on_ray: tuple[str, str]) -> Callable[..., Any]:
    """Return what loads a predictor: of this machine, or of a Ray cluster.

    Raises
    ------
    SettingError
        Ray is not installed.
    """
    from hpa_sdk.errors import SettingError  # noqa: PLC0415 - not for completion
    from hpa_sdk.predictor import Predictor  # noqa: PLC0415 - as above

    if engine == "local":
        return Predictor.load
    module, name = on_ray
    try:
        loaded = import_module(module)
    except ImportError as error:  # an extra that only this needs
        raise SettingError(
            f"the engine ray is not installed ({error})", remedy="Install it with pip install 'hpa-sdk[ray]'."
        ) from error
    load: Callable[..., Any] = getattr(loaded, name).load
    return load
