"""Fields and models that an adaptation can't use are refused, each with the reason."""

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from hpa_sdk import Predictor
from hpa_sdk.adapt.adapt import adapt
from hpa_sdk.adapt.errors import AdaptationError
from hpa_sdk.cli import main
from hpa_sdk.cli.adapt import adapt as command
from hpa_sdk.errors import HpaError, OutputError, PlaneError, SettingError, TableError
from hpa_sdk.fields.exported_files import stated_scheme
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.rules import FieldRules, Files
from hpa_sdk.labels import HPA_2018
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.known_data import KnownData
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.models.network_form import CellCrop
from hpa_sdk.models.variant import Variant
from hpa_sdk.review.tables import write_review_table
from tests.hpa_sdk.adapt.reviewed_fields import write_reviewed, write_table
from tests.hpa_sdk.review.made_reviews import result_of, review_of
from tests.small import CARD, build_model, make_model, write_planes
from training.data.dataset import read_dataset


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return write_reviewed(tmp_path / "lab", count=12)


def refused(parent: Path, lab: Path, kind: type[HpaError], match: str, **options: object) -> None:
    out = lab.parent / "own.onnx"
    with pytest.raises(kind, match=match):
        adapt(parent, lab, out, device="cpu", **options)  # type: ignore[arg-type]
    assert not out.exists()


