"""Checks that simulated fields carry the real set's labels and have its form on disk."""

from __future__ import annotations

import csv
import itertools
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hpa_sdk import find_samples, read_planes
from hpa_sdk.errors import OutputError
from hpa_sdk.labels import Label
from training.simulation import draw_labels, simulate, simulate_field
from training.simulation.contact_sheet import contact_sheet
from training.simulation.label_draw import label_sets

# --- labels ---------------------------------------------------------------------------------------------------------

# Facts of the label table of 2018, as its users publish them.
FIELDS = 31_072
FIELDS_BY_LABEL = [
    12885, 1254, 3621, 1561, 1858, 2513, 1008, 2822, 53, 45, 28, 1093, 688, 537,
    1066, 21, 530, 210, 902, 1482, 172, 3777, 802, 2965, 322, 8228, 328, 11,
]  # fmt: skip
FIELDS_BY_NUMBER_OF_LABELS = [0, 15_126, 12_485, 3_160, 299, 2]


def test_the_label_sets_are_those_of_the_real_table() -> None:
    counts = np.zeros(len(Label), int)
    numbers = np.zeros(len(FIELDS_BY_NUMBER_OF_LABELS), int)
    for labels, fields in label_sets().items():
        counts[list(labels)] += fields
        numbers[len(labels)] += fields
    assert counts.tolist() == FIELDS_BY_LABEL
    assert numbers.tolist() == FIELDS_BY_NUMBER_OF_LABELS


def test_the_label_sets_add_up_to_the_table_at_hand(real_data: Path) -> None:
    with (real_data / "kaggle" / "train.csv").open(encoding="utf-8", newline="") as table:
        real = Counter(tuple(sorted(map(int, row["Target"].split()))) for row in csv.DictReader(table))
    assert {tuple(map(int, labels)): fields for labels, fields in label_sets().items()} == dict(real)


def test_drawn_labels_have_the_real_frequencies_and_company() -> None:
    rng = np.random.default_rng(1)
    draws = [draw_labels(rng) for _ in range(20_000)]
    assert all(list(labels) == sorted(set(labels)) for labels in draws)
    drawn = np.zeros((len(Label), len(Label)))
    for labels in draws:
        drawn[np.ix_(labels, labels)] += 1
    real = np.zeros_like(drawn)
    for labels, fields in label_sets().items():
        real[np.ix_(labels, labels)] += fields / FIELDS
    spread = np.sqrt(len(draws) * real * (1 - real))
    assert np.all(np.abs(drawn - len(draws) * real) < 4.5 * spread + 2)


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 128, 200])
def test_a_field_has_four_grey_planes_of_the_asked_size(size: int) -> None:
    field = simulate_field([Label.NUCLEOPLASM, 25], np.random.default_rng(0), size=size)
    assert field.shape == (4, size, size)
    assert field.dtype == np.uint8
    assert np.all(field.max(axis=(1, 2)) > 30)


def test_lengths_scale_with_the_size_of_the_field() -> None:
    shares = []
    for size in (64, 256):
        field = simulate_field([Label.MITOCHONDRIA], np.random.default_rng(2), size=size)
        blue = cv2.GaussianBlur(field[2], (0, 0), size / 128)
        shares.append(np.mean(blue > 0.4 * np.quantile(blue, 0.97)))
    assert shares[0] == pytest.approx(shares[1], rel=0.2)
    assert shares[0] > 0.05


def test_equal_generators_give_equal_fields_and_others_do_not() -> None:
    first, same, other = (simulate_field([7], np.random.default_rng(seed), size=64) for seed in (3, 3, 4))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_the_order_of_labels_does_not_matter() -> None:
    one, other = (simulate_field(labels, np.random.default_rng(3), size=64) for labels in ([2, 25], [25, 2, 2]))
    assert np.array_equal(one, other)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(ValueError, match="28"):
        simulate_field([28], np.random.default_rng(0), size=64)


@pytest.mark.parametrize("seed", range(3))
def test_only_a_nuclear_protein_is_bright_in_blue_nuclei(seed: int) -> None:
    means = []
    for label in (Label.NUCLEOPLASM, Label.CYTOSOL):
        _, green, blue, yellow = simulate_field([label], np.random.default_rng(seed), size=128).astype(np.float64)
        nucleus = blue > 0.4 * np.quantile(blue, 0.98)
        cytoplasm = (yellow > 0.4 * np.quantile(yellow, 0.95)) & ~nucleus
        means.append(green[nucleus].mean() / green[cytoplasm].mean())
    assert means[0] > 2
    assert means[1] < 0.8


# --- files ----------------------------------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_workers_do_not_change_the_files_and_seeds_do(tmp_path: Path) -> None:
    for name, seed, workers in (("one", 5, 1), ("two", 5, 2), ("other", 6, 1)):
        simulate(tmp_path / name, count=5, seed=seed, size=64, workers=workers)
    one, two, other = (files(tmp_path / name) for name in ("one", "two", "other"))
    assert len(one) == len(set(one.values())) == 21
    assert one == two
    assert not set(one.values()) & set(other.values())


