"""Prevents an evaluation from overwriting one of other data, another network or other settings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import click
import msgspec
import numpy as np

from hpa_sdk.errors import OutputError
from hpa_sdk.preprocessing import White
from training.cli.judging import Threshold
from training.data.dataset import Dataset
from training.judge.fitted_run import FittedRun, Part

EVALUATION = "evaluation.json"
"""File in an evaluation with all its figures and its identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of an evaluation: two evaluations are the same if all of this is equal.

    Attributes
    ----------
    tables : tuple of str
        Absolute paths of the tables. The fingerprint does not distinguish data with equal ids, labels and sizes.
    data_fingerprint : str
        The data set's.
    network_sha256 : str
        SHA-256 of the network's file.
    part : str
        Which fields.
    views : int
        Views of each field that are averaged.
    threshold : float or "card"
        One for all classes, or those of the card.
    white : optional
        White level of 16-bit planes.
    """

    tables: tuple[str, ...]
    data_fingerprint: str
    network_sha256: str
    part: Part
    views: int
    threshold: Threshold
    white: White | None

    @classmethod
    def of(cls, fitted: FittedRun, dataset: Dataset, *, part: Part, views: int, threshold: Threshold) -> Identity:
        """Return the identity of an evaluation, in the form in which it is read back."""
        identity = cls(
            tables=tuple(map(str, dataset.tables)),
            data_fingerprint=dataset.fingerprint,
            network_sha256=fitted.network_sha256,
            part=part,
            views=views,
            threshold=threshold,
            white=dataset.white,
        )
        return msgspec.json.decode(msgspec.json.encode(identity), type=cls)

    def differences(self, earlier: Identity) -> str:
        """Describe how an earlier evaluation differs from this one; empty if it is the same."""
        names = (field.name for field in fields(self))
        return "; ".join(
            f"{name}: {_shown(getattr(earlier, name))} there, {_shown(getattr(self, name))} here"
            for name in names
            if getattr(earlier, name) != getattr(self, name)
        )


def default_folder(fitted: FittedRun, dataset: Dataset, *, part: Part, views: int, threshold: Threshold) -> Path:
    """Name the folder of an evaluation in its run folder after the data and all settings that are not the default."""
    names = ["evaluation", dataset.name.replace("/", "-")]
    names += [] if part == "all" else [part]
    names += [] if views == 1 else [f"views-{views}"]
    names += [] if threshold == "card" else [f"threshold-{threshold}"]
    # The white level of the fit is the default.
    names += [] if dataset.white is None or _same(dataset.white, fitted.white) else [f"white-{_level(dataset.white)}"]
    return fitted.folder / "-".join(names)


def begin_evaluation(folder: Path, identity: Identity) -> None:
    """Make the folder of an evaluation, unless another evaluation is there.

    Raises
    ------
    OutputError
        The folder can't be made, or holds an evaluation of other data, of another network or by other settings.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder can't be made ({error.strerror})", where=folder, remedy="Name another one with --out."
        ) from error
    file = folder / EVALUATION
    if not file.exists():
        return
    try:
        earlier = msgspec.json.decode(file.read_bytes(), type=Identity)
    except (UnicodeDecodeError, msgspec.DecodeError):
        click.echo(f"{file}: the evaluation here does not say what it is of, and is replaced.", err=True)
        return
    differences = identity.differences(earlier)
    if differences:
        raise OutputError(
            f"the folder holds another evaluation ({differences})",
            where=folder,
            remedy="Name another folder with --out, or delete this one.",
        )


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _same(one: White, other: White | None) -> bool:
    return other is not None and _level(one) == _level(other)


def _level(white: White) -> str:
    if isinstance(white, str):
        return white
    return "-".join(f"{level:.15g}" for level in np.atleast_1d(np.asarray(white, np.float64)))
