"""Published pictures become planes, pictures of something else are refused, and label names are read as they are."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_sdk.errors import PlaneError, TableError
from hpa_sdk.fields.samples import Channel
from hpa_sdk.labels import Label
from tests.pseudocoloured import COLOURS, jpeg, make_plane, pseudocolour
from training.data.hpa_format import DamagedPictureError, plane_of_jpeg, read_hpa_labels


@pytest.mark.parametrize("channel", Channel)
def test_a_picture_in_its_channel_s_colour_becomes_its_plane(channel: Channel) -> None:
    plane = make_plane()
    found = plane_of_jpeg(jpeg(pseudocolour(plane, COLOURS[channel])), channel)
    assert found.dtype == np.uint8
    assert found.shape == plane.shape
    assert np.abs(found.astype(int) - plane).mean() < 3


def test_yellow_is_the_mean_of_red_and_green() -> None:
    plane = make_plane()
    picture = pseudocolour(plane, [0])
    picture[..., 1] = plane * 0.8
    found = plane_of_jpeg(jpeg(picture), Channel.YELLOW)
    assert np.abs(found - plane * 0.9).mean() < 3


def test_a_grey_picture_is_its_plane() -> None:
    content = jpeg(make_plane())
    assert (plane_of_jpeg(content, Channel.BLUE) == np.asarray(Image.open(BytesIO(content)))).all()


def test_a_picture_is_turned_upright_as_its_exif_data_say() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to the right
    content = BytesIO()
    Image.fromarray(make_plane()).save(content, format="JPEG", exif=exif)
    stored = np.asarray(Image.open(content))
    assert (plane_of_jpeg(content.getvalue(), Channel.BLUE) == np.rot90(stored, -1)).all()


@pytest.mark.parametrize("channel", Channel)
def test_a_black_picture_is_a_plane(channel: Channel) -> None:
    assert not plane_of_jpeg(jpeg(np.zeros((256, 256, 3), np.uint8)), channel).any()


def test_a_plane_is_reduced_by_averaging_areas() -> None:
    content = jpeg(pseudocolour(make_plane(), [1]))
    whole = plane_of_jpeg(content, Channel.GREEN).astype(float)
    means = whole.reshape(80, 4, 80, 4).mean(axis=(1, 3))
    reduced = plane_of_jpeg(content, Channel.GREEN, size=80)
    assert reduced.dtype == np.uint8
    assert np.abs(reduced - means).max() <= 0.5


@pytest.mark.parametrize(
    ("colours", "channel"),
    [
        ([0, 1, 2], Channel.RED),
        ([0, 1], Channel.RED),
        ([0, 1], Channel.GREEN),
        ([2], Channel.GREEN),
        ([0], Channel.BLUE),
        ([0], Channel.YELLOW),
        ([1], Channel.YELLOW),
        ([0, 1, 2], Channel.YELLOW),
    ],
)
def test_a_picture_with_signal_in_other_colours_is_refused(colours: list[int], channel: Channel) -> None:
    with pytest.raises(PlaneError, match=f"the pseudocolour is not {channel} alone"):
        plane_of_jpeg(jpeg(pseudocolour(make_plane(), colours)), channel)


def test_a_faint_second_channel_is_refused() -> None:
    picture = pseudocolour(make_plane(), [0])
    picture[..., 2] = make_plane(1) * 0.1
    with pytest.raises(PlaneError, match="the pseudocolour is not red alone"):
        plane_of_jpeg(jpeg(picture, quality=60), Channel.RED)


@pytest.mark.parametrize(
    ("content", "size", "message"),
    [
        (b"<!doctype html><title>Not found</title>", 0, "no JPEG"),
        (b"", 0, "no JPEG"),
        (jpeg(make_plane(side=200)), 0, "200x200 pixels, which is no field"),
        (jpeg(np.zeros((300, 400), np.uint8)), 0, "400x300 pixels, which is no field"),
        (jpeg(make_plane()), 512, "320x320 pixels, fewer than the 512x512"),
        (jpeg(make_plane(), mode="CMYK"), 0, "the colours CMYK"),
    ],
)
def test_what_is_no_published_field_is_refused(content: bytes, size: int, message: str) -> None:
    with pytest.raises(PlaneError, match=message) as caught:
        plane_of_jpeg(content, Channel.RED, size=size)
    assert not isinstance(caught.value, DamagedPictureError)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_picture_is_damaged(share: float) -> None:
    content = jpeg(pseudocolour(make_plane(), [0]))
    with pytest.raises(DamagedPictureError):
        plane_of_jpeg(content[: int(len(content) * share)], Channel.RED)


def test_real_pseudocoloured_planes_pass_composites_do_not(real_data: Path) -> None:
    planes = sorted((real_data / "real_planes").glob("*.png"))[::6]
    assert len(planes) == 20
    for file in planes:
        channel = Channel(file.stem.rpartition("_")[2])
        plane_of_jpeg(jpeg(pseudocolour(np.asarray(Image.open(file)), COLOURS[channel]), quality=50), channel)
    for red in sorted((real_data / "real_cells").glob("*_red.png"))[::28]:
        three = [np.asarray(Image.open(str(red).replace("_red", f"_{name}"))) for name in ("red", "green", "blue")]
        for channel in Channel:
            with pytest.raises(PlaneError, match="pseudocolour"):
                plane_of_jpeg(jpeg(np.dstack(three)), channel)


def write_table(folder: Path, *rows: str) -> Path:
    table = folder / "hpa.csv"
    table.write_text("\n".join(["Id,Target", *rows, ""]), encoding="utf-8")
    return table


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("0 25", (Label.NUCLEOPLASM, Label.CYTOSOL)),
        ("Nucleoplasm;Cytosol", (Label.NUCLEOPLASM, Label.CYTOSOL)),
        ('"Cytosol, Nucleoplasm"', (Label.NUCLEOPLASM, Label.CYTOSOL)),
        ("Cytosol | nucleoplasm |", (Label.NUCLEOPLASM, Label.CYTOSOL)),
        ("Rods & rings", (Label.RODS_AND_RINGS,)),
        ("Focal adhesions;Centrosome", (Label.FOCAL_ADHESION_SITES, Label.CENTROSOME)),
    ],
)
def test_labels_are_indices_or_names(tmp_path: Path, target: str, expected: tuple[Label, ...]) -> None:
    found = read_hpa_labels(write_table(tmp_path, f"1_a,{target}"))
    assert found.labels == {"1_a": expected}
    assert not found.left_out


def test_a_field_with_a_label_outside_the_28_is_left_out_whole(tmp_path: Path) -> None:
    found = read_hpa_labels(write_table(tmp_path, "1_a,Nucleoplasm;Vesicles", "2_b,Cytosol", "3_c,Vesicles;Midbody"))
    assert found.labels == {"2_b": (Label.CYTOSOL,)}
    assert dict(found.left_out) == {"1_a": ("Vesicles",), "3_c": ("Vesicles", "Midbody")}
    assert found.left_out_names() == {"Vesicles": 2, "Midbody": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("1_a,0", "1_A,0"), "line 3 repeats the id 1_A"),
        (("1_a,28",), "line 2 has the label '28'"),
        ((f"1_a,{'9' * 5000}",), "line 2 has the label '999"),
        (("1_a,",), "line 2 has an empty 'Target'"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_hpa_labels(write_table(tmp_path, *rows))
