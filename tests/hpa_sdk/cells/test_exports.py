"""Tests the files for other programs, each opened by a library that such programs are built on."""

from __future__ import annotations

import csv
import json
import logging
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pytest
import shapely
import tifffile
from PIL import Image

from hpa_sdk.cells import ClassicalSegmenter
from hpa_sdk.cells.anndata_file import write_h5ad
from hpa_sdk.cells.crops import COLUMNS, open_crops
from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.cells.geojson import main_label, write_geojson
from hpa_sdk.cells.label_image import write_label_image
from hpa_sdk.cells.masks import MaskFolder
from hpa_sdk.cells.network import NetworkSegmenter
from hpa_sdk.cells.outlines import colour_of
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.cells.writers import open_cell_writer
from hpa_sdk.errors import OutputError, SettingError, TableError
from hpa_sdk.labels import HPA_2018, HPA_2021, LabelScheme
from hpa_sdk.prediction import Failure, Prediction
from tests.hpa_sdk.cells.label_images import discs
from tests.hpa_sdk.cells.made_answers import FAILED, answers_of
from tests.hpa_sdk.cells.made_fields import FOUR, NUCLEUS, PIXEL, draw
from tests.hpa_sdk.cells.test_network_segmenter import make_network


@pytest.mark.parametrize(("step", "dtype"), [(1, np.uint16), (70_000, np.uint32)])
def test_label_images_are_opened_by_tifffile(tmp_path: Path, step: int, dtype: type[np.generic]) -> None:
    found = answers_of(discs(20, step=step)).segmentation
    path = tmp_path / "field ä_cells.ome.tif"
    write_label_image(path, found, id="field ä")
    with tifffile.TiffFile(path) as tiff:
        labels, xml = tiff.asarray(), tiff.ome_metadata
        assert tiff.is_ome
    np.testing.assert_array_equal(labels, found.labels)
    assert labels.dtype == dtype
    image = tifffile.xml2dict(xml or "")["OME"]["Image"]
    assert image["Name"] == "field ä"
    assert (image["Pixels"]["PhysicalSizeX"], image["Pixels"]["PhysicalSizeXUnit"]) == (0.25, "µm")
    again = MaskFolder(tmp_path).read("field ä", found.labels.shape)
    assert (again.cells, again.pixel_size, again.notes) == (found.cells, 0.25, ())


def test_an_id_that_is_no_unicode_has_its_files(tmp_path: Path) -> None:
    answers = answers_of(discs(5), id="f\udcff")
    write_label_image(tmp_path / "f_cells.ome.tif", answers.segmentation, id=answers.id)
    with tifffile.TiffFile(tmp_path / "f_cells.ome.tif") as tiff:
        assert tifffile.xml2dict(tiff.ome_metadata or "")["OME"]["Image"]["Name"] == r"f\udcff"
    write_geojson(tmp_path / "f.geojson", answers)
    features = json.loads((tmp_path / "f.geojson").read_bytes())["features"]
    assert {feature["properties"]["metadata"]["field"] for feature in features} == {r"f\udcff"}


def test_geojson_has_the_members_that_qupath_reads(tmp_path: Path) -> None:
    labels = discs(12)
    labels[labels == 2] = 0
    labels[5:9, 5:9] = labels[250:254, 250:254] = 2  # one cell in two pieces
    answers = answers_of(labels, id="plate/A;1 µ")
    path = tmp_path / "cells.geojson"
    write_geojson(path, answers)
    content = json.loads(path.read_text("utf-8"))
    assert (content["type"], len(content["features"])) == ("FeatureCollection", len(answers.answers))
    for at, (feature, cell, answer) in enumerate(
        zip(content["features"], answers.segmentation.cells, answers.answers, strict=True)
    ):
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shape.is_valid
        assert shape.geom_type == ("MultiPolygon" if cell.number == 2 else "Polygon")
        assert shape.area == pytest.approx(cell.area, rel=0.2)
        top, left, bottom, right = cell.box
        assert shape.bounds == pytest.approx((left, top, right, bottom), abs=1)
        properties = feature["properties"]
        assert uuid.UUID(feature["id"])
        assert properties["objectType"] == "cell"
        assert all(isinstance(value, str) for value in properties["metadata"].values())
        assert all(isinstance(value, (int, float)) for value in properties["measurements"].values())
        assert properties["measurements"]["Area px^2"] == cell.area
        assert properties["metadata"]["cell"] == str(cell.number)
        if isinstance(answer, Failure):
            assert at == FAILED
            assert "no nucleus" in properties["metadata"]["error"]
            assert "classification" not in properties
            continue
        for name, probability in zip(HPA_2018.names, answer.probabilities, strict=True):
            assert properties["measurements"][f"Probability {name}"] == pytest.approx(probability, abs=1e-6)
        assert properties["metadata"]["labels"] == ";".join(label.hpa_name for label in answer)
        main = max(answer.labels, key=lambda label: answer.probabilities[int(label)], default=None)
        assert main_label(answer) == main
        expected = None if main is None else {"name": str(main), "color": list(colour_of(int(main)))}
        assert properties.get("classification") == expected
    again = tmp_path / "again.geojson"
    write_geojson(again, answers)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", ["thresholds", "reduced", "network"])
