"""A command group that imports commands lazily, and turns errors into one line and an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from hpa_sdk import __version__
from hpa_sdk.cli.log_options import add_log_options, log_shown
from hpa_sdk.cli.standard_streams import Refusal, standard_streams
from hpa_sdk.errors import HpaError
from hpa_sdk.lazy_import import missing_library


class CommandGroup(click.Group):
    """A group whose commands are imported when they are called.

    Parameters
    ----------
    home : str
        Package with one module per command.
    modules : mapping of str to str
        The module of each command; the command object in it has the module's name.
    """

    def __init__(self, *, home: str, modules: Mapping[str, str], **options: Any) -> None:
        super().__init__(**options)
        self._home = home
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands, sorted."""
        return sorted(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._modules:
            return None
        module = self._modules[cmd_name]
        command: click.Command = getattr(import_module(f"{self._home}.{module}"), module)
        for parameter in command.params:
            # No two values differ only in letter case, and click shows some names of values in capitals.
            if isinstance(parameter.type, click.Choice):
                parameter.type.case_sensitive = False
        if not isinstance(command, click.Group) and all(parameter.name != "log_file" for parameter in command.params):
            add_log_options(command)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program with guarded standard streams, which help and version use too."""
        with standard_streams():
            return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an `HpaError` becomes one line and exit code 2."""
        try:
            return super().invoke(ctx)
        except HpaError as error:
            log_shown(logging.ERROR, str(error))
            raise Refusal(str(error)) from error
        except ImportError as error:
            if advice := missing_library(error):
                raise Refusal(advice) from error
            raise
        finally:
            # For every exit code: what is still in the buffer is part of the output.
            sys.stdout.flush()


main = CommandGroup(
    name="hpa",
    home="hpa_sdk.cli",
    modules={
        "adapt": "adapt",
        "bench": "bench",
        "card": "card",
        "cells": "cells",
        "doctor": "doctor",
        "explain": "explain",
        "inspect": "inspect",
        "models": "models",
        "predict": "predict",
        "reference": "reference",
        "report": "report",
        "review": "review",
        "serve": "serve",
        "station": "station",
        "watch": "watch",
    },
    help="Say in which organelles a protein sits, from four-channel fluorescence microscopy.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(__version__, prog_name="hpa")(main)
