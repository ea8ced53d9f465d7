"""Cells are found at their true places, at every scale, and a field without them says so."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.cells.segmentation import judge_collages, judge_simulated
from hpa_sdk.cells import ClassicalSegmenter, Segmentation, SegmentationSettings
from hpa_sdk.cells.network import NetworkSegmenter
from hpa_sdk.errors import SettingError
from tests.hpa_sdk.cells.made_fields import CELL, FOUR, NUCLEUS, PIXEL, Planes, draw
from tests.hpa_sdk.cells.test_network_segmenter import make_network


def segment(planes: Planes, pixel_size: float | None = PIXEL) -> Segmentation:
    return ClassicalSegmenter().segment(planes, id="field", pixel_size=pixel_size)


def area_of(radius: int) -> float:
    return float(np.pi * radius**2)


def test_cells_lie_where_they_were_drawn() -> None:
    found = segment(draw(FOUR))
    assert [tuple(map(round, cell.centre)) for cell in found.cells] == list(FOUR)
    assert [cell.area for cell in found.cells] == pytest.approx([area_of(CELL)] * 4, rel=0.08)
    assert [cell.area_um2 for cell in found.cells] == pytest.approx([cell.area * PIXEL**2 for cell in found.cells])
    assert not any(cell.border for cell in found.cells)
    assert found.notes == ()


@pytest.mark.parametrize("factor", [0.5, 2, 4])
def test_the_same_cells_at_another_pixel_size(factor: float) -> None:
    planes = draw(FOUR)
    side = round(planes.shape[1] * factor)
    scaled = np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes])
    found = segment(scaled, PIXEL / factor)
    assert found.labels.shape == (side, side)
    assert [round(cell.centre[0] / factor) for cell in found.cells] == pytest.approx([80, 80, 280, 280], abs=2)
    assert [cell.area / factor**2 for cell in found.cells] == pytest.approx([area_of(CELL)] * 4, rel=0.1)


def test_an_unknown_pixel_size_is_estimated() -> None:
    found = segment(draw(FOUR), None)
    assert len(found.cells) == 4
    assert found.pixel_size is None
    assert found.cells[0].area_um2 is None
    assert found.notes == ("the pixel size is unknown: it is 0.3 um if nuclei have a radius of 7 um",)


def test_touching_cells_are_parted_between_their_nuclei() -> None:
    found = segment(draw([(190, 150), (190, 150 + 2 * CELL - 14)]))
    assert [round(cell.centre[1], -1) for cell in found.cells] == [150, 230]
    assert [cell.area for cell in found.cells] == pytest.approx([area_of(CELL)] * 2, rel=0.1)


def test_touching_nuclei_are_counted_one_by_one() -> None:
    planes = draw([])
    rows, columns = np.mgrid[:384, :384]
    for row in range(15, 380, 25):
        for column in range(15, 380, 25):
            planes[2][(rows - row) ** 2 + (columns - column) ** 2 < 155] = 160
    assert len(segment(planes, 0.4).cells) == pytest.approx(225, abs=3)


def test_a_cell_at_the_border_is_flagged() -> None:
    found = segment(draw([(20, 190), (200, 190)]))
    assert [cell.border for cell in found.cells] == [True, False]


def test_debris_is_counted_and_is_no_cell() -> None:
    planes = draw(FOUR)
    planes[2, 190:197, 190:197] = 200
    found = segment(planes)
    assert len(found.cells) == 4
    assert found.notes == ("1 bright part of the blue plane too small for a nucleus",)


@pytest.mark.parametrize("level", [0, 20, 150])
def test_a_field_without_nuclei_has_no_cells(level: int) -> None:
    rng = np.random.default_rng(0)
    planes = np.clip(rng.normal(level, 4, (4, 256, 256)), 0, 255).astype(np.uint8)
    found = segment(planes)
    assert found.cells == ()
    assert not found.labels.any()
    assert "no nucleus was found in the blue plane" in found.notes


def test_one_nucleus_can_fill_the_field() -> None:
    rows, columns = np.mgrid[:256, :256]
    planes = draw([], side=256)
    planes[2][np.hypot(rows - 128, columns - 128) < 120] = 150
    (cell,) = segment(planes).cells
    assert cell.area == pytest.approx(area_of(120), rel=0.1)


def test_dark_reference_planes_are_left_out() -> None:
    planes = draw(FOUR)
    planes[3] = 0
    assert segment(planes).notes == ()
    planes[0] = np.random.default_rng(1).normal(8, 2, planes[0].shape).clip(0, 255)
    found = segment(planes)
    assert len(found.cells) == 4
    assert found.notes == ("neither the red nor the yellow plane shows cells: borders lie between the nuclei",)


def test_16_bits_give_the_same_cells() -> None:
    planes = draw(FOUR)
    deep = ClassicalSegmenter().segment(planes.astype(np.uint16) * 257, id="field", pixel_size=PIXEL)
    assert [cell.number for cell in deep.cells] == [1, 2, 3, 4]
    assert np.mean(deep.labels == segment(planes).labels) > 0.995


def test_settings_are_lengths_in_micrometres() -> None:
    large = SegmentationSettings(least_nucleus=area_of(NUCLEUS) * PIXEL**2 * 1.3)
    found = ClassicalSegmenter(large).segment(draw(FOUR), id="field", pixel_size=PIXEL)
    assert found.cells == ()
    assert ClassicalSegmenter(large).fingerprint("field") != ClassicalSegmenter().fingerprint("field")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpa_sdk.cells.segmenter.find_spec", lambda name: None if name == "skimage" else name)
    with pytest.raises(SettingError, match=r"needs skimage.*pip install 'hpa-sdk\[cells\]'"):
        ClassicalSegmenter()


def test_simulated_cells_are_found() -> None:
    counts = judge_simulated(4, pixel_size=0.16)
    assert counts.f1(0.5) >= 0.9
    assert counts.f1(0.7) >= 0.75


def test_nine_cells_are_found_in_real_collages(real_data: Path, tmp_path: Path) -> None:
    for file in sorted((real_data / "real_cells").glob("img_comb1-mixed_img10*.png")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    found = judge_collages(tmp_path)
    assert np.mean(np.abs(found.cells - 9) <= 1) >= 0.95
    assert np.mean(found.overlap >= 0.9) >= 0.95


def test_a_large_field_is_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpa_sdk.cells.classical.MOST_PIXELS", 512 * 512)
    found = segment(np.tile(draw([(128, 128)], side=256), (1, 4, 4)))
    assert found.labels.shape == (1024, 1024)
    assert len(found.cells) == 16
    assert found.notes == ("the field is large: cells were looked for at 0.64 um per pixel",)


@pytest.mark.parametrize("network", [False, True])
def test_cells_of_a_reduced_field_are_not_shifted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, network: bool
) -> None:
    planes = draw(FOUR)[:, :340]
    segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx"), device="cpu") if network else None
    centres = []
    for most in (4096 * 4096, 200 * 200):
        monkeypatch.setattr(f"hpa_sdk.cells.{'network' if network else 'classical'}.MOST_PIXELS", most)
        cells = (segmenter or ClassicalSegmenter()).segment(planes, id="field", pixel_size=PIXEL).cells
        centres.append([cell.centre for cell in cells])
    shift = np.diff(np.array(centres), axis=0)
    assert shift.mean((0, 1)) == pytest.approx([0, 0], abs=0.15)
