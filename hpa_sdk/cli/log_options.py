"""The options that every command has for its log: how much of it the terminal shows, and a file with times."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

_LOGGERS = ("hpa_sdk", "training", "export")
_TERMINAL = "hpa_sdk.terminal"
_SHOWN = {"shown": True}  # the command itself writes the text to stderr
_log = logging.getLogger("hpa_sdk")


def add_log_options(command: click.Command) -> None:
    """Add the options ``--verbose``, ``--quiet`` and ``--log-file`` to a command."""
    flags = {"is_flag": True, "expose_value": False, "is_eager": True}
    command.params += [
        click.Option(["-v", "--verbose"], callback=_show_details, help="Also show details of the log.", **flags),
        click.Option(["-q", "--quiet"], callback=_show_errors, help="Show no warnings of the log.", **flags),
        click.Option(
            ["--log-file"],
            type=click.Path(dir_okay=False, path_type=Path),
            callback=_write_file,
            expose_value=False,
            is_eager=True,
            metavar="FILE",
            help="Also append the log to this file, with times.",
        ),
    ]


def show(line: str) -> None:
    """Write a line for the user to stderr, and to the log file if there is one."""
    click.echo(line, err=True)
    log_shown(logging.INFO, line)


def log_shown(level: int, line: str) -> None:
    """Write a line to the log file, if there is one, that the command itself shows."""
    if _TERMINAL in click.get_current_context().meta:
        _log.log(level, "%s", line, extra=_SHOWN)


def _show_details(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _terminal(context).setLevel(logging.INFO)


def _show_errors(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _terminal(context).setLevel(logging.ERROR)


def _write_file(context: click.Context, parameter: click.Parameter, value: Path | None) -> None:
    if value is None:
        return
    _terminal(context)
    try:
        handler = logging.FileHandler(value, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{value} can't be written ({error.strerror})", context, parameter) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _attach(context, handler)


def _terminal(context: click.Context) -> logging.Handler:
    # With any handler of our own, logging no longer writes warnings to stderr by itself.
    if _TERMINAL not in context.meta:
        handler: logging.StreamHandler[Any] = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.addFilter(lambda record: not getattr(record, "shown", False))
        context.meta[_TERMINAL] = handler
        _attach(context, handler)
    terminal: logging.Handler = context.meta[_TERMINAL]
    return terminal


def _attach(context: click.Context, handler: logging.Handler) -> None:
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]

    def detach() -> None:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        handler.close()

    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    context.find_root().call_on_close(detach)  # the error that ends a command is part of the log
