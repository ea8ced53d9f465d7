"""A channel is found by any name that a file has for it, the first of them before the others."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from hpa_sdk.fields.channel_stack import ChannelName
from hpa_sdk.fields.channels import pick_channels
from hpa_sdk.fields.rules import ChannelNames, FieldRules
from hpa_sdk.fields.samples import Channel
from tests.hpa_sdk.workstation.written import NAMES, ORDER, edit_description, look, refusal, stack, write_ome_tiff

NUMBERED = ["Channel1", "Channel2", "Channel3", "Channel4"]


def check(folder: Path, data: npt.NDArray[Any]) -> None:
    np.testing.assert_array_equal(look(folder).planes, data.max(1)[list(ORDER)])


@pytest.mark.parametrize(
    "channel",
    [{"Fluor": list(NAMES)}, {"Name": NUMBERED, "Fluor": list(NAMES)}, {"Name": [""] * 4, "Fluor": list(NAMES)}],
)
def test_the_fluor_of_an_ome_channel_is_a_name(tmp_path: Path, channel: dict[str, Any]) -> None:
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stack(), Channel=channel)
    check(tmp_path, stack())


def test_the_id_of_an_ome_channel_is_a_name(tmp_path: Path) -> None:
    path = write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stack(), Channel={"Name": NUMBERED})
    edit_description(path, *((f'ID="Channel:0:{at}"', f'ID="{name}"') for at, name in enumerate(NAMES)))
    check(tmp_path, stack())


def test_a_name_counts_before_a_fluor(tmp_path: Path) -> None:
    swapped = [NAMES[at] for at in (1, 0, 3, 2)]
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stack(), Channel={"Name": list(NAMES), "Fluor": swapped})
    check(tmp_path, stack())


def test_all_names_are_listed_where_none_is_wanted(tmp_path: Path) -> None:
    channel = {"Name": NUMBERED, "Fluor": ["a", "b", "c", "d"]}
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stack(), Channel=channel)
    message = refusal(tmp_path)
    assert "there are 'Channel1' or 'a' (number 0), 'Channel2' or 'b' (number 1)" in message
    assert "number" in message


@pytest.mark.parametrize("form", ["{}", "c:{number}/4 - {}", "{number}/4; {}", "{}\nexposure 10 ms"])
@pytest.mark.parametrize("z", [1, 3])
def test_labels_of_imagej_are_names(tmp_path: Path, form: str, z: int) -> None:
    data = stack(z=z)
    (tmp_path / "exports").mkdir()
    labels = [form.format(name, number=at + 1) for _ in range(z) for at, name in enumerate(NAMES)]
    tifffile.imwrite(
        tmp_path / "exports" / "x.tif", data.swapaxes(0, 1), imagej=True, metadata={"axes": "ZCYX", "Labels": labels}
    )
    check(tmp_path, data)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "form", ["Channel {} Name = {}", "Series 0 Channel {} Name = {}", "Information|Image|Channel|Name #{} = {}"]
)
def test_info_of_imagej_has_names(tmp_path: Path, form: str, first: int) -> None:
    (tmp_path / "exports").mkdir()
    info = "\n".join(["Gain = 3", *(form.format(at + first, name) for at, name in enumerate(NAMES)), "Laser = on"])
    tifffile.imwrite(tmp_path / "exports" / "x.tif", stack()[:, 0], imagej=True, metadata={"axes": "CYX", "Info": info})
    check(tmp_path, stack())


def test_labels_that_are_all_alike_are_no_names(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    tifffile.imwrite(
        tmp_path / "exports" / "x.tif", stack()[:, 0], imagej=True, metadata={"axes": "CYX", "Labels": ["cell"] * 4}
    )
    assert "there are (number 0), (number 1), (number 2), (number 3)" in refusal(tmp_path)


def test_a_further_name_that_two_channels_have_is_ambiguous() -> None:
    rules = FieldRules(channels=ChannelNames(red=("mt",), green=(1,), blue=(2,), yellow=(3,)))
    offered = [(ChannelName("a", "MT"), 0), (ChannelName("b", " mt "), 1), (ChannelName("c"), 2), (ChannelName("d"), 3)]
    with pytest.raises(Exception, match="several channels are red"):
        pick_channels(offered, rules, Path("x"))
    offered[1] = (ChannelName("b", "", "b"), 1)
    assert pick_channels(offered, rules, Path("x"))[0][Channel.RED] == 0
    assert repr(offered[0][0]) == "'a' or 'MT'"
    assert repr(ChannelName("", "only")) == "'only'"
