"""Cells are found at their true places, at every scale, and a field without them says so."""

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from benchmarks.cells.segmentation import judge_collages, judge_simulated
from hpa_sdk.cells import ClassicalSegmenter, Segmentation, SegmentationSettings
from hpa_sdk.cells.network import NetworkSegmenter
from hpa_sdk.cells.thresholds import flooded
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


@pytest.mark.parametrize(("level", "noise"), [(5_000, 20), (30_000, 100), (60_000, 200)])
def test_noise_of_a_bright_16_bit_plane_is_no_cell(level: int, noise: int) -> None:
    planes = np.random.default_rng(0).normal(level, noise, (4, 1024, 1024)).astype(np.uint16)
    assert ClassicalSegmenter().segment(planes, id="field", pixel_size=PIXEL).cells == ()
    for plane in planes:
        cv2.circle(plane, (500, 400), NUCLEUS, level + 20 * noise, cv2.FILLED)
    [cell] = ClassicalSegmenter().segment(planes, id="field", pixel_size=PIXEL).cells
    assert tuple(map(round, cell.centre)) == (400, 500)
    assert cell.area == pytest.approx(area_of(NUCLEUS), rel=0.12)


@pytest.mark.parametrize("centre", [(1500, 1500), (1516, 1516), (777, 2201)])
def test_the_only_cell_of_a_large_field_is_found(centre: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    planes = np.clip(rng.normal(12, 2, (4, 3000, 3000)), 0, 255).astype(np.uint8)
    assert segment(planes, 2 * PIXEL).cells == ()
    for plane, radius, level in ((0, CELL, 80), (1, CELL, 60), (2, NUCLEUS, 150), (3, CELL, 80)):
        cv2.circle(planes[plane], centre[::-1], radius // 2, level, cv2.FILLED)
    found = segment(planes, 2 * PIXEL)
    assert [tuple(map(round, cell.centre)) for cell in found.cells] == [centre]
    assert found.cells[0].area == pytest.approx(area_of(CELL // 2), rel=0.12)
    assert found.notes == ()


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


@pytest.mark.parametrize(("radius", "spacing"), [(13, 36), (20, 90), (22, 260)])
def test_where_cells_meet_each_is_one_piece(radius: int, spacing: int) -> None:
    planes = crowded(radius, spacing, side=512)
    fine = np.stack([cv2.resize(plane, (1024, 1000), interpolation=cv2.INTER_LINEAR) for plane in planes])
    found = segment(fine, PIXEL / 2)
    assert len(found.cells) == pytest.approx(len(segment(planes).cells), rel=0.05)
    assert [ndimage.label(found.labels == cell.number)[1] for cell in found.cells] == [1] * len(found.cells)


def overlaps(found: Segmentation, expected: Segmentation) -> list[float]:
    """Return for each expected cell its intersection over union with the found cell that overlaps it most."""
    areas = {cell.number: cell.area for cell in found.cells}
    best = []
    for cell in expected.cells:
        box = np.s_[cell.box[0] : cell.box[2], cell.box[1] : cell.box[3]]
        numbers, shared = np.unique(found.labels[box][expected.labels[box] == cell.number], return_counts=True)
        common = [
            (number, int(count)) for number, count in zip(numbers.tolist(), shared.tolist(), strict=True) if number
        ]
        best.append(max((count / (cell.area + areas[number] - count) for number, count in common), default=0.0))
    return best


def crowded(radius: int, spacing: int, *, side: int = 1024) -> Planes:
    """Draw nuclei of about this radius in a layer of cells without gaps."""
    rng = np.random.default_rng(radius)
    planes = rng.normal(8, 2, (4, side, side))
    for row in range(0, side, spacing):
        for column in range(0, side, spacing):
            centre = (column + int(rng.normal(0, spacing / 5)), row + int(rng.normal(0, spacing / 5)))
            cv2.circle(planes[2], centre, round(radius * rng.uniform(0.8, 1.2)), rng.uniform(60, 200), -1)
    for plane in (0, 1, 3):
        texture = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), spacing / 4)
        planes[plane] += 60 + 40 * texture / texture.std()
    return np.clip(planes, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [260, 350])
@pytest.mark.parametrize(("radius", "spacing", "least"), [(13, 36, 0.95), (20, 90, 0.98), (22, 260, 1.0)])
def test_tiles_give_the_cells_of_the_whole_field(
    monkeypatch: pytest.MonkeyPatch, radius: int, spacing: int, least: float, side: int
) -> None:
    planes = crowded(radius, spacing)
    whole = segment(planes)
    # Most of such a window is overlap: there are many seams.
    monkeypatch.setattr("hpa_sdk.cells.classical.MOST_PIXELS", side * side)
    tiled = segment(planes)
    assert len(whole.cells) > (1024 / spacing) ** 2 / 2
    assert [cell.number for cell in tiled.cells] == list(range(1, len(whole.cells) + 1))
    assert tiled.notes == whole.notes
    assert min(overlaps(tiled, whole)) >= least
    assert np.mean(tiled.labels == whole.labels) > 0.999


def test_debris_is_counted_once_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = np.tile(draw([(200, 200)], side=384), (1, 3, 3))
    planes[2, 100::150, 60::150] = 0
    for row in range(50, 1140, 110):
        planes[2, row : row + 7, 20:27] = 200
    monkeypatch.setattr("hpa_sdk.cells.classical.MOST_PIXELS", 300 * 300)
    found = segment(planes)
    assert len(found.cells) == 9
    assert found.notes == ("10 bright parts of the blue plane too small for a nucleus",)


def test_a_part_larger_than_the_overlap_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = draw([], side=1152)
    planes[2, 300:800, 300:800] = 160
    monkeypatch.setattr("hpa_sdk.cells.classical.MOST_PIXELS", 300 * 300)
    assert any("larger than the overlap of the tiles" in note for note in segment(planes).notes)


@pytest.mark.slow
def test_small_nuclei_of_a_huge_field_stay_apart() -> None:
    one, side = crowded(13, 36), 8192
    one[[0, 1, 3]] = 0  # the nuclei alone, which takes a third of the time
    planes = np.tile(one, (1, 8, 8))
    tracemalloc.start()
    found = segment(planes)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.labels.shape == (side, side)
    # The seams of the pattern join or cut some nuclei.
    assert len(found.cells) == pytest.approx(64 * len(segment(one).cells), rel=0.04)
    assert not any("coarse" in note or "large" in note for note in found.notes)
    # The labels alone have 4 bytes a pixel.
    assert most < 12 * side * side


def test_cells_of_a_reduced_field_are_not_shifted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planes = draw(FOUR)[:, :340]
    segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx"), device="cpu")
    found = []
    for most in (4096 * 4096, 200 * 200):
        monkeypatch.setattr("hpa_sdk.cells.network.MOST_PIXELS", most)
        found.append(segmenter.segment(planes, id="field", pixel_size=PIXEL))
    shift = np.diff(np.array([[cell.centre for cell in one.cells] for one in found]), axis=0)
    assert shift.mean((0, 1)) == pytest.approx([0, 0], abs=0.15)
    assert [one.notes for one in found] == [
        (),
        ("the field is large: the network saw it 1.8 times as coarse at least",),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_only_where_seeds_meet_is_a_watershed_needed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    landscape = np.asarray(cv2.GaussianBlur(rng.normal(0, 1, (120, 90)), (0, 0), 3), np.float32)
    mask = cv2.GaussianBlur(rng.normal(0, 1, (120, 90)), (0, 0), 2) > rng.uniform(-0.05, 0.1)
    seeds = np.zeros(mask.shape, np.int32)
    for number in range(1, 30):
        row, column = rng.integers(0, 118), rng.integers(0, 88)
        seeds[row : row + 2, column : column + 2] = number
    found, several = flooded(landscape, seeds, mask)
    assert several
    np.testing.assert_array_equal(found, watershed(landscape, seeds, mask=mask))


def test_more_cells_than_16_bits_count_are_enlarged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    planes = np.stack([cv2.resize(plane, (900, 800), interpolation=cv2.INTER_LINEAR) for plane in draw(FOUR)])
    expected = segment(planes, PIXEL / 2).labels
    monkeypatch.setattr("hpa_sdk.cells.growing._MOST_IN_16_BITS", 2)
    np.testing.assert_array_equal(segment(planes, PIXEL / 2).labels, expected)


def test_outlines_of_fine_planes_have_no_blocks() -> None:
    planes = np.stack([cv2.resize(plane, (1536, 1536), interpolation=cv2.INTER_LINEAR) for plane in draw(FOUR)])
    labels = segment(planes, PIXEL / 4).labels
    rows, columns = np.mgrid[:1536, :1536]
    true = np.any([np.hypot(rows - 4 * row, columns - 4 * column) < 4 * CELL for row, column in FOUR], axis=0)
    blocks = np.kron(labels[4::8, 4::8], np.ones((8, 8), np.int32))

    def outline(picture: np.ndarray) -> float:
        contours, _ = cv2.findContours((picture > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return sum(cv2.arcLength(contour, closed=True) for contour in contours)

    assert np.mean((labels > 0) != true) < 0.01
    assert outline(labels) / outline(true) < 1.04
    assert outline(blocks) / outline(true) > 1.1
