"""A person describes a network in a TOML file; what is missing, unknown or contradictory is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from hpa_sdk import ModelCard, Predictor, Preprocessing
from hpa_sdk.cli import main
from hpa_sdk.errors import ModelCardError
from hpa_sdk.labels import HPA_2018, SUBCELL_2024
from hpa_sdk.models.card_file import card_from_table, read_card_file
from tests.small import CARD, make_field, make_model
from tests.stand_ins import (
    OWN_SCHEME,
    SINGLE_CELL,
    THREE_CHANNELS,
    WINNER,
    Interface,
    card_of,
    write_card,
    write_stand_in,
)

INTERFACES = {
    "winner": WINNER,
    "single cells": SINGLE_CELL,
    "three channels": THREE_CHANNELS,
    "logits, channels last": Interface(logits=True, layout="nhwc", batch=None, opset=17),
    "31 classes": Interface(scheme=SUBCELL_2024),
    "own classes": Interface(scheme=OWN_SCHEME),
}


def hpa(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
def test_a_card_file_says_what_a_card_says(tmp_path: Path, interface: Interface) -> None:
    read = read_card_file(write_card(tmp_path / "card.toml", interface))
    expected = card_of(interface, architecture="not stated", citation="not stated", schema_version="2.0")
    assert read == expected
    again = ModelCard.from_json(read.to_json())
    assert again == read
    assert json.loads(read.to_json())["schema_version"] == "2.0"


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
def test_a_template_shows_what_the_file_shows(tmp_path: Path, interface: Interface) -> None:
    model = write_stand_in(tmp_path / 'a "network" ö.onnx', interface)
    made = hpa("card", "init", model, "-o", tmp_path / "card.toml")
    assert made.exit_code == 0, made.stderr
    assert hpa("card", "init", model, "-o", tmp_path / "card.toml").exit_code == 2  # never over a file
    refused = hpa("card", "check", model, tmp_path / "card.toml")
    assert refused.exit_code == 2
    assert "the model card can't be used" in refused.stderr
    text = (tmp_path / "card.toml").read_text(encoding="utf-8")
    known = {
        'scheme = ""': f"scheme = '{interface.scheme.name}'\nlabels = {json.dumps(interface.scheme.names)}",
        "scale = 0": "scale = 255",
        'scores_are = ""': f"scores_are = '{'logits' if interface.logits else 'probabilities'}'",
        "size = -1": f"size = {interface.side or 0}",
        "channels = []": f"channels = {json.dumps(interface.channels)}",
    }
    for empty, value in known.items():
        text = text.replace(f"\n{empty}\n", f"\n{value}\n")
    (tmp_path / "card.toml").write_text(text, encoding="utf-8")
    checked = hpa("card", "check", model, tmp_path / "card.toml")
    assert checked.exit_code == 0, checked.stderr
    assert f"{len(interface.scheme)} classes of {interface.scheme.name}" in checked.stdout
    card = read_card_file(tmp_path / "card.toml")
    expected = card_of(interface)
    assert (card.preprocessing, card.tensors) == (expected.preprocessing, expected.tensors)
    assert card.name == 'a "network" ö'


def test_a_template_of_a_model_with_two_inputs_is_refused(tmp_path: Path) -> None:
    path = write_stand_in(tmp_path / "model.onnx", Interface())
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    onnx.save(model, path)
    done = hpa("card", "init", path, "-o", tmp_path / "card.toml")
    assert done.exit_code == 2
    assert "the model has 2 inputs (image, mask), and one image is expected" in done.stderr
    assert not (tmp_path / "card.toml").exists()


WRONG = {
    "an unknown key": ("name = 'stand-in'", "name = 'stand-in'\nfoo = 1", "unknown field `foo`"),
    "a missing key": ("layout = 'nchw'\n", "", "missing required field `layout`"),
    "an unknown scheme": ("scheme = 'hpa-2018'", "scheme = 'hpa-2019'", "the label scheme 'hpa-2019' is unknown"),
    "other labels": ("thresholds = 0.5", "thresholds = 0.5\nlabels = ['a']", "names 1 labels that are not the 28"),
    "an unknown layout": ("'nchw'", "'chwn'", "chwn"),
    "an unknown channel": ('"yellow"', '"violet"', "violet"),
    "a channel twice": ('"yellow"', '"red"', "names the channels red, green, blue, red"),
    "no scale": ("scale = 255", "scale = 0", "scale"),
    "a size that is none": ("size = 96", "size = -3", "size"),
    "a huge size": ("size = 96", "size = 100000", "size"),
    "thresholds of others": ("thresholds = 0.5", "thresholds = [0.5, 0.5]", "28 thresholds"),
    "a threshold above 1": ("thresholds = 0.5", "thresholds = 1.5", "28 thresholds"),
    "a mean of others": ("scale = 255", "scale = 255\nmean = [1, 2]", "2 numbers as mean for 4 colours"),
    "no deviation": ("scale = 255", "scale = 255\ndeviation = [1, 2, 0, 1]", "deviation that is not above 0"),
    "a number that is none": ("scale = 255", "scale = 255\nmean = [1, 2, nan, 1]", "not finite"),
    "a blend of others": ("scale = 255", "scale = 255\nblend = [[1, 2]]", "rows in its blend, of 4 numbers each"),
    "equal names": ("scores = 'classes'", "scores = 'image'", "names of tensors are empty or equal"),
    "a unit without a crop": ("unit = 'field'", "unit = 'cell'", "does not say how the crop of a cell is made"),
    "no TOML": ("name = 'stand-in'", "name : stand-in", "is not TOML"),
}


@pytest.mark.parametrize(("before", "after", "message"), WRONG.values(), ids=WRONG)
def test_a_card_file_that_can_t_be_used_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    path = write_card(tmp_path / "card.toml", Interface())
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(ModelCardError) as caught:
        read_card_file(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


OWN_LABELS = {
    "two equal": ["Golgi", "golgi"],
    "an empty one": ["Golgi", ""],
    "a semicolon": ["Golgi; ER"],
    "a line break": ["Golgi\nER"],
    "a column of tables": ["Golgi", "error"],
    "none": [],
}


@pytest.mark.parametrize("names", OWN_LABELS.values(), ids=OWN_LABELS)
def test_names_of_classes_that_can_t_be_used_are_refused(names: list[str]) -> None:
    table = {
        "name": "x",
        "scheme": "own",
        "labels": names,
        "thresholds": 0.5,
        "preprocessing": {"channels": ["green"], "size": 32, "layout": "nchw", "scale": 255},
        "tensors": {"input": "i", "scores": "s", "scores_are": "logits"},
    }
    with pytest.raises(ModelCardError):
        card_from_table(table, where="here")


def test_a_card_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match="the model card can't be read"):
        Predictor.load(make_model(tmp_path / "small.onnx"), card=tmp_path / "none.toml")


def test_grey_levels_as_they_are_have_one_range_at_every_depth(tmp_path: Path) -> None:
    card = read_card_file(write_card(tmp_path / "card.toml", Interface(side=None), scale=1))
    planes = make_planes()
    image = card.preprocessing(planes)
    assert image.max() == 255
    deep = card.preprocessing(planes.astype("uint16") * 16, white=255 * 16)
    assert abs(deep - image).max() < 1e-4


def make_planes() -> npt.NDArray[np.uint8]:
    planes = np.random.default_rng(0).integers(0, 256, (4, 40, 40), np.uint8)
    planes[0, 0, 0] = 255
    return planes


def test_cards_of_version_1_stay_the_same_bytes() -> None:
    text = CARD.to_json()
    content = json.loads(text)
    assert content["schema_version"] == "1.2"
    assert not {"scheme", "tensors", "unit", "cell", "warning"} & content.keys()
    assert [*content["preprocessing"]] == ["channels", "blend", "size", "interpolation", "scale", "place"]
    assert ModelCard.from_json(text) == CARD
    assert CARD.label_scheme == HPA_2018
    for changes in ({"preprocessing": Preprocessing(layout="nchw")}, {"warning": "Not for diagnosis."}):
        newer = replace(CARD, **changes)
        assert json.loads(newer.to_json())["schema_version"] == "2.0"
        assert ModelCard.from_json(newer.to_json()) == replace(newer, schema_version="2.0")


def test_a_station_file_names_a_card(tmp_path: Path) -> None:
    write_stand_in(tmp_path / "network.onnx", Interface(side=64))
    write_card(tmp_path / "card.toml", Interface(side=64))
    rng = np.random.default_rng(0)
    make_field(tmp_path / "in", "a", rng)
    (tmp_path / "out").mkdir()
    station = tmp_path / "station.toml"
    lines = ["model = 'network.onnx'", "card = 'card.toml'", "watch = 'in'", "output = 'out'", "[files]"]
    station.write_text("\n".join([*lines, "pattern = 'hpa'"]), encoding="utf-8")
    done = hpa("station", "check", station)
    assert done.exit_code == 0, done.output
    station.write_text("\n".join([*lines[:1], *lines[2:], "pattern = 'hpa'"]), encoding="utf-8")
    assert "FAILS: model: " in hpa("station", "check", station).stdout
