"""Limits learned from fields find what is wrong with others, and leave good ones alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from benchmarks.corruptions import (
    Corruption,
    constant,
    defocus,
    dropped_bits,
    no_cells,
    same_plane,
    saturation,
    scaled,
    swapped,
)
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.preprocessing import Planes
from hpa_sdk.quality.limits import LEAST_FIELDS, Limits, defaults, learn_limits, learn_limits_apart, widest
from hpa_sdk.quality.measures import measure
from hpa_sdk.quality.quality import Quality, judge
from tests.hpa_sdk.quality.drawn import RADIUS, draw_field

CHANNELS = ("red", "green", "blue", "yellow")


@cache
def limits() -> Limits:
    """Limits from drawn fields with nuclei of several sizes."""
    fields = [draw_field(seed, radius=RADIUS + seed % 5 - 2) for seed in range(2 * LEAST_FIELDS)]
    return learn_limits([measure(each, CHANNELS, defaults().weights).values for each in fields], "drawn")


def judged(planes: Planes, **options: object) -> Quality:
    return judge(planes, CHANNELS, limits=limits(), **options)  # type: ignore[arg-type]


def kinds(quality: Quality) -> set[str]:
    return {flag.measure.partition(" ")[0] for flag in quality.flags}


@pytest.mark.parametrize("seed", [101, 102, 103, 104])
def test_a_field_like_the_others_has_no_warning(seed: int) -> None:
    assert judged(draw_field(seed)).warnings == ()


@pytest.mark.parametrize(
    ("corruption", "kind"),
    [
        (defocus(3), "focus"),
        (saturation(0.05), "saturated"),
        (constant(0, 1), "constant"),
        (constant(17, 2), "constant"),
        (no_cells(2), "signal"),
        (same_plane(2, 1), "unlike"),
        (same_plane(0, 3), "unlike"),
        (swapped, "swapped"),
        (scaled(2), "scale"),
        (scaled(0.5), "scale"),
        (dropped_bits(2), "gaps"),
    ],
)
def test_a_spoiled_field_is_found(corruption: Corruption, kind: str) -> None:
    quality = judged(corruption(draw_field(101), np.random.default_rng(0)))
    assert kind in kinds(quality)
    assert all(text.endswith(".") and ";" not in text for text in quality.warnings)


@pytest.mark.parametrize("corruption", [defocus(3), saturation(0.05), no_cells(2), swapped])
def test_16_bit_planes_are_judged_like_8_bit_planes(corruption: Corruption) -> None:
    spoiled = corruption(draw_field(101), np.random.default_rng(0))
    white = np.full(4, 255 * 16, np.float32)
    deep = judged((spoiled * np.uint16(16)).astype(np.uint16), white=white)
    assert kinds(deep) >= kinds(judged(spoiled)) - {"gaps"}
    good = judged((draw_field(101) * np.uint16(16)).astype(np.uint16), white=white)
    assert good.warnings == ()


def test_a_white_level_far_from_the_data_is_named() -> None:
    quality = judged(draw_field(101).astype(np.uint16) * np.uint16(8), white=np.full(4, 65535, np.float32))
    found = [text for text in quality.warnings if "white level may be wrong" in text]
    assert len(found) == len(CHANNELS)
    assert "a tenth of white" in found[0]


def test_planes_that_are_not_taken_are_left_out() -> None:
    planes = draw_field(101)
    quality = judge(planes[:3], CHANNELS[:3], limits=limits())
    assert quality.left_out == ("the yellow plane: the model does not take it",)
    small = judge(planes[:3, :100], CHANNELS[:3], limits=limits())
    assert small.left_out[1:] == quality.left_out
    assert not any("yellow" in name for name in quality.measures)
    two = judge(planes[1:3], CHANNELS[1:3], limits=limits())
    assert "swapped" not in two.measures


@pytest.mark.parametrize("side", [16, 64, 383])
def test_small_planes_have_grey_levels_only(side: int) -> None:
    quality = judged(np.ascontiguousarray(draw_field(101)[:, :side, :side]))
    assert "fewer than 384" in quality.left_out[0]
    assert "focus" not in quality.measures


@pytest.mark.parametrize("shape", [(385, 600), (512, 513), (1024, 1024), (1100, 777)])
def test_any_size_is_measured(shape: tuple[int, int]) -> None:
    large = draw_field(101, radius=40, side=1200)
    quality = judged(np.ascontiguousarray(large[:, : shape[0], : shape[1]]))
    assert np.isfinite(list(quality.measures.values())).all()
    assert "focus" in quality.measures


def test_larger_pixels_count_as_pixels_of_512() -> None:
    small, large = draw_field(101), draw_field(101, radius=2 * RADIUS, side=1024)
    one, other = judged(small).measures, judged(large).measures
    assert one["scale"] == pytest.approx(other["scale"], abs=0.2)


@pytest.mark.parametrize("fill", [0, 255, 65535])
def test_planes_without_any_structure_have_finite_measures(fill: int) -> None:
    planes = np.full((4, 512, 512), fill, np.uint8 if fill < 256 else np.uint16)
    quality = judged(planes, white=np.full(4, 4095, np.float32))
    assert kinds(quality) == {"constant"}
    assert np.isfinite(list(quality.measures.values())).all()
    planes[:, 0, 0] ^= 1
    assert np.isfinite(list(judged(planes).measures.values())).all()


def test_measuring_changes_no_plane() -> None:
    planes = draw_field(101)
    planes.flags.writeable = False
    assert judged(planes) == judged(planes)


def test_limits_from_few_fields_are_refused() -> None:
    with pytest.raises(SettingError, match="3 fields"):
        learn_limits([{"focus": 1.0}] * 3, "few")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda: Limits(data="", fields=30, low={"scale": 1.0}, high={"scale": -1.0}), "out of order: 1.0 to -1.0"),
        (lambda: Limits(data="", fields=30, low={"sharpness": 1.0}), "no measure 'sharpness'"),
        (lambda: Limits(data="", fields=30, low={"focus": float("nan")}), "no finite number"),
        (lambda: Limits(data="", fields=3), "3 fields"),
    ],
)
def test_limits_that_make_no_sense_have_a_problem(change: Callable[[], Limits], problem: str) -> None:
    assert problem in str(change().problem())


def test_a_value_that_is_usual_in_one_kind_of_fields_is_usual() -> None:
    one = Limits(data="a", fields=20, low={"focus": -1.0}, high={"scale": 1.0})
    other = Limits(data="b", fields=30, low={"focus": -2.0}, high={"scale": 0.5})
    joined = widest([one, other])
    assert (joined.low, joined.high, joined.fields) == ({"focus": -2.0}, {"scale": 1.0}, 50)
    assert joined.data == "20 of a, 30 of b"


def test_kinds_of_fields_have_limits_of_their_own() -> None:
    rng = np.random.default_rng(3)
    kinds = [[{"noise blue": value} for value in rng.lognormal(level, 0.1, 50)] for level in (0, 4)]
    apart = learn_limits_apart([("dark", kinds[0]), ("bright", kinds[1])])
    assert apart.high == learn_limits(kinds[1], "bright").high
    pooled = learn_limits([*kinds[0], *kinds[1]], "both")
    assert pooled.high["noise blue"] > 5 * apart.high["noise blue"]
    few = kinds[1][: LEAST_FIELDS - 1]
    assert learn_limits_apart([("dark", kinds[0]), ("bright", few)]) == learn_limits([*kinds[0], *few], "dark, bright")


@pytest.mark.parametrize("deviation", [1.0, 2.0, 5.0, 25.0])
@pytest.mark.parametrize("side", [512, 1024])
def test_noise_alone_is_flagged_whatever_was_learned(deviation: float, side: int) -> None:
    rng = np.random.default_rng(4)
    noise = np.clip(np.rint(rng.normal(90, deviation, (4, side, side))), 0, 255).astype(np.uint8)
    quality = judge(noise, CHANNELS, limits=Limits(data="", fields=LEAST_FIELDS))
    assert {flag.measure for flag in quality.flags} == {f"signal {channel}" for channel in CHANNELS}


def test_limits_of_another_definition_are_not_used() -> None:
    small = scaled(0.5)(draw_field(101), np.random.default_rng(0))
    assert judged(small).left_out == ()
    earlier = replace(limits(), definitions={**limits().definitions, "scale": "of earlier weights"})
    quality = judge(small, CHANNELS, limits=earlier)
    assert "scale" in quality.measures
    assert kinds(quality) == kinds(judged(small)) - {"scale"}
    assert "'hpa reference'" in quality.left_out[0]
    assert "scale" in quality.left_out[0]
    unnamed = judge(small, CHANNELS, limits=replace(limits(), definitions={}))
    assert len(unnamed.left_out) == len(defaults().weights)


def test_few_values_have_wider_limits() -> None:
    """The chance that a new normal value lies beyond limits hardly depends on the number of fields."""
    rng = np.random.default_rng(0)
    beyond = {}
    for count in (20, 60, 1000):
        found = [learn_limits([{"scale": value} for value in rng.normal(size=count)], "") for _ in range(300)]
        beyond[count] = np.mean([NormalDist().cdf(some.low["scale"]) for some in found])
    assert max(beyond.values()) < 3 * min(beyond.values())


@pytest.mark.parametrize("bright", [1.0, 3.0])
def test_a_nucleus_that_is_much_brighter_changes_no_scale(bright: float) -> None:
    planes = (draw_field(101) // 3).astype(np.uint8)
    plain = judged(planes).measures["scale"]
    part = planes[2, :120, :120]
    part[:] = np.minimum(part * bright, 255)
    assert judged(planes).measures["scale"] == pytest.approx(plain, abs=0.25)


def test_the_limits_that_ship_can_be_used() -> None:
    assert defaults().limits.problem() is None
    assert "kaggle_fields" in defaults().limits.data


@pytest.mark.slow
def test_real_fields_have_few_warnings(real_data: Path) -> None:
    samples = list(find_samples(real_data / "real_cells"))[::6]
    planes = [read_planes(sample) for sample in samples]
    assert sum(bool(judge(each, CHANNELS).flags) for each in planes) <= 0.05 * len(planes)
    rng = np.random.default_rng(0)
    for corruption, kind in ((defocus(3), "focus"), (saturation(0.05), "saturated"), (swapped, "swapped")):
        found = [kind in kinds(judge(corruption(each, rng), CHANNELS)) for each in planes]
        assert np.mean(found) >= 0.95, kind
