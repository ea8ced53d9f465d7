"""Reads the kinds of values that several commands take."""

from __future__ import annotations

from typing import Any, Literal, cast

import click

from hpa_sdk.preprocessing import White


class WhiteLevel(click.ParamType[White]):
    """A white level of 16-bit planes, or how to find one."""

    name = "FLOAT|dtype|percentile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> White:
        """Read a number above 0, or one of the two words."""
        if value in {"dtype", "percentile"}:
            return cast("White", value)
        return click.FloatRange(min=0, min_open=True).convert(value, param, ctx)


white_option = click.option(
    "--white", type=WhiteLevel(), help="White level of 16-bit planes, such as 4095 for a 12-bit camera."
)
"""The option of commands that read planes."""


class Threshold(click.ParamType[float | Literal["card"]]):
    """The probability from which a class counts, or the word for those of the model's card."""

    name = "card|FLOAT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | Literal["card"]:
        """Read a number from 0 to 1, or the word."""
        return "card" if value == "card" else click.FloatRange(0, 1).convert(value, param, ctx)


class RuntimeOption(click.ParamType[tuple[str, str]]):
    """An option of the device's runtime, by the runtime's own name."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Read a name and a value with an equals sign between."""
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
