"""Describes the fields that a network was trained on: usual measures, and how their embeddings are spread."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import SettingError
from hpa_sdk.quality.limits import LEAST_FIELDS, Limits

LARGEST_REFERENCE = 100_000
"""Largest size of a reference as JSON, in bytes."""

_AXES = 16
_FOLDS = 5
_SHRINKAGE = 0.1
_QUANTILES = 101
_NUMBERS = "<f2"

Embeddings = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How embeddings are spread: a normal distribution with few axes, and one variance for all others.

    Its distance is that of Mahalanobis with a covariance that is shrunk towards the mean variance (Ledoit and Wolf,
    Journal of Multivariate Analysis 88, 2004, 365), as Lee et al., arXiv:1807.03888, use it to find inputs that are
    unlike the training.

    Attributes
    ----------
    mean : bytes
        float16, little endian, of shape (E,).
    axes : bytes
        float16, little endian, of shape (axes, E), each of length 1.
    variances : tuple of float
        Along each axis.
    rest : float
        Along every other direction.
    distances : tuple of float
        Quantiles of the distances of the fields, each from a distribution without it, from the least to the largest.
    """

    mean: bytes
    axes: bytes
    variances: tuple[float, ...]
    rest: float
    distances: tuple[float, ...]

    @property
    def width(self) -> int:
        """The width of the embeddings."""
        return len(self.mean) // np.dtype(_NUMBERS).itemsize

    def distance(self, embeddings: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Return the squared Mahalanobis distance of embeddings, float of shape (N, E)."""
        centred = np.asarray(embeddings, np.float64) - _numbers(self.mean)
        axes = _numbers(self.axes).reshape(len(self.variances), self.width)
        along = centred @ axes.T
        beside = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        distances: npt.NDArray[np.float64] = (along**2 / np.asarray(self.variances)).sum(axis=1) + beside / self.rest
        return distances

    def share_beyond(self, embedding: Embeddings) -> float:
        """Return the share of the fields that lie at least as far out as this embedding, 0 to 1."""
        distance = float(self.distance(embedding[np.newaxis])[0])
        return 1 - float(np.interp(distance, self.distances, np.linspace(0, 1, len(self.distances)), left=0, right=1))

    def problem(self) -> str | None:
        """Say why it can't be used; None if it can."""
        size = np.dtype(_NUMBERS).itemsize
        if not self.mean or len(self.mean) % size or len(self.axes) != len(self.variances) * len(self.mean):
            return "its arrays do not fit each other"
        numbers = np.array([*self.variances, self.rest, *self.distances])
        finite = all(np.isfinite(np.frombuffer(part, _NUMBERS)).all() for part in (self.mean, self.axes))
        if not finite or not np.isfinite(numbers).all() or min(*self.variances, self.rest) <= 0:
            return "it has numbers that are not finite, or variances that are not above 0"
        if len(self.distances) <= 1 or sorted(self.distances) != list(self.distances):
            return "its quantiles are out of order"
        return None


@lru_cache(maxsize=8)
def _numbers(content: bytes) -> npt.NDArray[np.float64]:
    return np.frombuffer(content, _NUMBERS).astype(np.float64)


def learn_spread(embeddings: Embeddings) -> Spread:
    """Learn how embeddings are spread.

    Parameters
    ----------
    embeddings : numpy.ndarray
        float32 of shape (N, E).

    Raises
    ------
    SettingError
        There are fewer than `LEAST_FIELDS`.
    """
    if len(embeddings) < LEAST_FIELDS:
        raise SettingError(
            f"embeddings of {len(embeddings)} fields say nothing of others", remedy=f"Give {LEAST_FIELDS} or more."
        )
    folds = np.random.default_rng(0).permutation(len(embeddings)) % _FOLDS
    distances = np.concatenate(
        [_fit(embeddings[folds != fold], (0.0,)).distance(embeddings[folds == fold]) for fold in range(_FOLDS)]
    )
    quantiles = np.quantile(distances, np.linspace(0, 1, _QUANTILES)).tolist()
    return _fit(embeddings, tuple(float(f"{quantile:.5g}") for quantile in quantiles))


def _fit(embeddings: Embeddings, distances: tuple[float, ...]) -> Spread:
    mean = embeddings.mean(axis=0, dtype=np.float64)
    _, lengths, axes = np.linalg.svd(embeddings - mean, full_matrices=False)
    count = min(_AXES, len(embeddings) - 1, embeddings.shape[1])
    variances = lengths**2 / (len(embeddings) - 1)
    usual = max(float(variances.sum()) / embeddings.shape[1], np.finfo(np.float32).tiny)
    rest = float(variances[count:].sum()) / max(embeddings.shape[1] - count, 1)
    shrunk = [(1 - _SHRINKAGE) * variance + _SHRINKAGE * usual for variance in (*variances[:count].tolist(), rest)]
    return Spread(
        mean=mean.astype(_NUMBERS).tobytes(),
        axes=axes[:count].astype(_NUMBERS).tobytes(),
        variances=tuple(shrunk[:-1]),
        rest=shrunk[-1],
        distances=distances,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What fields must look like so that a network can be trusted on them.

    Attributes
    ----------
    data : str
        The fields that it was learned from.
    fields : int
        The number of these fields.
    limits : Limits, optional
        Their usual measures. Without them, those that ship are used.
    spread : Spread, optional
        How their embeddings are spread.
    network : str
        Identifies the network that gave the embeddings, as `ModelCard.network_id`; empty if that is not recorded.
    """

    data: str
    fields: int
    limits: Limits | None = None
    spread: Spread | None = None
    network: str = ""

    def problem(self) -> str | None:
        """Say why it can't be used; None if it can."""
        if len(msgspec.json.encode(self)) > LARGEST_REFERENCE:
            return f"it has more than {LARGEST_REFERENCE:,} bytes"
        return (self.limits and self.limits.problem()) or (self.spread and self.spread.problem()) or None


def read_reference(path: Path) -> Reference:
    """Read a reference that ``hpa reference`` wrote.

    Raises
    ------
    SettingError
        The file can't be read, or its content can't be used.
    """
    try:
        with path.open("rb") as file:
            content = file.read(2 * LARGEST_REFERENCE)
        reference = msgspec.json.decode(content, type=Reference)
        problem = reference.problem()
    except OSError as error:
        raise SettingError(
            f"the reference can't be read ({error.strerror})", where=path, remedy="Check its path."
        ) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SettingError(f"this is no reference ({error})", where=path, remedy=_AGAIN) from error
    if problem is not None:
        raise SettingError(f"the reference can't be used: {problem}", where=path, remedy=_AGAIN)
    return reference


def as_reference(given: Reference | str | os.PathLike[str] | None, *, quality: bool = True) -> Reference | None:
    """Return a reference that is given as such, or as a file.

    Parameters
    ----------
    given : Reference, str, os.PathLike or None
        The reference, or its file.
    quality : bool
        Whether the quality of fields is measured.

    Raises
    ------
    SettingError
        The quality of fields is not measured, so that nothing would be compared with it; or as for `read_reference`.
    """
    if given is None:
        return None
    if not quality:
        raise SettingError(
            "the quality of fields is not measured, so nothing would be compared with the reference",
            where=given.data if isinstance(given, Reference) else given,
            remedy="Leave out quality=False (--no-quality), or the reference (--reference).",
        )
    return given if isinstance(given, Reference) else read_reference(Path(given))


_AGAIN = "Make it with 'hpa reference MODEL FIELDS -o FILE'."
