"""White by percentile is that of the microscope's picture, not of the black frame around it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk.fields.field_source import FieldSource
from hpa_sdk.fields.white_level import stretch
from hpa_sdk.predictor import Predictor
from hpa_sdk.workstation.station_setup import load_predictor
from tests.hpa_sdk.workstation.written import MICROMETRES, ORDER, fields_of, stack, station, write_ome_tiff

FRAMED = "[trained]\npixel_size = 0.1\nside = 200"


def test_a_framed_field_has_the_white_of_its_picture(tmp_path: Path) -> None:
    data = stack()
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", data, **MICROMETRES)
    (sample,) = fields_of(station(tmp_path, FRAMED, files="white = 'percentile'"))
    assert isinstance(sample.source, FieldSource)
    reading = sample.source.look()
    picture = data[list(ORDER), 0]
    levels = np.percentile(picture, 99.9, axis=(1, 2))
    assert reading.white == pytest.approx(levels)
    expected = np.minimum(picture / levels[:, None, None], 1)
    np.testing.assert_allclose(reading.planes[:, 80:120, 76:124] / 65535, expected, atol=1e-5)
    assert reading.planes.sum() == reading.planes[:, 80:120, 76:124].sum(dtype=np.uint64)


@pytest.mark.parametrize("text", ["", FRAMED])
def test_an_answer_is_that_of_the_numbers_it_stands_for(tmp_path: Path, model: Path, text: str) -> None:
    data = stack()
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", data, **MICROMETRES)
    rules = station(tmp_path, text, files="white = 'percentile'")
    (found,) = load_predictor(_with(rules, model)).predict(next(fields_of(rules)))
    levels = np.percentile(data[list(ORDER), 0], 99.9, axis=(1, 2)).tolist()
    plain = station(tmp_path, text, files=f"white = {levels}")
    (expected,) = Predictor.load(model, device="cpu", white=levels).predict(next(fields_of(plain)))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)


def _with(rules: Any, model: Path) -> Any:
    return type(rules)(model=model, watch=rules.watch, output=rules.output, files=rules.files, device="cpu")


@pytest.mark.parametrize("white", [None, 4095.0, (1.0, 2.0, 3.0, 4.0), "dtype"])
def test_another_white_level_is_the_predictor_s(white: Any) -> None:
    planes = stack()[:, 0]
    assert stretch(planes, white) == (planes, None)


def test_8_bits_are_left_alone_and_a_black_plane_stays_black() -> None:
    planes = stack(dtype=np.uint8)[:, 0]
    assert stretch(planes, "percentile")[0] is planes
    dark = stack()[:, 0]
    dark[1] = 0
    stretched, levels = stretch(dark, "percentile")
    assert not stretched[1].any()
    assert levels is not None
    assert levels[1] == 1
    assert stretched[0].max() == 65535
