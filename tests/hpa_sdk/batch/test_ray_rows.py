"""What crosses a Ray cluster comes out as on one machine; without a cluster, by a stand-in that runs it right here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hpa_sdk import Failure, Predictor, Sample
from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.file_state import escaped
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.results.writers import open_writer
from tests.hpa_sdk.batch.ray_stand_in import Dataset, ray_stand_in
from tests.hpa_sdk.workstation.written import CHANNELS, stack, station, write_ome_tiff
from tests.small import make_field, make_model, random_planes, write_planes
from tests.stand_ins import SINGLE_CELL, THREE_CHANNELS, Interface, card_of, write_stand_in


@pytest.fixture
def integration(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The integration, with a stand-in for Ray."""
    with ray_stand_in(monkeypatch) as (fields, _):
        yield fields


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every file name is Unicode")
def test_a_name_that_is_no_unicode_costs_no_field_its_answer(integration: Any, model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    samples = [make_field(tmp_path / "fields", name, rng) for name in ("a", "b\udcff", "c\udcff ö")]
    samples[2].files[1].unlink()
    assert escaped(samples[1].id) in same_of_both(integration, model, samples, tmp_path)


def test_stacks_are_read_by_their_rules(integration: Any, model: Path, tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "exports" / "a.ome.tif", stack(z=3, dtype=np.uint8))
    samples = list(find_samples(tmp_path / "exports", rules=station(tmp_path, channels=CHANNELS)))
    samples.append(make_field(tmp_path / "fields", "plain", np.random.default_rng(3)))
    table = same_of_both(integration, model, samples, tmp_path)
    assert "maximum of 3 z planes" in table
    assert len(table.splitlines()) == 3


def test_the_problem_of_a_field_is_what_a_node_reports(integration: Any, model: Path, tmp_path: Path) -> None:
    planes = random_planes(np.random.default_rng(3))
    for extension, gone in ((".png", "blue"), (".tif", "red")):  # neither format has all four
        write_planes(tmp_path / "fields", "mixed", planes, extension)
        (tmp_path / "fields" / f"mixed_{gone}{extension}").unlink()
    (mixed,) = find_samples(tmp_path / "fields")
    assert mixed.problem is not None
    problem = PlaneError("the field is \udcff ambiguous", where=mixed.files[0], remedy="Remove one of the two.")
    samples = [mixed, replace(mixed, id="other", problem=problem)]
    table = same_of_both(integration, model, samples, tmp_path)
    for sample in samples:
        assert escaped(str(sample.problem)) in table
        row = integration.to_row(sample)
        assert str(integration.to_sample(row, tuple(Channel)).problem) == str(sample.problem)
    assert integration.to_sample(integration.to_row(replace(mixed, problem=None)), tuple(Channel)).problem is None


def test_a_dataset_of_ids_and_files_alone_is_predicted(integration: Any, model: Path, tmp_path: Path) -> None:
    sample = make_field(tmp_path / "fields", "a", np.random.default_rng(3))
    rows = pa.Table.from_pylist([{"id": sample.id, "files": list(map(str, sample.files))}])
    options = {"model": str(model), "device": "cpu", "threads": 1, "sha256": file_sha256(model)}
    (answers,) = integration.predict_dataset(Dataset([rows]), options).iter_batches()
    (expected,) = Predictor.load(model, device="cpu", threads=1).predict(sample)
    np.testing.assert_array_equal(answers["probabilities"][0].as_py(), expected.probabilities)


@pytest.mark.parametrize("interface", [SINGLE_CELL, THREE_CHANNELS], ids=["19 classes", "three channels"])
def test_networks_from_elsewhere_answer_as_here(integration: Any, tmp_path: Path, interface: Interface) -> None:
    path, card = write_stand_in(tmp_path / "network.onnx", interface), card_of(interface)
    rng = np.random.default_rng(3)
    samples = [make_field(tmp_path / "fields", name, rng) for name in "abc"]
    samples[1].files[1].unlink()
    if interface is THREE_CHANNELS:
        samples[0].files[3].unlink()
    table = same_of_both(integration, path, samples, tmp_path, card)
    assert table.startswith(f"id,labels,indices,error,{interface.scheme.names[0]},")
    assert "the green plane is missing" in table


def test_a_model_that_is_gone_costs_fields_and_no_run(integration: Any, tmp_path: Path) -> None:
    model = make_model(tmp_path / "small.onnx")
    sample = make_field(tmp_path / "fields", "a", np.random.default_rng(3))
    predictor = Predictor.load(model, device="cpu", threads=1)
    spread = integration.RayPredictor(
        {"model": str(model), "device": "cpu", "threads": 1},
        [(predictor.model, predictor.card), *predictor.others],
        thresholds=predictor.thresholds,
        device="cpu",
        actors=1,
        cpus=1,
    )
    model.unlink()
    (answer,) = spread.stream(iter([sample]))
    assert isinstance(answer, Failure)
    assert answer.error.what == "no such file"


def same_of_both(
    integration: Any,
    model: Path | list[Path],
    samples: list[Sample],
    folder: Path,
    card: ModelCard | None = None,
    **settings: Any,
) -> str:
    """Answer here and by the stand-in, and give the table that both make."""
    predictor = Predictor.load(model, card=card, device="cpu", threads=1, **settings)
    options = {"model": model, "card": card, "device": "cpu", "threads": 1, **settings}
    spread = integration.RayPredictor(
        options,
        [(predictor.model, predictor.card), *predictor.others],
        thresholds=predictor.thresholds,
        device="cpu",
        actors=1,
        cpus=1,
    )
    alone, other = (written(engine, samples, folder / f"{at}.csv") for at, engine in enumerate((predictor, spread)))
    assert alone == other
    return alone


def written(engine: Any, samples: list[Sample], out: Path) -> str:
    with open_writer(out, "csv", engine.card.label_scheme) as writer:
        for answer in engine.stream(iter(samples)):
            writer.write(answer)
    return out.read_text(encoding="utf-8")


def test_warnings_cross_with_the_answer(integration: Any, model: Path, tmp_path: Path) -> None:
    planes = random_planes(np.random.default_rng(3))
    planes[1] = 0
    sample = write_planes(tmp_path / "fields", "spoiled", planes)
    assert "The green plane is empty" in same_of_both(integration, model, [sample], tmp_path)


def test_the_members_of_an_ensemble_cross_too(integration: Any, tmp_path: Path) -> None:
    models = [make_model(tmp_path / f"{name}.onnx", name=name) for name in "ab"]
    sample = make_field(tmp_path / "fields", "a", np.random.default_rng(3))
    assert "the mean of 4 views of 2 models: a, b" in same_of_both(integration, models, [sample], tmp_path, views=4)
    rows = pa.Table.from_pylist([{"id": sample.id, "files": list(map(str, sample.files))}])
    options = {"model": list(map(str, models)), "device": "cpu", "threads": 1, "views": 4}
    (answers,) = integration.predict_dataset(Dataset([rows]), options).iter_batches()
    (expected,) = Predictor.load(models, device="cpu", threads=1, views=4).predict(sample)
    np.testing.assert_array_equal(answers["deviations"][0].as_py(), expected.deviations)
