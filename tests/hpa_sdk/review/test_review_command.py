"""``hpa review`` reports figures, exports what training reads, and imports what others reviewed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpa_sdk.cli import main
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_field, read_planes
from hpa_sdk.labels import HPA_2018
from hpa_sdk.models.known_data import KnownData, field_hash
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result import Result as FieldResult
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.consensus import settle
from hpa_sdk.review.export import ReadPlanes, export
from hpa_sdk.review.log import ReviewLog
from hpa_sdk.review.queue import in_random_share
from hpa_sdk.review.record import Review
from hpa_sdk.review.tables import write_review_table
from hpa_sdk.workstation import read_station
from tests.hpa_sdk.review.made_reviews import OWN_SCHEME, result_of, review_of, store_of, withdrawal_of
from tests.hpa_sdk.workstation.written import MICROMETRES, stack, station, write_ome_tiff
from tests.small import CARD, make_field, make_model
from training.data.dataset import read_dataset

RNG = np.random.default_rng(3)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["review", *map(str, arguments)])


def store_reviews(folder: Path, *reviews: Review) -> None:
    with ResultStore(folder) as store:
        for review in reviews:
            ReviewLog(store.ledger).add(review)


@pytest.fixture
def answered(tmp_path: Path, model: Path) -> dict[str, FieldResult]:
    """Results of eight fields in a store, with the files that they were answered from."""
    for at in range(8):
        make_field(tmp_path / "fields", f"f{at}", RNG)
    with Predictor.load(model, device="cpu") as predictor:
        results = [
            FieldResult.of(prediction, model_sha256=predictor.model.sha256, device="cpu")
            for prediction in predictor.predict(tmp_path / "fields")
        ]
    store_of(tmp_path / "store", *results).close()
    return {result.id: result for result in results}


def test_training_reads_what_is_exported(tmp_path: Path, answered: dict[str, FieldResult]) -> None:
    fields = list(answered.values())
    reviews = [
        review_of(fields[0], "labels", (3, 7)),
        review_of(fields[1], "labels", (0,)),
        *(review_of(fields[1], "labels", (0,), by=name) for name in ("Bob", "Cleo")),
        review_of(fields[2], "unsure"),
        review_of(fields[3], "bad"),
        review_of(fields[4], "labels", (1,)),
        review_of(fields[4], "labels", (2,), by="Bob"),
        review_of(fields[5], "wrong"),
        review_of(fields[6], "labels", ()),
        undone := review_of(fields[7], "labels", (9,)),
        withdrawal_of(undone),
    ]
    store_reviews(tmp_path / "store", *reviews)
    done = run("export", tmp_path / "store", tmp_path / "data")
    assert done.exit_code == 0, done.output
    data = read_dataset(tmp_path / "data")
    assert [sample.id for sample in data.samples] == ["f0", "f1"]
    assert [np.flatnonzero(row).tolist() for row in data.targets] == [[3, 7], [0]]
    for sample, own in zip(data.samples, find_samples(tmp_path / "fields"), strict=False):
        np.testing.assert_array_equal(read_planes(sample), read_planes(own))
        assert [file.read_bytes() for file in sample.files] == [file.read_bytes() for file in own.files]
    for words in (
        "2 fields exported",
        "unsure: f2",
        "bad field: f3",
        "people contradict each other: f4",
        "nobody named the right labels: f5",
        "without a label, which a table of the Kaggle form can't say: f6",
    ):
        assert words in done.output
    # The data set goes back into another store, and nothing is added twice.
    store_of(tmp_path / "other").close()
    done = run("import", tmp_path / "data" / "reviews.csv", tmp_path / "other")
    assert (done.exit_code, f"{len(reviews)} reviews added, 0 known already, 0 can't" in done.output) == (0, True)
    assert (
        f"0 reviews added, {len(reviews)} known"
        in run("import", tmp_path / "data" / "reviews.csv", tmp_path / "other").output
    )
    again = run("export", tmp_path / "other", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again/train.csv").read_bytes() == (tmp_path / "data/train.csv").read_bytes()


def test_status_marks_a_model_that_knows_the_fields(tmp_path: Path) -> None:
    known = "the model was adapted to this field, so the answer does not show how good the model is"
    results = [result_of(f"f{at}", (at % 3,), notes=(known,) * (at < 4)) for at in range(15)]
    store_of(tmp_path / "store", *results).close()
    store_reviews(tmp_path / "store", *map(review_of, results[:12]), *(review_of(one, "wrong") for one in results[12:]))
    text = run("status", tmp_path / "store").output
    assert "adapted to 4 of these 15 fields: its figures are too good" in text
    assert "on the 11 others: 8 right, micro F1 1.000" in text
    (model,) = json.loads(run("status", tmp_path / "store", "--json").output)["all"]["models"]
    assert (model["adapted"], model["others"]["reviewed"], model["others"]["right"]) == (4, 11, 8)
    store_of(tmp_path / "few", *results[:6]).close()
    store_reviews(tmp_path / "few", *map(review_of, results[:6]))
    assert "2 other fields, too few for figures" in run("status", tmp_path / "few").output


def test_a_table_that_was_sorted_loses_no_withdrawal(tmp_path: Path) -> None:
    reviews = [review := review_of(result_of("a")), review_of(result_of("a"), "wrong", by="Bob"), withdrawal_of(review)]
    write_review_table(reversed(reviews), tmp_path / "reviews.csv")
    store_of(tmp_path / "store").close()
    done = run("import", tmp_path / "reviews.csv", tmp_path / "store")
    assert done.exit_code == 0, done.output
    assert json.loads(run("status", tmp_path / "store", "--json").output)["verdicts"] == {"wrong": 1}


def test_planes_that_are_gone_or_changed_are_reported(tmp_path: Path, answered: dict[str, FieldResult]) -> None:
    store_reviews(tmp_path / "store", *(review_of(result, "labels", (1,)) for result in answered.values()))
    (tmp_path / "fields/f0_red.png").unlink()
    make_field(tmp_path / "fields", "f1", RNG, side=80)
    done = run("export", tmp_path / "store", tmp_path / "data")
    assert done.exit_code == 1
    assert "6 fields exported" in done.output
    assert "f0" in done.output
    assert "the files were changed since this field was answered: f1" in done.output
    assert sorted(sample.id for sample in read_dataset(tmp_path / "data").samples) == [f"f{at}" for at in range(2, 8)]
    assert list((tmp_path / "data").glob("f1*")) == []
    refused = run("export", tmp_path / "store", tmp_path / "data")
    assert (refused.exit_code, "is not empty" in refused.output) == (2, True)


def test_a_file_that_changes_during_the_export_is_left_out(tmp_path: Path, answered: dict[str, FieldResult]) -> None:
    def read(result: FieldResult) -> ReadPlanes:
        (sample,) = (one for one in find_samples(tmp_path / "fields") if one.id == result.id)
        found = read_field(sample)
        if result.id == "f1":
            make_field(tmp_path / "fields", "f1", RNG)
        return ReadPlanes(found.planes, found.files)

    fields = settle(review_of(answered[name], "labels", (1,)) for name in ("f0", "f1", "f2"))
    done = export(tmp_path / "data", fields, [], scheme=HPA_2018, read=read)
    assert done.left_out == {"planes can't be used: the file was changed while it was exported": ["f1"]}
    assert [sample.id for sample in read_dataset(tmp_path / "data").samples] == ["f0", "f2"]
    assert list((tmp_path / "data").glob("f1*")) == []


def test_a_file_with_other_values_is_not_copied(tmp_path: Path, answered: dict[str, FieldResult]) -> None:
    (sample, *_) = find_samples(tmp_path / "fields")
    found = read_field(sample)
    fields = settle([review_of(answered[sample.id], "labels", (1,))])
    read = ReadPlanes(found.planes // 2, found.files)
    export(tmp_path / "data", fields, [], scheme=HPA_2018, read=lambda _: read)
    (exported,) = read_dataset(tmp_path / "data").samples
    np.testing.assert_array_equal(read_planes(exported), found.planes // 2)


def test_ids_that_are_no_file_names_are_mapped(tmp_path: Path, answered: dict[str, FieldResult]) -> None:
    names = ["../up", "b" * 300, "=1+1", "CON", "x_red", "F0", "f0", "é\n"]
    results = [replace(result, id=name) for result, name in zip(answered.values(), names, strict=True)]
    store_reviews(tmp_path / "store", *(review_of(result, "labels", (1,)) for result in results))
    done = run("export", tmp_path / "store", tmp_path / "data")
    assert done.exit_code == 0, done.output
    data = read_dataset(tmp_path / "data")
    assert len(data.samples) == 8
    assert all(file.parent == tmp_path / "data" for sample in data.samples for file in sample.files)
    assert len({sample.id.casefold() for sample in data.samples}) == 8
    mapped = (tmp_path / "data/ids.csv").read_text(encoding="utf-8")
    assert "'=1+1" in mapped
    assert not list(tmp_path.glob("up*"))


def test_one_picture_under_two_ids_is_reported(tmp_path: Path, answered: dict[str, FieldResult]) -> None:
    other = replace(answered["f0"], id="plate/f0")
    store_reviews(tmp_path / "store", review_of(answered["f0"], "labels", (1,)), review_of(other, "labels", (2,)))
    done = run("export", tmp_path / "store", tmp_path / "data")
    assert (done.exit_code, "plate/f0: has the same planes as f0" in done.output) == (0, True)


def test_no_id_controls_the_terminal(tmp_path: Path) -> None:
    store_of(tmp_path / "store").close()
    store_reviews(tmp_path / "store", review_of(result_of("\x1b[2Ja")))
    done = run("export", tmp_path / "store", tmp_path / "data")
    assert ("\x1b" in done.output, "\\x1b[2Ja" in done.output) == (False, True)


def test_stacks_become_png(tmp_path: Path, model: Path) -> None:
    for folder in ("stacks", "exports", "store"):
        (tmp_path / folder).mkdir()
    path = write_ome_tiff(tmp_path / "stacks" / "s.ome.tif", stack())
    rules = tmp_path / "station.toml"
    rules.write_text(
        f"model = '{model}'\nwatch = 'exports'\noutput = 'store'\n[files]\npattern = 'hpa'\nwhite = 4095\n"
        '[channels]\nred = ["microtubules"]\ngreen = ["alexa 488"]\nblue = ["dapi"]\nyellow = ["er"]\n',
        encoding="utf-8",
    )
    (sample,) = find_samples(path, rules=read_station(rules))
    with Predictor.load(model, device="cpu", white=4095) as predictor:
        (prediction,) = predictor.predict(sample)
        result = FieldResult.of(prediction, model_sha256="a" * 64, device="cpu")
    store_of(tmp_path / "store", result).close()
    store_reviews(tmp_path / "store", review_of(result, "labels", (1, 2)))
    done = run("export", tmp_path / "store", tmp_path / "data", "--station", rules)
    assert done.exit_code == 0, done.output
    (exported,) = read_dataset(tmp_path / "data", white=4095).samples
    np.testing.assert_array_equal(read_planes(exported), read_planes(sample))


def test_rescaled_fields_are_exported_as_answered(tmp_path: Path) -> None:
    training = replace(CARD.training, pixel_size=0.32, field_side=64)
    model = make_model(tmp_path / "scaled.onnx", training=training)
    for folder in ("exports", "store"):
        (tmp_path / folder).mkdir()
    # Bright in the middle, of which 205 of 400 pixels are seen.
    planes = stack(height=400, width=400) // np.uint16(8)
    planes[:, :, 100:300, 100:300] *= np.arange(2, 6, dtype=np.uint16)[:, np.newaxis, np.newaxis, np.newaxis]
    write_ome_tiff(tmp_path / "exports" / "s.ome.tif", planes, **MICROMETRES)
    station(tmp_path)
    rules = tmp_path / "station.toml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("small.onnx", model.name), encoding="utf-8")
    watched = read_station(rules)
    with Predictor.load(model, device="cpu", white=4095) as predictor:
        (answered,) = predictor.predict(tmp_path / "exports", rules=watched)
        result = FieldResult.by(predictor, answered)
        store_of(tmp_path / "store", result).close()
        store_reviews(tmp_path / "store", review_of(result, "labels", (1,)))
        done = run("export", tmp_path / "store", tmp_path / "data", "--station", rules)
        assert done.exit_code == 0, done.output
        assert "are exported so, as they were answered" in done.output
        (again,) = predictor.predict(tmp_path / "data")
        np.testing.assert_array_equal(again.probabilities, answered.probabilities)
        # A model that is adapted to the exported planes knows the stack.
        (exported,) = read_dataset(tmp_path / "data").samples
        known = KnownData(field_hashes=field_hash(read_planes(exported), CARD.preprocessing.channels))
        own = make_model(tmp_path / "own.onnx", training=training, known_data=known)
        with Predictor.load(own, device="cpu", white=4095) as adapted:
            (seen,) = adapted.predict(tmp_path / "exports", rules=watched)
        assert any("was adapted to this field" in note for note in seen.notes)
        # Of another model, or of one that is gone, this scale is not known.
        other = tmp_path / "other.toml"
        make_model(tmp_path / "unscaled.onnx")
        other.write_text(rules.read_text(encoding="utf-8").replace(model.name, "unscaled.onnx"), encoding="utf-8")
        done = run("export", tmp_path / "store", tmp_path / "unknown", "--station", other)
        assert (done.exit_code, "0 fields exported" in done.output) == (1, True)
        assert "at the pixel size of training, and is now read at its own" in done.output
        model.unlink()
        done = run("export", tmp_path / "store", tmp_path / "gone", "--station", rules)
        assert (done.exit_code, "0 fields exported" in done.output) == (1, True)
        assert "scaled.onnx" in done.output


def test_fields_of_another_scheme_are_kept_apart(tmp_path: Path) -> None:
    own = result_of("a", (1,), scheme=OWN_SCHEME)
    store_of(tmp_path / "store").close()
    # One that comes in before the store has results.
    store_reviews(tmp_path / "store", review_of(result_of("b", (20,)), by="Bob"))
    store_of(tmp_path / "store", own).close()
    table = tmp_path / "data.csv"
    table.write_text(
        "Id,reviewer,time,verdict,labels,shown,model\nb,Anna,2026-01-01T00:00:00+00:00,labels,3,0,m\n", encoding="utf-8"
    )
    done = run("import", table, tmp_path / "store")
    assert (done.exit_code, "it is of the label scheme hpa-2018, and the results here are of own" in done.output) == (
        1,
        True,
    )
    store_reviews(tmp_path / "store", review_of(own))
    status = run("status", tmp_path / "store")
    assert "1 field of the label scheme hpa-2018, in no figure" in status.output
    assert "1 reviewed field without a result in this store any more" in status.output
    exported = run("export", tmp_path / "store", tmp_path / "data")
    assert "of another label scheme (hpa-2018): b" in exported.output
    assert exported.exit_code == 1  # its planes are gone


def test_status_reports_figures_agreement_and_models(tmp_path: Path) -> None:
    shown = [result_of(f"f{at}", (at % 3,)) for at in range(30)]
    store_of(tmp_path, *shown).close()
    reviews = [review_of(one, "right" if at % 2 else "labels", (5,)) for at, one in enumerate(shown)]
    reviews += [review_of(one, "labels", (5,), by="Bob \x1b[31m<b>") for one in shown[:10]]
    reviews[1:1] = [withdrawal_of(reviews[0])]
    store_reviews(tmp_path, *reviews)
    done = run("status", tmp_path)
    assert done.exit_code == 0, done.output
    for words in ("39 reviews count, 1 withdrawn", "Anna and Bob [31m<b>: the same labels on 4 of 9 fields", "kappa"):
        assert words in done.output
    assert "\x1b" not in done.output
    summary = json.loads(run("status", tmp_path, "--json").output)
    assert summary["people"] == {"Anna": 29, "Bob [31m<b>": 10}
    (model,) = summary["all"]["models"]
    # f1, f3, ... f9 are disputed between Anna and Bob; f0 is Bob's alone.
    assert (model["reviewed"], model["right"]) == (25, 10)
    assert summary["random"]["fields"] == sum(in_random_share(one.id) for one in shown)
    assert summary["random_share"] == sum(in_random_share(one.id) for one in shown)


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    done = run("status", tmp_path)
    assert (done.exit_code, "there is no store of results" in done.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_id_costs_no_other_review(
    tmp_path: Path, answered: dict[str, FieldResult], caplog: pytest.LogCaptureFixture
) -> None:
    store, copy = tmp_path / "store", tmp_path / "copy"
    reviews = [review_of(result, "labels", (1,)) for result in list(answered.values())[:3]]
    store_reviews(store, *reviews)
    with ResultStore(store) as opened:
        opened.ledger.rows("UPDATE reviews SET id = CAST(? AS TEXT) WHERE number = 2", b"review\xff")
        opened.ledger.rows("UPDATE results SET id = CAST(? AS TEXT) WHERE id = 'f7'", b"f\xff")
    named = f"the review review\\xff of the field {reviews[1].field} is damaged"
    status = run("status", store)
    assert (status.exit_code, status.output.splitlines()[:2]) == (
        0,
        ["2 reviews count, 0 withdrawn", "1 review damaged in the ledger, in no figure below"],
    )
    exported = run("export", store, tmp_path / "out")
    assert (exported.exit_code, "2 fields exported" in exported.stderr) == (0, True)
    table = tmp_path / "out" / "reviews.csv"
    store_of(copy, *answered.values()).close()
    assert "2 reviews added" in run("import", table, copy).stderr
    # The damaged review comes back from a file that still has it.
    write_review_table(reviews, table)
    assert "1 review added, 2 known already, 0 can't be used" in run("import", table, store).stderr
    with ResultStore(store) as opened:
        page = ReviewLog(opened.ledger).page(0)
    assert ([entry.number for entry in page.entries], [one.number for one in page.damaged]) == ([1, 3, 4], [2])
    assert caplog.text.count(f"{named} and does not count") == 3  # status, export, and the page here