def test_geojson_has_the_nucleus_of_each_cell(tmp_path: Path, kind: str) -> None:
    planes, finer = draw(FOUR), 2 if kind == "reduced" else 1  # cells are looked for at the pixel size of the drawing
    planes = planes.repeat(finer, 1).repeat(finer, 2)
    segmenter: Segmenter = ClassicalSegmenter()
    if kind == "network":
        segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx", halved=True), device="cpu")
    found = segmenter.segment(planes, id="A01", pixel_size=PIXEL / finer)
    write_geojson(tmp_path / "cells.geojson", replace(answers_of(found.labels), segmentation=found))
    features = json.loads((tmp_path / "cells.geojson").read_text("utf-8"))["features"]
    assert len(features) == len(FOUR)
    for feature in features:
        cell, nucleus = (shapely.from_geojson(json.dumps(feature[name])) for name in ("geometry", "nucleusGeometry"))
        assert nucleus.is_valid
        # Both outlines are simplified, by less than a pixel.
        assert cell.buffer(1).contains(nucleus)
        drawn = min(
            (shapely.Point(finer * (x + 0.5), finer * (y + 0.5)).buffer(finer * NUCLEUS) for y, x in FOUR),
            key=nucleus.distance,
        )
        assert nucleus.intersection(drawn).area / nucleus.union(drawn).area > 0.85
        assert nucleus.area < 0.5 * cell.area


def test_geojson_of_masks_has_no_nuclei(tmp_path: Path) -> None:
    write_geojson(tmp_path / "cells.geojson", answers_of(discs(5)))
    assert "nucleus" not in (tmp_path / "cells.geojson").read_text("utf-8").replace("no nucleus", "")


def test_geojson_of_a_field_without_cells_is_empty(tmp_path: Path) -> None:
    write_geojson(tmp_path / "cells.geojson", answers_of(np.zeros((32, 32), np.int32)))
    assert json.loads((tmp_path / "cells.geojson").read_text("utf-8"))["features"] == []


@pytest.mark.parametrize("scheme", [HPA_2018, HPA_2021], ids=lambda scheme: scheme.name)
def test_anndata_opens_embeddings_and_probabilities(tmp_path: Path, scheme: LabelScheme) -> None:
    fields = [answers_of(discs(9, seed=at), id=f"plate/{at}", scheme=scheme, seed=at) for at in range(3)]
    with open_cell_writer(tmp_path / "cells.parquet", "parquet", scheme) as writer:
        for field in fields:
            writer.write(field)
    model = {"name": "starter", "sha256": "0" * 64}
    assert write_h5ad(tmp_path / "cells.h5ad", tmp_path / "cells.parquet", model=model) == 3 * 8
    data: Any = anndata.read_h5ad(tmp_path / "cells.h5ad")
    pairs = [
        (field.id, cell, answer)
        for field in fields
        for cell, answer in zip(field.segmentation.cells, field.answers, strict=True)
        if isinstance(answer, Prediction)
    ]
    np.testing.assert_array_equal(data.X, np.stack([answer.embedding for _, _, answer in pairs]))
    np.testing.assert_array_equal(data.obsm["probabilities"], np.stack([answer.probabilities for *_, answer in pairs]))
    assert data.obs_names.tolist() == [f"{field}#{cell.number}" for field, cell, _ in pairs]
    assert data.obs["field"].tolist() == [field for field, *_ in pairs]
    assert data.obs["area"].tolist() == [cell.area for _, cell, _ in pairs]
    assert data.obs["border"].tolist() == [cell.border for _, cell, _ in pairs]
    assert data.obs["labels"].tolist() == [";".join(map(str, answer)) for *_, answer in pairs]
    np.testing.assert_allclose(data.obsm["spatial"], [cell.centre[::-1] for _, cell, _ in pairs], atol=0.01)
    assert data.var_names[0] == "embedding_0"
    assert data.uns["model"] == model
    assert data.uns["classes"].tolist() == list(scheme.names)