def test_a_shorter_set_is_the_beginning_of_a_longer_one(tmp_path: Path) -> None:
    simulate(tmp_path / "short", count=2, seed=5, size=64, workers=1)
    simulate(tmp_path / "long", count=3, seed=5, size=64, workers=1)
    short, long = files(tmp_path / "short"), files(tmp_path / "long")
    assert long.pop("train.csv").startswith(short.pop("train.csv"))
    assert short.items() < long.items()


def test_files_have_the_form_of_the_real_set(tmp_path: Path) -> None:
    wanted: list[Collection[Label]] = [
        {Label.RODS_AND_RINGS, Label.NUCLEOPLASM},
        [Label.CYTOSOL],
        (Label.NUCLEOLI, Label.GOLGI_APPARATUS),
    ]
    table = simulate(tmp_path / "new" / "set", count=3, seed=0, size=64, workers=1, labels=wanted)
    assert table == tmp_path / "new" / "set" / "train.csv"
    assert b"\r" not in table.read_bytes()
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["Target"] for row in rows] == ["0 27", "25", "2 7"]
    assert all(str(uuid.UUID(row["Id"])) == row["Id"] for row in rows)
    names = {f"{row['Id']}_{colour}.png" for row in rows for colour in ("red", "green", "blue", "yellow")}
    assert {path.name for path in table.parent.iterdir()} == names | {"train.csv"}
    for name in names:
        with Image.open(table.parent / name) as plane:
            assert (plane.format, plane.mode, plane.size) == ("PNG", "L", (64, 64))


def test_planes_are_written_under_their_own_colour(tmp_path: Path) -> None:
    table = simulate(tmp_path, count=1, seed=0, size=128, workers=1, labels=[[Label.NUCLEAR_BODIES]])
    field_id = table.read_text().splitlines()[1].split(",")[0]
    planes = {name: np.asarray(Image.open(tmp_path / f"{field_id}_{name}.png")) for name in ("red", "blue", "yellow")}
    inside = planes["blue"] > 0.5 * np.quantile(planes["blue"], 0.98)
    for name in ("red", "yellow"):
        assert planes[name][inside].mean() < planes[name][~inside & (planes[name] > 0)].mean() * 1.2
    assert planes["blue"][inside].mean() > 5 * planes["blue"][~inside].mean()


def test_an_existing_set_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("precious")
    with pytest.raises(OutputError, match=re.escape(str(tmp_path / "train.csv"))):
        simulate(tmp_path, count=1, seed=0, size=64, workers=1)
    assert files(tmp_path) == {"train.csv": b"precious"}


def test_an_interrupted_run_leaves_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        message = "interrupted"
        raise RuntimeError(message)

    monkeypatch.setattr("training.simulation.dataset.simulate_cells", fail)
    with pytest.raises(RuntimeError, match="interrupted"):
        simulate(tmp_path, count=1, seed=0, size=64, workers=1)
    assert files(tmp_path) == {}


def test_label_sets_must_be_as_many_as_fields(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 label sets were given for 2 fields"):
        simulate(tmp_path, count=2, seed=0, size=64, workers=1, labels=[[Label.CYTOSOL]])
    assert files(tmp_path) == {}


def test_importing_leaves_the_threads_of_opencv_alone() -> None:
    code = "import cv2; before = cv2.getNumThreads(); import training.simulation; assert cv2.getNumThreads() == before"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


@pytest.mark.slow
def test_the_contact_sheet_shows_every_label(tmp_path: Path) -> None:
    path = contact_sheet(tmp_path / "sheet.png", seed=0, tile=64, size=128)
    with Image.open(path) as sheet:
        assert sheet.mode == "RGB"
        pixels = np.asarray(sheet)
    assert pixels.shape == (4 * (64 + 20), 7 * 64, 3)
    for row, column in itertools.product(range(4), range(7)):
        tile = pixels[row * 84 : row * 84 + 64, column * 64 : column * 64 + 64]
        caption = pixels[row * 84 + 64 : row * 84 + 84, column * 64 : column * 64 + 64]
        assert tile[..., 1].max() > 150
        assert caption.max() > 150


def test_masks_show_the_cells_of_the_planes(tmp_path: Path) -> None:
    simulate(tmp_path / "plain", count=2, seed=4, size=128, workers=1)
    simulate(tmp_path / "masked", count=2, seed=4, size=128, workers=1, masks=True)
    for file in (tmp_path / "plain").iterdir():
        assert file.read_bytes() == (tmp_path / "masked" / file.name).read_bytes()
    masks = sorted((tmp_path / "masked" / "masks").iterdir())
    assert [mask.name for mask in masks] == sorted(
        f"{sample.id}_cells.png" for sample in find_samples(tmp_path / "plain")
    )
    for mask in masks:
        cells = np.asarray(Image.open(mask))
        planes = read_planes(next(find_samples(tmp_path / "plain" / mask.name.removesuffix("_cells.png"))))
        assert cells.shape == (128, 128)
        assert planes[[0, 3]].mean(axis=0)[cells > 0].mean() > 3 * planes[[0, 3]].mean(axis=0)[cells == 0].mean()
