"""``hpa cells`` writes a row per cell and a summary per field, and resumes without a second answer for a field."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hpa_sdk import Prediction, Predictor
from hpa_sdk.batch.cell_run import open_cell_run
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.cells import CellAnswers, ClassicalSegmenter, MaskFolder
from hpa_sdk.cells.network import NetworkSegmenter
from hpa_sdk.cli import main
from hpa_sdk.inference.session import Session
from hpa_sdk.quality.limits import Limits
from hpa_sdk.quality.reference import Reference
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.hpa_sdk.cells.test_network_segmenter import MAPS_CARD, make_network
from tests.hpa_sdk.cells.test_predict_cells import cell_model
from tests.small import write_planes


def hpa(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three fields: four cells, two cells, and none."""
    for name, centres in (("A01", FOUR), ("A02", FOUR[:2]), ("A03", ())):
        write_planes(tmp_path / "fields", name, draw(centres, seed=len(centres)))
    return tmp_path / "fields"


def test_cells_and_shares_are_written(model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.csv"
    result = hpa("cells", model, folder, "-o", out, "--device", "cpu")
    assert result.exit_code == 1  # a field has no cells
    assert "6 cells of 3 fields" in result.stderr
    found = rows(out)
    assert [(row["id"], row["cell"]) for row in found] == [
        *(("A01", str(number)) for number in range(1, 5)),
        *(("A02", "1"), ("A02", "2"), ("A03", "")),
    ]
    assert "no nucleus was found" in found[-1]["error"]
    with Predictor.load(model, device="cpu") as predictor:
        expected = [one for field in predictor.cells(folder) if isinstance(field, CellAnswers) for one in field.answers]
    assert [row["labels"] for row in found[:-1]] == [";".join(map(str, one)) for one in expected]  # type: ignore[arg-type]
    fields = rows(tmp_path / "cells.fields.csv")
    assert {row["id"]: row["cells"] for row in fields} == {"A01": "4", "A02": "2", "A03": "0"}
    assert "no nucleus was found" in fields[-1]["error"]
    provenance = json.loads((tmp_path / "cells.csv.provenance.json").read_text(encoding="utf-8"))
    assert provenance["counts"]["cells"] == 6
    assert "ClassicalSegmenter" in provenance["settings"]["cells found by"]


def test_outputs_of_one_folder_have_their_own_summaries(model: Path, folder: Path, tmp_path: Path) -> None:
    summaries = {"cells.csv": "cells.fields.csv"}
    summaries |= {f"cells.{form}": f"cells.{form}.fields.csv" for form in ("jsonl", "parquet")}
    for name, more in (
        ("cells.csv", ["--threshold", "1"]),
        ("cells.jsonl", ["--threshold", "0"]),
        ("cells.parquet", ["--threshold", "1"]),
    ):
        result = hpa("cells", model, folder, "-o", tmp_path / name, "--device", "cpu", *more)
        assert str(tmp_path / summaries[name]) in result.stderr
    shown = {name: {row["label"] for row in rows(tmp_path / summaries[name]) if row["shown"]} for name in summaries}
    assert len(shown["cells.jsonl"]) == 28
    assert shown["cells.csv"] == shown["cells.parquet"] == set()
    before = (tmp_path / "cells.fields.csv").read_bytes()
    refused = hpa("cells", model, folder, "-o", tmp_path / "cells.fields.csv", "--device", "cpu")
    assert (refused.exit_code, "Give the file of cells another name" in refused.stderr) == (2, True)
    assert (tmp_path / "cells.fields.csv").read_bytes() == before


@pytest.mark.parametrize("names", [("cells", "cells.csv"), ("cells.csv", "cells")])
def test_no_summary_replaces_that_of_another_output(
    model: Path, folder: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    first, second = (("cells", model, folder, "-o", tmp_path / name, "--format", "csv") for name in names)
    assert hpa(*first, "--device", "cpu", "--threshold", "1").exit_code == 1
    before = (tmp_path / "cells.fields.csv").read_bytes()
    refused = hpa(*second, "--device", "cpu", "--threshold", "0")
    assert (refused.exit_code, f"would replace that of {names[0]}" in refused.stderr) == (2, True)
    assert (tmp_path / "cells.fields.csv").read_bytes() == before
    assert not (tmp_path / names[1]).exists()
    assert hpa(*first, "--device", "cpu", "--threshold", "1").exit_code == 1


def test_a_model_for_cells_refuses_a_reference_of_fields(folder: Path, tmp_path: Path) -> None:
    limits = Limits(data="", fields=30, low={"brightness blue": 0.99}, high={})
    reference = tmp_path / "reference.json"
    reference.write_bytes(msgspec.json.encode(Reference(data="bright", fields=30, limits=limits)))
    for_cells = cell_model(tmp_path / "cell.onnx", margin=10, masked=True)
    run = ("cells", for_cells, folder, "-o", tmp_path / "cells.csv", "--device", "cpu")
    refused = hpa(*run, "--reference", reference)
    assert (refused.exit_code, "Leave reference= (--reference) out" in refused.stderr) == (2, True)
    assert not (tmp_path / "cells.csv").exists()
    assert hpa(*run).exit_code == 1  # a field has no cells


def test_fields_of_cells_are_compared_with_a_reference(model: Path, folder: Path, tmp_path: Path) -> None:
    limits = Limits(data="", fields=30, low={"brightness blue": 0.99}, high={})
    reference = tmp_path / "reference.json"
    reference.write_bytes(msgspec.json.encode(Reference(data="bright", fields=30, limits=limits)))
    out = tmp_path / "cells.csv"
    run = ("cells", model, folder, "-o", out, "--device", "cpu", "--resume")
    hpa(*run)
    assert not any("blue plane is dark" in row["warnings"] for row in rows(out))
    # What is stored was compared with other limits.
    assert "2 fields had changed" in hpa(*run, "--reference", reference).stderr
    assert all("blue plane is dark" in row["warnings"] for row in rows(out) if row["cell"])
    assert "2 fields stood in the ledger" in hpa(*run, "--reference", reference).stderr
    refused = hpa(*run, "--reference", tmp_path / "none.json")
    assert refused.exit_code == 2
    assert "the reference can't be read" in refused.stderr


def test_a_resumed_run_answers_only_what_is_new(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cells.csv"
    run = ("cells", model, folder, "-o", out, "--device", "cpu", "--resume")
    hpa(*run)
    first = out.read_bytes()
    ran: list[int] = []
    original = Session.run

    def count(session: Session, fields: list[np.ndarray]) -> object:
        ran.append(len(fields))
        return original(session, fields)

    monkeypatch.setattr(Session, "run", count)
    assert "2 fields stood in the ledger" in hpa(*run).stderr
    assert out.read_bytes() == first
    assert not ran
    write_planes(folder, "A02", draw(FOUR[:3]))
    assert "1 field had changed and was done again" in hpa(*run).stderr
    assert sum(ran) == 3


def test_recalled_cells_keep_their_nuclei(model: Path, folder: Path, tmp_path: Path) -> None:
    written = []
    for at in range(2):
        exports = tmp_path / f"exports-{at}"
        command = ("cells", model, folder, "-o", tmp_path / "cells.csv", "--device", "cpu", "--resume")
        done = hpa(*command, "--geojson", exports)
        assert ("2 fields stood in the ledger" in done.stderr) == bool(at)
        written.append({path.name: path.read_bytes() for path in exports.glob("*.geojson")})
    assert written[0] == written[1]
    assert [content.count(b'"nucleusGeometry"') for _, content in sorted(written[0].items())] == [4, 2]


def test_recalled_cells_without_quality_are_named(model: Path, folder: Path, tmp_path: Path) -> None:
    run = ("cells", model, folder, "-o", tmp_path / "cells.csv", "--device", "cpu", "--resume")
    hpa(*run, "--no-quality")
    assert "2 fields of the ledger have no quality" in hpa(*run).stderr


def test_recalled_cells_keep_their_disagreement(model: Path, folder: Path, tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        with (
            Predictor.load(model, device="cpu", views=4) as predictor,
            open_cell_run(
                tmp_path / "cells.csv", "csv", predictor=predictor, segmenter=ClassicalSegmenter(), resume="time"
            ) as run,
        ):
            found.append(list(run.answers(find_all([str(folder)], recursive=False, root=None))))
        assert run.cache.hits == (2 if len(found) == 2 else 0)
    for first, again in zip(*found, strict=True):
        assert isinstance(first, CellAnswers)
        assert isinstance(again, CellAnswers)
        for one, other in zip(first.answers, again.answers, strict=True):
            assert isinstance(one, Prediction)
            assert isinstance(other, Prediction)
            assert one.disagreement is not None
            np.testing.assert_array_equal(one.deviations, other.deviations)


def test_another_card_of_a_network_makes_new_answers(model: Path, folder: Path, tmp_path: Path) -> None:
    network, counts = make_network(tmp_path / "maps.onnx"), []
    for thresholds in ((0.5, 0.5, 0.5), (1.0, 0.5, 0.5)):
        segmenter = NetworkSegmenter.load(network, device="cpu", card=replace(MAPS_CARD, thresholds=thresholds))
        with (
            Predictor.load(model, device="cpu") as predictor,
            open_cell_run(
                tmp_path / "cells.csv", "csv", predictor=predictor, segmenter=segmenter, resume="time"
            ) as run,
        ):
            list(run.answers(find_all([str(folder)], recursive=False, root=None)))
        counts.append(run.cache.hits)
    assert counts == [0, 0]


def test_a_mask_that_is_gone_costs_no_other_field(model: Path, folder: Path, tmp_path: Path) -> None:
    out, masks = tmp_path / "cells.csv", tmp_path / "masks"
    masks.mkdir()
    labels = np.zeros((384, 384), np.uint8)
    labels[50:110, 50:110] = 5
    for name in ("A01", "A02", "A03"):
        Image.fromarray(labels).save(masks / f"{name}.png")
    original = MaskFolder.find

    def remove(folder: MaskFolder, name: str) -> Path:
        path = original(folder, name)
        if name == "A02":
            path.unlink(missing_ok=True)
        return path

    for more in ([], ["--resume"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MaskFolder, "find", remove)
            result = hpa("cells", model, folder, "-o", out, "--device", "cpu", "--masks", masks, *more)
        assert result.exit_code == 1
        assert [(row["id"], row["cell"]) for row in rows(out)] == [("A01", "5"), ("A02", ""), ("A03", "5")]
        Image.fromarray(labels).save(masks / "A02.png")
    provenance = json.loads((tmp_path / "cells.csv.provenance.json").read_text(encoding="utf-8"))
    assert provenance["settings"]["cells found by"] == f"MaskFolder({str(masks)!r})"


def test_other_masks_make_new_answers(model: Path, folder: Path, tmp_path: Path) -> None:
    out, masks = tmp_path / "cells.csv", tmp_path / "masks"
    masks.mkdir()
    for name in ("A01", "A02", "A03"):
        labels = np.zeros((384, 384), np.uint16)
        labels[50:110, 50:110] = 5
        Image.fromarray(labels).save(masks / f"{name}_cells.png")
    run = ("cells", model, folder, "-o", out, "--device", "cpu", "--resume", "--masks", masks)
    assert hpa(*run).exit_code == 0
    assert [(row["id"], row["cell"], row["segmentation"]) for row in rows(out)] == [
        (name, "5", f"{name}_cells.png") for name in ("A01", "A02", "A03")
    ]
    labels[200:250, 200:250] = 9
    Image.fromarray(labels).save(masks / "A02_cells.png")
    (masks / "A03_cells.png").unlink()
    result = hpa(*run)
    assert result.exit_code == 1
    assert "1 field stood in the ledger; 1 field had changed" in result.stderr
    assert [(row["id"], row["cell"]) for row in rows(out)] == [("A01", "5"), ("A02", "5"), ("A02", "9"), ("A03", "")]
    assert "the field has no mask" in rows(out)[-1]["error"]


def test_a_network_finds_the_cells(model: Path, folder: Path, tmp_path: Path) -> None:
    network = make_network(tmp_path / "maps.onnx")
    out = tmp_path / "cells.csv"
    hpa("cells", model, folder / "A01_red.png", "-o", out, "--device", "cpu", "--segmenter", network)
    assert [row["segmentation"] for row in rows(out)] == ["maps"] * 4


def test_without_an_answer_there_is_no_h5ad_file(model: Path, folder: Path, tmp_path: Path) -> None:
    given = (model, folder / "A03_red.png", "-o", tmp_path / "cells.parquet", "--h5ad", tmp_path / "cells.h5ad")
    assert "cells.h5ad was not written: no cell was answered" in hpa("cells", *given, "--device", "cpu").stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "-"), "hpa cells writes several files"),
        (("-o", "cells.xyz"), "does not give the output format"),
        (("-o", "cells.csv", "--masks", "gone", "--segmenter", "starter"), "both say where the cells are"),
        (("-o", "cells.csv", "--masks", "gone"), "there is no such folder of masks"),
        (("-o", "cells.csv", "--segmenter", "starter"), "answers for fields, and finds no cells"),
    ],
)
def test_what_cannot_be_done_is_refused(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = hpa("cells", model, folder, "--device", "cpu", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.glob("cells*"))