def test_anndata_of_a_table_has_no_embeddings(tmp_path: Path) -> None:
    with open_cell_writer(tmp_path / "cells.csv", "csv") as writer:
        writer.write(answers_of(discs(9), pixel_size=None))
    write_h5ad(tmp_path / "cells.h5ad", tmp_path / "cells.csv", model={})
    data: Any = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert data.shape == (8, 0)
    assert data.obsm["probabilities"].shape == (8, 28)
    assert np.isnan(data.obs["area_um2"]).all()
    with open_cell_writer(tmp_path / "none.csv", "csv") as writer:
        writer.write(answers_of(np.zeros((32, 32), np.int32)))
    with pytest.raises(TableError, match="no cell in it was answered"):
        write_h5ad(tmp_path / "cells.h5ad", tmp_path / "none.csv", model={})


def _planes(dtype: type[np.generic] = np.uint16) -> npt.NDArray[Any]:
    return np.random.default_rng(0).integers(1, np.iinfo(dtype).max, (4, 256, 256)).astype(dtype)  # type: ignore[type-var]


@pytest.mark.parametrize("masked", [False, True])
def test_crops_are_listed_as_subcell_portable_reads_them(tmp_path: Path, *, masked: bool) -> None:
    planes, answers = _planes(), answers_of(discs(9), id="plate/A1")
    with open_crops(tmp_path / "crops", side=64, masked=masked) as writer:
        writer.write("plate/A1", answers.segmentation, planes)
        assert not (tmp_path / "crops" / "path_list.csv").exists()
    with (tmp_path / "crops" / "path_list.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    wide = np.pad(planes, ((0, 0), (64, 64), (64, 64)))
    numbers = np.pad(answers.segmentation.labels, 64)
    for row, cell in zip(rows, answers.segmentation.cells, strict=True):
        assert row["output_prefix"] == f"plate/A1_cell{cell.number}"
        ending = "crop_masked" if masked else "crop"
        assert row["r_image"] == f"plate/A1_cell{cell.number}_{ending}_red.png"
        crop = np.stack([np.asarray(Image.open(tmp_path / "crops" / row[f"{letter}_image"])) for letter in "rgby"])
        top, left, bottom, right = cell.box
        at = np.s_[
            (top + bottom) // 2 + 32 : (top + bottom) // 2 + 96, (left + right) // 2 + 32 : (left + right) // 2 + 96
        ]
        expected = wide[:, *at] * ((numbers[at] == cell.number) if masked else 1)
        np.testing.assert_array_equal(crop, expected)


def test_cells_larger_than_their_crop_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = np.zeros((256, 256), np.int32)
    labels[50:60, 20:120] = 7
    found = answers_of(labels).segmentation
    with caplog.at_level(logging.WARNING), open_crops(tmp_path, side=64) as writer:
        writer.write("a", found, _planes(np.uint8))
        with pytest.raises(SettingError, match="not those of the label image"):
            writer.write("b", found, _planes()[:, :100])
    assert "a: 1 cell larger than a crop of 64 pixels and cut; the first: 7" in caplog.text
    assert np.asarray(Image.open(tmp_path / "a_cell7_crop_green.png")).dtype == np.uint8


def test_fields_never_share_a_file(tmp_path: Path) -> None:
    files = FieldFiles(tmp_path)
    assert files.path("a/b", ".x") == tmp_path / "a" / "b.x"
    assert files.path("a/b", ".y") == tmp_path / "a" / "b.y"
    assert files.path("stack#2", ".x").parent == tmp_path
    for other in ("A/B", "/a/b"):
        with pytest.raises(SettingError, match="would have one file"):
            files.path(other, ".x")
    assert files.path("../../up", ".x").resolve().is_relative_to(tmp_path)
    for name in ("nul", "Aux.1", "what?", "a:b", "end."):
        assert not re.fullmatch(r"(nul|aux)(\..*)?|.*[?:].*|.*\.", files.path(name, "").name, re.IGNORECASE)
    assert len(files.path("ß" * 100, "_cells.ome.tif").name) == 114
    for name in ("x" * 250, "ß" * 125, "x" * 256 + "/a"):
        with pytest.raises(SettingError, match="too long for the name of a file"):
            files.path(name, ".csv")
    (tmp_path / "c").write_text("a file", "utf-8")
    with pytest.raises(OutputError, match="folder can't be made"):
        files.path("c/d", ".x")
