"""Ways to a wrong answer that were found by reading the code, each mended by its kind."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from PIL import Image

from hpa_sdk import FieldRules, Predictor, Sample, find_samples
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.cli import main
from hpa_sdk.errors import HpaError, PlaneError, SampleError, TableError
from hpa_sdk.fields import tiff_micro_manager
from hpa_sdk.fields.tiff_place import Others
from hpa_sdk.live.answered_files import ChangedError
from hpa_sdk.prediction import Failure
from hpa_sdk.report import build
from hpa_sdk.report.checked_planes import read_checked
from hpa_sdk.report.finder import PlaneFinder, SearchPaths
from hpa_sdk.report.provenance_file import read_provenance
from hpa_sdk.results import Result
from hpa_sdk.results.results_file import read_results
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.small import make_field, make_model, random_planes

COLOURS = ["red", "green", "blue", "yellow"]
OME = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


def write_plane(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((32, 32), value, np.uint8)).save(path)


def write_stack(path: Path, planes: npt.NDArray[Any], axes: str = "CYX", **metadata: Any) -> None:
    about = {"axes": axes, "Channel": {"Name": COLOURS}, **metadata}
    tifffile.imwrite(path, planes, photometric="minisblack", metadata=about)


@pytest.mark.parametrize("other", ["green/a_green.png", "Green/a.png", "green/cafe\u0301.png"])
@pytest.mark.parametrize("recursive", [False, True])
def test_two_files_of_one_colour_are_refused(tmp_path: Path, other: str, *, recursive: bool) -> None:
    name = "caf\u00e9" if "caf" in other else "a"
    for colour in COLOURS:
        write_plane(tmp_path / colour / f"{name}.png", 10)
    write_plane(tmp_path / other, 200)
    if len(list(tmp_path.rglob("*.png"))) == 4:
        pytest.skip("this disk has one name for both")
    (sample,) = find_samples(tmp_path, recursive=recursive)
    assert sample.problem is not None
    assert "several files of one colour" in str(sample.problem)


def test_a_field_in_two_layouts_is_answered_once(tmp_path: Path) -> None:
    for colour in COLOURS:
        write_plane(tmp_path / colour / "a.png", 10)
        write_plane(tmp_path / f"a_{colour}.png", 200)
    good, bad = find_all([str(tmp_path)], recursive=True, root=None)
    assert isinstance(good, Sample)
    assert good.files[0] == tmp_path / "a_red.png"
    assert isinstance(bad, Failure)
    assert "the field lies there twice" in str(bad.error)
    assert bad.id != good.id


def test_ids_of_a_run_are_unique_whatever_folders_share(tmp_path: Path) -> None:
    for folder in ("X/A/p", "X/B/p", "Y/A/p", "Y/C/p"):
        make_field(tmp_path / folder, "0007", np.random.default_rng(1))
    paths = [str(tmp_path / name) for name in ("X/A/p", "X/B/p", "Y/A", "Y/C")]
    found = list(find_all(paths, recursive=True, root=None))
    assert len({item.id for item in found}) == len(found) == 4


def test_fields_of_one_id_are_spoken_of(tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = [make_field(tmp_path / folder, "0007", np.random.default_rng(1)) for folder in ("A", "B", "C")]
    samples[2].files[1].unlink()
    predictor = Predictor.load(model, device="cpu")
    predictor.predict([tmp_path / "A", tmp_path / "A"])
    assert "several fields" not in caplog.text
    answers = predictor.predict([tmp_path / "A", tmp_path / "B"])
    assert [answer.id for answer in answers] == ["0007", "0007"]
    assert [Path(answer.files[0].path).parent.name for answer in answers] == ["A", "B"]
    assert "0007 is the id of several fields" in caplog.text
    caplog.clear()
    predictor.predict([tmp_path / "A", tmp_path / "C"], on_error="yield")
    assert "0007 is the id of several fields" in caplog.text


def test_a_table_refuses_planes_beside_a_stack_of_one_name(tmp_path: Path) -> None:
    for colour in COLOURS:
        write_plane(tmp_path / f"a_{colour}.png", 10)
    write_stack(tmp_path / "a.ome.tif", np.zeros((4, 32, 32), np.uint8))
    (tmp_path / "t.csv").write_text("Id\na\n", encoding="utf-8")
    (sample,) = find_samples(tmp_path / "t.csv", rules=FieldRules.of(z="max"))
    assert isinstance(sample.problem, SampleError)
    assert "as planes and as a stack" in str(sample.problem)


def spread_channel(folder: Path, colour: str, value: int) -> None:
    """Write one channel of four z planes as two files, of which the second has no colour in its name."""
    names = (f"f1_{colour}.ome.tif", f"part2-{colour}.ome.tif")
    data = "".join(
        f'<TiffData FirstZ="{z}" FirstC="0" FirstT="0" IFD="{z % 2}" PlaneCount="1">'
        f'<UUID FileName="{names[z // 2]}">urn:uuid:{z // 2}</UUID></TiffData>'
        for z in range(4)
    )
    image = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="32" SizeY="32"'
        f' SizeZ="4" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>{data}</Pixels></Image></OME>'
    )
    for at, name in enumerate(names):
        text = f'{OME} UUID="urn:uuid:{at}">{image}'.encode()
        planes = np.full((2, 32, 32), (10, value)[at], np.uint8)
        tifffile.imwrite(folder / name, planes, photometric="minisblack", description=text, metadata=None)


def test_files_that_the_pattern_does_not_name_are_of_the_answer(tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "fields"
    folder.mkdir()
    pattern = r"(?P<field>.+)_(?P<channel>red|green|blue|yellow)"
    arguments = (folder, "-o", tmp_path / "out.csv", "--pattern", pattern, *RESUMED)
    found = []
    for value in (20, 99):
        for colour in COLOURS:
            spread_channel(folder, colour, value)
        assert predict(model, *arguments).exit_code == 0
        (result,) = read_results(tmp_path / "out.csv")
        assert {Path(file).name for file in result.files} == {path.name for path in folder.iterdir()}
        (expected,) = Predictor.load(model, device="cpu").predict_planes(np.full((1, 4, 32, 32), value, np.uint8))
        np.testing.assert_allclose(result.probabilities, expected.probabilities, atol=1e-6)
        found.append(result.probabilities)
    assert found[0] != found[1]


def write_named(path: Path, names: list[str]) -> None:
    if path.exists():
        shutil.rmtree(path)
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    picture = group.create_group("0")
    array = picture.create_array("0", shape=(4, 32, 32), chunks=(1, 32, 32), dtype="u1")
    array[:] = np.arange(10, 50, 10, dtype=np.uint8)[:, None, None]
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    picture.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    channels = "".join(f'<Channel ID="Channel:0:{at}" Name="{name}"/>' for at, name in enumerate(names))
    about = path / "OME" / "METADATA.ome.xml"
    about.parent.mkdir()
    about.write_text(
        f'{OME}><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="32" SizeY="32"'
        f' SizeC="4" SizeZ="1" SizeT="1">{channels}</Pixels></Image></OME>',
        encoding="utf-8",
    )
    os.utime(about, (1.7e9, 1.7e9))


def test_channel_names_are_those_of_the_file_not_of_its_time(tmp_path: Path) -> None:
    path = tmp_path / "z.zarr"
    for names, expected in ((COLOURS, [10, 20, 30, 40]), (COLOURS[::-1], [40, 30, 20, 10])):
        write_named(path, names)
        (sample,) = find_samples(path)
        assert sample.source is not None
        assert sample.source.read().planes[:, 0, 0].tolist() == expected


def test_a_picture_of_other_z_planes_is_refused(tmp_path: Path) -> None:
    planes = np.arange(50, 200, 50, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 32, 32), np.uint8)
    write_stack(tmp_path / "s.ome.tif", planes, axes="ZCYX")
    (sample,) = find_samples(tmp_path, rules=FieldRules.of(z=0))
    assert sample.source is not None
    field = sample.source.read()
    result = Result(
        id=sample.id, labels=(), probabilities=(0.1,) * 28, files=tuple(file.path for file in field.files),
        stamps=tuple(file.stamp for file in field.files), model_sha256="", device="", time="", notes=field.notes,
    )  # fmt: skip
    found = PlaneFinder([result], SearchPaths(paths=())).find(result)
    with pytest.raises(ChangedError, match="answered from plane 0 of 3 z planes, and is now read as maximum of 3"):
        read_checked(found)


@pytest.mark.slow
def test_explain_reads_a_stack_as_predict_does(tmp_path: Path, model: Path) -> None:
    write_stack(
        tmp_path / "s.ome.tif", random_planes(np.random.default_rng(2), side=64), PhysicalSizeX=0.05, PhysicalSizeY=0.05
    )
    options = [str(tmp_path / "s.ome.tif"), "-o", str(tmp_path / "o.png"), "--device", "cpu", "--window", "32"]
    result = CliRunner().invoke(main, ["explain", str(model), *options])
    assert result.exit_code == 0, result.stderr
    assert "the pixel size of the model's training is unknown, so nothing is rescaled" in result.stderr


def test_a_report_with_another_model_is_refused(tmp_path: Path, model: Path, fields: list[Sample]) -> None:
    assert predict(model, fields[0].files[0].parent, "-o", tmp_path / "out.csv", "--device", "cpu").exit_code == 0
    other = make_model(tmp_path / "other.onnx", name="another")
    for file, expected in ((other, 2), (model, 0)):
        arguments = ["report", str(tmp_path / "out.csv"), "-o", str(tmp_path / "page.html"), "--model", str(file)]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == expected, result.stderr
        assert ("made by another model" in result.stderr) == bool(expected)


def test_a_report_of_results_that_are_replaced_meanwhile_is_refused(
    tmp_path: Path, model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    predict(model, fields[0].files[0].parent, "-o", out, "--device", "cpu")

    def replaced(path: Path) -> object:
        predict(model, *fields[1].files[:1], "-o", out, "--device", "cpu")
        return read_provenance(path)

    monkeypatch.setattr("hpa_sdk.report.build.read_provenance", replaced)
    with pytest.raises(TableError, match="the results were changed while they were read"):
        build.make_report(build.Sources(results=out), page=tmp_path / "page.html")


def test_an_index_that_is_replaced_after_it_was_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = tmp_path / "a_MMStack.ome.tif", tmp_path / "a_MMStack_1.ome.tif"
    first.write_bytes(b"II*\0" + b"x" * 50)
    other.write_bytes(b"old" * 20)

    class Tiff:
        micromanager_metadata = {  # noqa: RUF012
            "Summary": {"Frames": 1, "Slices": 2, "Channels": 1}, "IndexMap": [(0, 0, 0, 0, 100)],
        }  # fmt: skip

    def replaced(*_: object) -> list[tuple[int, ...]]:
        (tmp_path / "new").write_bytes(b"new" * 30)
        (tmp_path / "new").replace(other)
        return [(0, 1, 0, 0, 200)]

    monkeypatch.setattr(tiff_micro_manager, "_index_of", replaced)
    with pytest.raises(PlaneError, match="changed while its index was read"):
        tiff_micro_manager._image_stack(Tiff(), first, Others())


def test_a_field_stays_where_it_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("w1", 10), ("w2", 99)):
        for colour in COLOURS:
            write_plane(tmp_path / name / "in" / f"a_{colour}.png", value)
    monkeypatch.chdir(tmp_path / "w1")
    (sample,) = find_samples(Path("in"), rules=FieldRules.of(pattern="hpa"))
    monkeypatch.chdir(tmp_path / "w2")
    assert sample.source is not None
    assert sample.source.read().planes.max() == 10


def test_results_with_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("id,labels,indices,error,labels\nf1,Cytosol,25,,Nucleoplasm\n", encoding="utf-8")
    with pytest.raises(HpaError, match="several columns labels"):
        list(read_results(path))
