"""Cells that cross a Ray cluster come out as on one machine; without a cluster, by a stand-in that runs right here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from hpa_sdk import Failure, Prediction, Predictor, Sample
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.cells import CellAnswers, ClassicalSegmenter, MaskFolder, SegmentationSettings, Segmenter
from hpa_sdk.cells.network import NetworkSegmenter
from hpa_sdk.cli import main
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.rules import FieldRules, Files
from hpa_sdk.preprocessing import Preprocessing
from tests.hpa_sdk.batch.ray_stand_in import Dataset, ray_stand_in
from tests.hpa_sdk.cells.label_images import discs
from tests.hpa_sdk.cells.made_fields import FOUR, PIXEL, draw
from tests.hpa_sdk.cells.test_network_segmenter import make_network
from tests.object_stores import bucket
from tests.small import make_field, make_model, write_planes

NO_BLUE = Preprocessing(channels=("red", "green", "yellow"), blend=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)))
RULES = FieldRules(files=Files(pixel_size=PIXEL))


@pytest.fixture
def integration(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The integration, with a stand-in for Ray."""
    with ray_stand_in(monkeypatch) as (_, cells):
        yield cells


def spread(integration: Any, predictor: Predictor) -> Any:
    """Return what predicts on the stand-in."""
    return integration.RayCellPredictor(
        {"model": str(predictor.model.path), "device": "cpu", "threads": 1},
        [(predictor.model, predictor.card)],
        thresholds=predictor.thresholds,
        device="cpu",
        actors=1,
        cpus=1,
    )


def check_same(
    integration: Any, model: Path, samples: list[Sample], segmenter: Segmenter, rules: FieldRules | None = None
) -> list[CellAnswers | Failure]:
    """Answer here and by the stand-in, compare all that an answer has, and return the answers."""
    predictor = Predictor.load(model, device="cpu", threads=1)
    expected = list(predictor.cells(samples, segmenter=segmenter, rules=rules))
    found = list(spread(integration, predictor).cells(iter(samples), segmenter=segmenter, rules=rules))
    for one, other in zip(found, expected, strict=True):
        assert one.id == other.id
        if isinstance(other, Failure):
            assert str(one.error) == str(other.error)
            continue
        np.testing.assert_array_equal(one.segmentation.labels, other.segmentation.labels)
        assert one.segmentation.cells == other.segmentation.cells
        assert one.segmentation.notes == other.segmentation.notes
        for answer, known in zip(one.answers, other.answers, strict=True):
            assert isinstance(answer, Prediction)
            assert isinstance(known, Prediction)
            np.testing.assert_array_equal(answer.probabilities, known.probabilities)
            np.testing.assert_array_equal(answer.embedding, known.embedding)
            assert [getattr(answer, name) for name in NAMES] == [getattr(known, name) for name in NAMES]
    return found


NAMES = ("id", "labels", "files", "notes", "channels", "quality", "warnings")


