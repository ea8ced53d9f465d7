"""A report shows the content of the results, refuses misleading input, and stays within the requested size."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hpa_sdk import HpaError, Sample
from hpa_sdk.cli import main
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.known_data import KnownData, field_hash
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.report.pictures import SIDES, choose_side, draw
from tests.hpa_sdk.report.conftest import write_results
from tests.hpa_sdk.report.earlier import as_earlier_version
from tests.hpa_sdk.report.found import found_of
from tests.small import CARD, make_field, make_model


def content_of(page: Path) -> Any:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    return json.loads(found[1])


def hpa(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["report", *map(str, arguments)], catch_exceptions=False)


def test_predict_and_report_are_two_commands(small_model: Path, fields: list[Sample], tmp_path: Path) -> None:
    folder, results, page = fields[0].files[0].parent, tmp_path / "Zellen ö.csv", tmp_path / "report.html"
    asked = ["predict", str(small_model), str(folder), "-o", str(results), "--device", "cpu", "--threshold", "0.4"]
    assert CliRunner().invoke(main, asked).exit_code == 0
    result = hpa(results, "-o", page)
    assert (result.exit_code, result.stdout) == (0, "")
    content = content_of(page)
    assert [field["id"] for field in content["fields"]] == [sample.id for sample in fields]
    assert all(field["size"] == field["full"] == [64, 64] for field in content["fields"])
    assert content["thresholds"] == [[0.4] * 28]
    assert content["card"]["name"] == "small"
    assert content["provenance"]["results"].startswith(str(results))
    assert page.read_text(encoding="utf-8").count('type="text/plain"') == 2 * len(fields)


def test_a_provenance_of_other_results_is_not_used(
    model: Path, fields: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results, page = tmp_path / "results.csv", tmp_path / "report.html"
    asked = ["predict", str(model), str(fields[0].files[0].parent), "-o", str(results), "--device", "cpu"]
    assert CliRunner().invoke(main, asked).exit_code == 0
    as_earlier_version(results)  # only the provenance says where the fields are
    results.write_text(results.read_text(encoding="utf-8").replace("field-0", "renamed"), encoding="utf-8")
    assert hpa(results, "-o", page).exit_code == 0
    assert "the results were changed after it was written" in caplog.text
    assert content_of(page)["card"] is None
    assert not any("size" in field for field in content_of(page)["fields"])


def test_failures_and_lost_planes_are_in_it(results: Path, fields: list[Sample], tmp_path: Path) -> None:
    fields[3].files[2].unlink()
    page = tmp_path / "report.html"
    result = hpa(results, "--planes", fields[0].files[0].parent, "-o", page)
    assert result.exit_code == 1
    assert "5 fields, 1 failed" in result.stderr
    content = content_of(page)
    assert "the plane is damaged" in content["fields"][1]["error"]
    assert "the blue plane is missing" in content["fields"][3]["picture_error"]
    assert "size" not in content["fields"][3]
    assert "size" in content["fields"][4]


def test_known_fields_are_counted_beside_the_figures(fields: list[Sample], tmp_path: Path) -> None:
    known = b"".join(field_hash(read_planes(field), CARD.preprocessing.channels) for field in fields[:3])
    model = make_model(tmp_path / "own.onnx", known_data=KnownData(field_hashes=known))
    results, truth, page = (tmp_path / name for name in ("results.csv", "truth.csv", "report.html"))
    write_results(results, model, fields)
    truth.write_text("Id,Target\n" + "".join(f"{field.id},0\n" for field in fields[1:]), encoding="utf-8")
    make_report(Sources(results=results, truth=truth), page=page)
    assert content_of(page)["judged"]["adapted"] == 2


def test_truth_is_judged_and_the_worst_mistake_leads(report: Path) -> None:
    content = content_of(report)
    wrong = [field["wrong"] for field in content["fields"] if "wrong" in field]
    assert content["judged"]["adapted"] == 0
    assert content["judged"]["fields"] == len(wrong) == len(content["fields"]) - 1
    assert max(wrong) > min(wrong)
    assert content["classes"][25]["support"] == len(wrong)


def test_thresholds_that_did_not_make_the_labels_are_refused(
    model: Path, fields: list[Sample], results: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    with pytest.raises(HpaError, match="not those that these thresholds give"):
        make_report(Sources(results=results, threshold=0.01), page=page)
    assert not page.exists()
    write_results(tmp_path / "results.csv", model, fields)
    rows = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()
    named = [f"{row},{'model_sha256' if at == 0 else 'f' * 64}" for at, row in enumerate(rows)]
    (tmp_path / "results.csv").write_text("\n".join(named), encoding="utf-8")
    with pytest.raises(HpaError, match="made by another model"):
        make_report(Sources(results=tmp_path / "results.csv", model=model), page=page)
    (tmp_path / "train.csv").write_text("Id,Target\nother,0\n", encoding="utf-8")
    with pytest.raises(HpaError, match="none of the fields"):
        make_report(Sources(results=results, truth=tmp_path / "train.csv"), page=page)


@pytest.mark.slow
def test_pictures_become_smaller_until_all_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    samples = [make_field(tmp_path / "planes", f"field-{number}", rng, side=300) for number in range(2)]
    found = list(map(found_of, samples))
    assert choose_side(found, budget=1e9) == 300
    assert choose_side(found, budget=1) == SIDES[-1]
    at_256 = sum(draw(read_planes(sample), side=256).text_bytes for sample in samples)
    assert choose_side(found, budget=at_256 + 1) == 256
    write_results(tmp_path / "results.csv", make_model(tmp_path / "small.onnx"), samples)
    page = tmp_path / "report.html"
    sources = Sources(results=tmp_path / "results.csv", planes=[tmp_path / "planes"])
    make_report(sources, page=page, size=(at_256 + 5000) / 1e6)
    assert content_of(page)["fields"][0]["size"] == [256, 256]


def test_a_picture_holds_the_planes_in_their_places() -> None:
    planes = np.zeros((4, 40, 60), np.uint16)
    for channel in range(4):
        planes[channel, 10 * channel : 10 * channel + 10, :30] = 1000 * (channel + 1)
    picture = draw(planes, side=100)
    assert (picture.width, picture.height, picture.full_width, picture.full_height) == (60, 40, 60, 40)
    with Image.open(io.BytesIO(picture.planes)) as tiles:
        grey = np.asarray(tiles.convert("L"), int)
    expected = [planes[channel] > 0 for channel in range(4)]
    shown = [grey[:40, :60], grey[:40, 60:], grey[40:, :60], grey[40:, 60:]]
    for plane, bright in zip(shown, expected, strict=True):
        assert plane[bright].mean() > 240
        assert plane[~bright].mean() < 8
    with Image.open(io.BytesIO(picture.thumbnail)) as small:
        colours = np.asarray(small.convert("RGB"), int)
    for channel, leading in ((0, 0), (1, 1), (2, 2)):
        inside = colours[10 * channel + 3 : 10 * channel + 7, 5:25].mean((0, 1))
        assert inside.argmax() == leading
        assert inside.max() > 150


def test_the_contact_sheet_is_a_picture(report: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = report.parent
    sheet = tmp_path / "sheet.png"
    result = hpa(folder / "results.csv", "--planes", folder / "planes", "--contact-sheet", sheet)
    assert result.exit_code == 1
    assert "1 fields are shown without a picture; the first, field-02" in caplog.text
    with Image.open(sheet) as picture:
        assert picture.width > 2000
        assert np.asarray(picture.convert("RGB")).std() > 10


def test_a_report_of_nothing_and_into_nothing_is_refused(results: Path, tmp_path: Path) -> None:
    assert hpa(results).exit_code == 2
    result = hpa(tmp_path / "gone.csv", "-o", tmp_path / "report.html")
    assert result.exit_code == 2
    assert "can't be read" in result.stderr
