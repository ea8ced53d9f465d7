"""What can go wrong in training beyond what the SDK names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import HpaError, OutputError


class WeightsError(HpaError):
    """Initial weights can't be loaded."""


class RecipeError(HpaError):
    """A recipe can't be read, or is not for this network."""


class RunError(HpaError):
    """A run folder can't be used."""


@contextmanager
def output_errors(what: str, folder: Path, *, remedy: str) -> Iterator[None]:
    """Raise an `OutputError` where the block can't write files.

    Parameters
    ----------
    what : str
        What is written, in the plural.
    folder : pathlib.Path
        Where.
    remedy : str
        What to do about it, as a full sentence.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"the {what} can't be written ({error.strerror})", where=folder, remedy=remedy) from error