def test_answers_cross_with_their_label_images(integration: Any, model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    samples = [make_field(tmp_path / "fields", name, rng) for name in "abcd"]
    (tmp_path / "masks").mkdir()
    for name, count in zip("abc", (5, 0, 3), strict=True):
        labels = discs(count, side=64, radius=6, seed=1).astype(np.uint8)
        Image.fromarray(labels).save(tmp_path / "masks" / f"{name}.png")
    samples[2].files[1].unlink()
    found = check_same(integration, model, samples, MaskFolder(tmp_path / "masks"))
    assert [len(one.answers) if isinstance(one, CellAnswers) else None for one in found] == [5, 0, None, None]


def test_a_segmentation_network_is_opened_in_the_actor(integration: Any, model: Path, tmp_path: Path) -> None:
    samples = [write_planes(tmp_path / "fields", "a", draw(FOUR))]
    network = make_network(tmp_path / "maps.onnx")
    segmenter = NetworkSegmenter.load(network, device="cpu")
    for settings in (SegmentationSettings(), SegmentationSettings(reach=2)):
        (found,) = check_same(integration, model, samples, replace(segmenter, settings=settings), RULES)
        assert isinstance(found, CellAnswers)
        assert len(found.answers) == 4
    # With another card than that in the file.
    other = NetworkSegmenter.load(network, device="cpu", card=replace(segmenter.card, name="described here"))
    (found,) = check_same(integration, model, samples, other, RULES)
    assert isinstance(found, CellAnswers)
    assert found.segmentation.source == "described here"
    # Another file under the same path: fields fail, and the run does not.
    make_network(network, halved=True)
    predictor = Predictor.load(model, device="cpu", threads=1)
    (answer,) = spread(integration, predictor).cells(iter(samples), segmenter=segmenter, rules=RULES)
    assert isinstance(answer, Failure)
    assert "another file" in str(answer.error)


def test_cells_of_several_models_are_refused(integration: Any, model: Path, tmp_path: Path) -> None:
    ensemble = spread(integration, Predictor.load(model, device="cpu", threads=1))
    ensemble.others = [(ensemble.model, ensemble.card)]
    with pytest.raises(SettingError, match="predicted by one model"):
        next(ensemble.cells(iter([write_planes(tmp_path, "a", draw(FOUR))]), segmenter=ClassicalSegmenter()))


def test_the_plane_of_nuclei_is_read_for_a_model_without(integration: Any, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model.onnx", preprocessing=NO_BLUE)
    write_planes(tmp_path / "fields", "a", draw(FOUR))
    with bucket("s3") as address:
        files: Any = fsspec.filesystem("s3")
        for file in (tmp_path / "fields").iterdir():
            files.pipe(f"{address}/{file.name}", file.read_bytes())
        # As a caller's dataset names them, and as the command finds them.
        names = [f"{address}/a_{channel}.png" for channel in ("red", "green", "blue", "yellow")]
        rows = pa.Table.from_pylist([{"id": "a", "files": names}])
        options = {"model": str(model), "device": "cpu", "threads": 1}
        (cells,) = integration.cells_dataset(Dataset([rows]), options).iter_batches()
        assert cells["error"].to_pylist() == [None] * 4
        (sample,) = find_all([address], recursive=False, root=None, rules=None)
        assert isinstance(sample, Sample)
        (found,) = check_same(integration, model, [sample], ClassicalSegmenter(), RULES)
        assert isinstance(found, CellAnswers)
        assert len(found.answers) == 4


def test_the_command_writes_the_same_files(
    integration: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    for name in "abc":
        make_field(tmp_path / "fields", name, rng, side=128)
    write_planes(tmp_path / "fields", "cells", draw(FOUR))
    (tmp_path / "fields" / "b_red.png").write_bytes(b"")
    monkeypatch.setattr(integration.RayCellPredictor, "load", lambda path, **_: spread(integration, load(path)))

    def load(path: Path) -> Predictor:
        return Predictor.load(path, device="cpu", threads=1)

    def run(engine: str, out: str, *more: str) -> Any:
        command = ["cells", str(model), str(tmp_path / "fields"), "-o", str(tmp_path / out / "cells.parquet")]
        command += ["--label-images", str(tmp_path / out), "--device", "cpu", "--pixel-size", str(PIXEL), *more]
        (tmp_path / out).mkdir(exist_ok=True)
        return CliRunner().invoke(main, [*command, "--engine", engine], catch_exceptions=False)

    for engine in ("local", "ray"):
        assert run(engine, engine, "--resume").exit_code == 1
    table = pyarrow.parquet.read_table(tmp_path / "ray" / "cells.parquet")
    assert table == pyarrow.parquet.read_table(tmp_path / "local" / "cells.parquet")
    summaries = [(tmp_path / engine / "cells.parquet.fields.csv").read_bytes() for engine in ("ray", "local")]
    assert summaries[0] == summaries[1]
    images = [tifffile.imread(tmp_path / engine / "cells_cells.ome.tif") for engine in ("ray", "local")]
    np.testing.assert_array_equal(images[0], images[1])
    assert images[0].max() == 4
    # Each resumes what the other began.
    assert "1 field stood in the ledger" in run("local", "ray", "--resume").stderr
    assert "1 field stood in the ledger" in run("ray", "local", "--resume").stderr