def rows(lab: Path, *more: tuple[str, str]) -> None:
    with (lab / "train.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(more)


def test_few_fields(parent: Path, lab: Path) -> None:
    for row in range(3):
        (lab / f"field-{row:03d}_red.png").unlink()
    refused(parent, lab, AdaptationError, "9 reviewed fields that can be used, and 10 are needed")


def test_equal_labels(parent: Path, lab: Path) -> None:
    write_table(lab, [[3]] * 12)
    refused(parent, lab, AdaptationError, "the same labels")


def test_classes_of_one_field_each(parent: Path, lab: Path) -> None:
    write_table(lab, [[label] for label in range(12)])
    refused(parent, lab, AdaptationError, "no class of the model is in 2 fields or more")


def test_labels_of_another_scheme(parent: Path, lab: Path) -> None:
    rows(lab, ("field-000", "28"))
    refused(parent, lab, TableError, "has the label '28'.*--new-class")


def test_a_scheme_file_names_the_classes(parent: Path, lab: Path) -> None:
    names = [*HPA_2018.names, "Own"]
    (lab / "scheme.json").write_text(json.dumps({"name": "lab-29", "names": names}), encoding="utf-8")
    refused(parent, lab, AdaptationError, "the new class Own is in 0 of 12")
    (lab / "scheme.json").write_text(json.dumps({"name": "lab-2", "names": ["A", "B"]}), encoding="utf-8")
    refused(parent, lab, AdaptationError, "labels of lab-2, and the model those of hpa-2018")


def test_fields_that_the_model_was_adapted_to(parent: Path, adapted: Path, tmp_path: Path) -> None:
    folder = write_reviewed(tmp_path / "more", seed=0)  # those of `adapted`
    for row in range(20, 60):
        planes = np.full((4, 33, 33), row, np.uint8)
        write_planes(folder, f"field-{row:03d}", planes)
    refused(adapted, folder, AdaptationError, "adapted to 20 of these 60 fields.*Adapt small .SHA-256 [0-9a-f]{64}")
    others = write_reviewed(tmp_path / "others", seed=1)
    second, third = tmp_path / "second.onnx", tmp_path / "third.onnx"
    adapt(adapted, others, second, device="cpu", force=True)
    # What the parent was adapted to, its child knows too.
    for known in (folder, others):
        refused(second, known, AdaptationError, "adapted to .0 of these 60 fields")
    adapt(parent, folder, third, device="cpu", force=True)


def test_fields_that_the_model_was_fitted_on(lab: Path, tmp_path: Path) -> None:
    training = replace(CARD.training, data_fingerprint=read_dataset(lab).fingerprint)
    fitted = make_model(tmp_path / "fitted.onnx", training=training)
    refused(fitted, lab, AdaptationError, "small was fitted on these fields")
    other = write_reviewed(tmp_path / "other" / "lab", count=12, seed=3)
    adapt(fitted, other, tmp_path / "other.onnx", device="cpu", force=True)


def test_tables_that_earlier_models_were_fitted_on(lab: Path, tmp_path: Path) -> None:
    own = read_dataset(lab).fingerprint
    for name, known, message in (
        ("tables", KnownData(tables=("other", own)), "small was fitted on these fields"),
        ("fits", KnownData(fits=("other", own)), "small was made from a model that was fitted on these fields"),
    ):
        refused(make_model(tmp_path / f"{name}.onnx", known_data=known), lab, AdaptationError, message)
    grown = adapt(make_model(tmp_path / "m.onnx", known_data=KnownData(fits=("other",))), lab, tmp_path / "own.onnx",
                  device="cpu", force=True)  # fmt: skip
    assert grown.card.known_data == KnownData(fits=("other",))


def test_fields_that_earlier_models_were_adapted_to(
    parent: Path, lab: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = adapt(parent, lab, tmp_path / "first.onnx", device="cpu", force=True).card.adaptation
    assert made is not None
    known = KnownData(field_hashes=made.field_hashes)
    fitted = make_model(tmp_path / "fitted.onnx", known_data=known)
    refused(fitted, lab, AdaptationError, "small was made from a model that was adapted to 12 of these 12 fields")
    forgotten = make_model(tmp_path / "forgotten.onnx", known_data=KnownData(left_out=7))
    adapt(forgotten, lab, tmp_path / "other.onnx", device="cpu", force=True)
    assert "small knows 7 fields or data sets by earlier models that its card does not list" in caplog.text


def test_adapted_fields_are_known_in_another_format(parent: Path, lab: Path, tmp_path: Path) -> None:
    adapt(parent, lab, tmp_path / "first.onnx", device="cpu", force=True)
    copy = tmp_path / "copy"
    for sample in find_samples(lab / "train.csv"):
        write_planes(copy, sample.id, read_planes(sample), ".tif")
    shutil.copy(lab / "train.csv", copy)
    refused(tmp_path / "first.onnx", copy, AdaptationError, "small adapted was adapted to 12 of these 12 fields")


def test_whole_fields_teach_no_model_for_cells(lab: Path, tmp_path: Path) -> None:
    of_cells = make_model(tmp_path / "cells.onnx", unit="cell", cell=CellCrop())
    refused(of_cells, lab, SettingError, "answers for single cells, and nothing says .* --single-cells", force=True)
    out = tmp_path / "out.onnx"
    command = ["adapt", str(of_cells), str(lab), "-o", str(out), "--device", "cpu", "--force", "--single-cells"]
    completed = CliRunner().invoke(main, command)
    assert completed.exit_code == 0, completed.output
    made = read_model(out)[1]
    assert (made.unit, made.warning) == ("cell", "")


def test_a_model_for_fields_adapted_to_cells_says_so(parent: Path, lab: Path, tmp_path: Path) -> None:
    made = adapt(parent, lab, tmp_path / "once.onnx", device="cpu", force=True, single_cells=True).card
    assert "use it with hpa cells, and not for whole fields" in made.warning
    plain = adapt(parent, lab, tmp_path / "plain.onnx", device="cpu", force=True).card
    assert plain.warning == ""
    warned = make_model(tmp_path / "warned.onnx", warning="Fitted on simulated fields alone.")
    adapt(warned, lab, tmp_path / "cells.onnx", device="cpu", force=True, single_cells=True)
    other = write_reviewed(tmp_path / "other", count=12, seed=1)
    twice = adapt(tmp_path / "cells.onnx", other, tmp_path / "twice.onnx", device="cpu", force=True, single_cells=True)
    assert twice.card.warning == f"Fitted on simulated fields alone. {made.warning}"


def test_fields_are_not_brought_to_scale_twice(lab: Path, tmp_path: Path) -> None:
    scaled = make_model(tmp_path / "m.onnx", training=replace(CARD.training, pixel_size=0.32, field_side=32))
    rules = FieldRules(files=Files(pattern="hpa", pixel_size=0.3))
    adapt(scaled, lab, tmp_path / "once.onnx", device="cpu", rules=rules, force=True)
    answered = result_of("field-000", notes=("resized by 0.938 to the pixel size of training",))
    write_review_table([review_of(answered).checked()], lab / "reviews.csv")
    refused(scaled, lab, AdaptationError, "exported at the pixel size of training", rules=rules, force=True)
    adapt(scaled, lab, tmp_path / "plain.onnx", device="cpu", force=True)
    write_review_table([replace(review_of(result_of("field-000")), time="yesterday")], lab / "reviews.csv")
    refused(scaled, lab, AdaptationError, "does not say whether the fields .*its time, 'yesterday'", rules=rules)


@pytest.mark.parametrize("content", ["title,stars\nA book,5\n", "Id,model\nfield-000,x\n", "", "\0\1\2"])
def test_other_files_of_that_name_are_no_reviews(
    lab: Path, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (lab / "reviews.csv").write_text(content, encoding="utf-8")
    rules = FieldRules(files=Files(pattern="hpa", pixel_size=0.3))
    scaled = make_model(tmp_path / "m.onnx", training=replace(CARD.training, pixel_size=0.32, field_side=32))
    adapt(scaled, lab, tmp_path / "own.onnx", device="cpu", rules=rules, force=True)
    assert "reviews.csv is not used: it is no record of reviews that 'hpa review export' wrote" in caplog.text
    # Nor do they say that the labels are those of 2018.
    assert stated_scheme(lab / "train.csv") is None


@pytest.mark.parametrize("other", ["again", "plate#2 again"])
def test_one_picture_under_two_ids_counts_once(parent: Path, lab: Path, other: str) -> None:
    labels = dict(csv.reader((lab / "train.csv").read_text(encoding="utf-8").splitlines()))
    for plane in lab.glob("field-003_*.png"):
        shutil.copy(plane, lab / plane.name.replace("field-003", other))
    rows(lab, (other, labels["field-003"]))
    once = write_reviewed(lab.parent / "once" / "lab", count=12)
    made = [adapt(parent, folder, folder / "own.onnx", device="cpu", force=True) for folder in (once, lab)]
    assert made[1].left_out == (f"{other} has the same planes as field-003, and counts once",)
    assert made[1].card.adaptation == made[0].card.adaptation
    (lab / "train.csv").unlink()
    write_table(lab, [[int(label) for label in labels[f"field-{row:03d}"].split()] for row in range(12)])
    rows(lab, (other, "27"))
    refused(parent, lab, TableError, f"field-003 and {other} have the same planes and different labels")


def test_contradicting_rows(parent: Path, lab: Path) -> None:
    rows(lab, ("field-000", "7 9"))
    refused(parent, lab, TableError, "lines 2 and 14 give the field field-000 different labels")


def test_a_folder_without_labels(parent: Path, lab: Path) -> None:
    (lab / "train.csv").unlink()
    refused(parent, lab, AdaptationError, "no labels of reviewed fields")


def test_a_new_class_without_fields(parent: Path, lab: Path) -> None:
    refused(parent, lab, AdaptationError, "the new class Own is in 0 of 12", new_classes=["Own"])


def test_an_output_that_exists(parent: Path, lab: Path, tmp_path: Path) -> None:
    out = tmp_path / "there.onnx"
    out.write_bytes(b"kept")
    with pytest.raises(OutputError, match="the file exists"):
        adapt(parent, lab, out, device="cpu")
    assert out.read_bytes() == b"kept"


def test_a_plane_that_changes_meanwhile(parent: Path, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Predictor.stream

    def changed(self: Predictor, *arguments: object, **options: object) -> object:
        yield from stream(self, *arguments, **options)  # type: ignore[arg-type]
        plane = lab / "field-001_red.png"
        plane.write_bytes(plane.read_bytes() + b"\0")

    monkeypatch.setattr(Predictor, "stream", changed)
    refused(parent, lab, PlaneError, "changed while the fields were read")


def test_an_int8_layer(lab: Path, tmp_path: Path) -> None:
    model = build_model()
    (last,) = [one for one in model.graph.initializer if one.name == "last"]
    numbers = numpy_helper.to_array(last)
    scale = np.float32(np.abs(numbers).max() / 127)
    last.CopyFrom(numpy_helper.from_array(np.round(numbers / scale).astype(np.int8), "last_int8"))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(scale), "scale"))
    node = onnx.helper.make_node("DequantizeLinear", ["last_int8", "scale"], ["last"])
    model.graph.node.insert(0, node)
    variant = Variant(
        parent_sha256="",
        settings={},
        data="",
        fields=1,
        max_difference=0,
        mean_difference=0,
        same_label_sets=1,
        micro_f1=None,
        macro_f1=None,
        parent_micro_f1=None,
        parent_macro_f1=None,
        kind="int8",
    )
    card = replace(CARD, precision="int8", variant=variant)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    path = tmp_path / "int8.onnx"
    onnx.save(model, path)
    refused(path, lab, AdaptationError, "Adapt the fp32 file .* python -m export quantize")
    winograd = make_model(tmp_path / "winograd.onnx", variant=replace(variant, kind="winograd"))
    refused(winograd, lab, AdaptationError, "then make the variant")


def test_a_missing_library_names_the_extra(
    parent: Path, lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("hpa_sdk.adapt")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "iterstrat.ml_stratifiers", None)
    with pytest.raises(SettingError, match=r"hpa-sdk\[adapt\]"):
        command.callback(  # type: ignore[misc]
            *(parent, lab, tmp_path / "own.onnx", (), None, None),
            force=False,
            single_cells=False,
            card=None,
            device="cpu",
            white=None,
        )
