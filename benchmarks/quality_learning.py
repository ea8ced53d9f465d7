"""Measures fields once, and learns from them the limits of quality and the weights of composed measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression, Ridge

from benchmarks.corruptions import scaled
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Channel
from hpa_sdk.quality.limits import Limits, learn_limits, widest
from hpa_sdk.quality.measures import Planes, measure, scale_parts, swap_parts
from hpa_sdk.quality.nuclei import Bright
from hpa_sdk.quality.scales import scales_of

CHANNELS = tuple(map(str, Channel))
SCALES = (0.5, 2 / 3, 0.8, 1.0, 1.25, 1.5, 2.0)
"""How much larger fields are shown, to learn what ``scale`` looks at, and to judge it."""

_BLUE = CHANNELS.index("blue")
_WHITES = (255.0,) * len(CHANNELS)
_WEIGHT = 60.0  # of all fields of one kind together
_NONE: Mapping[str, Mapping[str, float]] = {"scale": {}, "swapped": {}}  # weights before any are learned

Weights = dict[str, dict[str, float]]
Fields = Sequence[Planes]
Measures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Parts:
    """What was measured of a field, before the weights of the composed measures are known.

    Attributes
    ----------
    values : dict
        All measures but the composed ones.
    sizes : dict
        The parts of ``scale`` of the field shown at other scales, by the factor; empty without a blue plane.
    swap : dict
        The parts of ``swapped``; empty for a single plane.
    """

    values: Measures
    sizes: dict[float, Measures] = field(default_factory=dict)
    swap: Measures = field(default_factory=dict)

    def measures(self, weights: Weights, factor: float = 1.0) -> Measures:
        """Return all measures, of which only ``scale`` is that of the field shown at another scale."""
        composed = {"scale": self.sizes.get(factor, {}), "swapped": self.swap}
        sums = {
            name: sum(weights[name][part] * value for part, value in parts.items())
            for name, parts in composed.items()
            if parts
        }
        return self.values | sums


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fields.

    Attributes
    ----------
    name : str
        What they are.
    fields : list of numpy.ndarray
        The planes of each.
    parts : list of Parts
        What was measured of each.
    planes : list of Parts
        Single planes of further fields of this kind, which are learned from only.
    """

    name: str
    fields: list[Planes]
    parts: list[Parts]
    planes: list[Parts]

    def rows(self, rows: npt.NDArray[np.intp]) -> Kind:
        """Return some of the fields, and all single planes."""
        return Kind(self.name, [self.fields[at] for at in rows], [self.parts[at] for at in rows], self.planes)

    def halves(self, seed: int = 0) -> tuple[Kind, Kind]:
        """Divide the fields at random."""
        order = np.random.default_rng(seed).permutation(len(self.fields))
        return self.rows(order[::2]), self.rows(order[1::2])

    @property
    def learned(self) -> list[Parts]:
        """What limits and weights are learned from."""
        return [*self.parts, *self.planes]

    @property
    def title(self) -> str:
        """The name, and that of the single planes."""
        numbers = f"({len(self.parts)} fields, {len(self.planes)} planes)"
        return f"{self.name} and real_planes {numbers}" if self.planes else self.name


def kind_of(folder: Path, planes: Sequence[Parts] = (), name: str = "") -> Kind:
    """Read and measure all fields of a folder; `planes` are single planes of further fields of this kind."""
    fields = [read_planes(sample) for sample in find_samples(folder)]
    return Kind(name or folder.name, fields, [_parts(each) for each in fields], list(planes))


def _parts(planes: Planes) -> Parts:
    scales = dict(zip(CHANNELS, scales_of(list(planes), _WHITES), strict=True))
    swap = swap_parts(scales, {channel: Bright(scales[channel].half) for channel in ("green", "blue")})
    values = measure(planes, CHANNELS, _NONE).values
    return Parts(_simple(values), _sizes(planes[_BLUE]), swap)


def plane_parts(plane: Planes, channel: str) -> Parts:
    """Measure a single plane: what concerns this plane alone, and the size of nuclei on a blue one."""
    values = _simple(measure(plane[np.newaxis], (channel,), _NONE).values)
    own = {name: value for name, value in values.items() if name.endswith(f" {channel}")}
    return Parts(own, _sizes(plane) if channel == "blue" else {})


def _simple(values: Measures) -> Measures:
    return {name: value for name, value in values.items() if name not in _NONE}


def _sizes(blue: Planes) -> dict[float, Measures]:
    found = {}
    for factor in SCALES:
        shown = scaled(factor)(blue[np.newaxis], np.random.default_rng(0))
        found[factor] = scale_parts(Bright(scales_of(list(shown), _WHITES[:1])[0].half))
    return found


def limits_of(kinds: Sequence[Kind], weights: Weights) -> Limits:
    """Learn the limits of each kind, and join them."""
    found = widest([learn_limits([each.measures(weights) for each in kind.learned], kind.title) for kind in kinds])
    return replace(found, definitions={})  # it ships beside the weights


def weights_of(kinds: Sequence[Kind]) -> Weights:
    """Fit the composed measures; each kind of fields counts the same."""
    swaps = [(each.swap, _WEIGHT / len(kind.parts)) for kind in kinds for each in kind.parts]
    sizes = []
    for kind in kinds:
        shown = [each.sizes for each in kind.learned if each.sizes]
        sizes += [(each[factor], np.log2(factor), _WEIGHT / len(shown)) for each in shown for factor in SCALES]
    return {"swapped": _discriminant(*zip(*swaps, strict=True)), "scale": _estimate(*zip(*sizes, strict=True))}


def _discriminant(parts: Sequence[Measures], counts: Sequence[float]) -> Measures:
    table = _table(parts)
    spread = np.sqrt((table**2).mean(axis=0))
    both = np.vstack([-table, table]) / spread
    swapped = np.repeat([1, 0], len(table))
    fit = LogisticRegression(fit_intercept=False).fit(both, swapped, [*counts, *counts])
    return dict(zip(parts[0], (fit.coef_[0] / spread).tolist(), strict=True))


def _estimate(parts: Sequence[Measures], sizes: Sequence[float], counts: Sequence[float]) -> Measures:
    table = _table(parts)[:, 1:]  # without the constant
    mean, spread = table.mean(axis=0), table.std(axis=0)
    fit = Ridge(0.5).fit((table - mean) / spread, sizes, counts)
    slopes = fit.coef_ / spread
    values = [float(fit.intercept_ - slopes @ mean), *slopes.tolist()]
    return dict(zip(parts[0], values, strict=True))


def _table(parts: Sequence[Measures]) -> npt.NDArray[np.float64]:
    return np.array([list(each.values()) for each in parts])
