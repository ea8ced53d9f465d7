"""A bioimage.io package holds the model, the answers of that very model, and an honest description."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from click.testing import CliRunner
from PIL import Image

from export.__main__ import main
from export.bioimageio.description import spdx_licence
from export.bioimageio.package import export_bioimageio
from export.errors import VariantError
from hpa_sdk import Label, Predictor, Sample
from hpa_sdk.errors import ModelCardError, OutputError, SampleError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.model_card import Metrics
from hpa_sdk.models.variant import Variant
from tests.raw_model import make_raw_model
from tests.small import CARD, make_model

MAKERS = {"image": make_model, "planes": make_raw_model}


@pytest.fixture(params=sorted(MAKERS))
def maker(request: pytest.FixtureRequest) -> Callable[..., Path]:
    return MAKERS[request.param]


def unpack(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as package:
        assert {entry.compress_type for entry in package.infolist()} == {zipfile.ZIP_STORED}
        return {name: package.read(name) for name in package.namelist()}


def description(members: dict[str, bytes]) -> Any:
    return msgspec.yaml.decode(members["rdf.yaml"])


def pages(content: bytes) -> npt.NDArray[Any]:
    _, read = cv2.imdecodemulti(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.squeeze([page[..., ::-1] if page.ndim == 3 else page for page in read])


def array(content: bytes) -> npt.NDArray[Any]:
    read: npt.NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    return read


def test_the_command_packs_a_model(maker: Callable[..., Path], fields: list[Sample], tmp_path: Path) -> None:
    model, out = maker(tmp_path / "a.onnx", licence="cc-by-4.0"), tmp_path / "ä.zip"
    arguments = ["bioimageio", str(model), str(fields[0].files[0].parent), "-o", str(out), "--author", "Zoë A/B"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert (result.exit_code, result.output) == (0, "")
    members = unpack(out)
    metadata = description(members)
    assert members["model.onnx"] == model.read_bytes()
    assert metadata["weights"]["onnx"]["sha256"] == hashlib.sha256(members["model.onnx"]).hexdigest()
    assert metadata["license"] == "CC-BY-4.0"
    assert metadata["authors"] == [{"name": "Zoë A-B"}]
    assert metadata["cite"] == [{"text": CARD.citation, "doi": "10.1038/s41592-019-0658-6"}]
    named = [metadata["documentation"], *metadata["covers"], metadata["weights"]["onnx"]["source"]]
    for tensor in (*metadata["inputs"], *metadata["outputs"]):
        named += [tensor["test_tensor"]["source"], tensor["sample_tensor"]["source"]]
    assert sorted([*named, "rdf.yaml"]) == sorted(members)


def test_test_tensors_are_the_first_field_and_its_answer(
    maker: Callable[..., Path], fields: list[Sample], tmp_path: Path
) -> None:
    model = maker(tmp_path / "a.onnx")
    export_bioimageio(model, fields[0].files[0].parent, tmp_path / "a.zip")
    members = unpack(tmp_path / "a.zip")
    ((taken,), (given,)) = (description(members)[role] for role in ("inputs", "outputs"))
    asked, answer = array(members["test_input.npy"]), array(members["test_output.npy"])
    planes = read_planes(fields[0])
    expected = planes if taken["id"] == "planes" else CARD.preprocessing(planes)
    np.testing.assert_array_equal(asked, expected[np.newaxis])
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (found,) = session.run([given["id"]], {taken["id"]: asked})
    np.testing.assert_allclose(found, answer, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(pages(members["sample_input.tif"]), asked[0])
    np.testing.assert_array_equal(pages(members["sample_output.tif"]), answer[0])


def test_axes_are_those_of_the_file(maker: Callable[..., Path], fields: list[Sample], tmp_path: Path) -> None:
    export_bioimageio(maker(tmp_path / "a.onnx"), fields[0].files[0].parent, tmp_path / "a.zip")
    metadata = description(unpack(tmp_path / "a.zip"))
    axes = [
        [axis.get("id", axis["type"]) for axis in tensor["axes"]]
        for tensor in (*metadata["inputs"], *metadata["outputs"])
    ]
    # No size: one field or many.
    assert all(tensor["axes"][0] == {"type": "batch"} for tensor in (*metadata["inputs"], *metadata["outputs"]))
    (taken,) = metadata["inputs"]
    if taken["id"] == "planes":
        assert axes == [["batch", "channel", "y", "x"], ["batch", "channel"]]
        assert taken["axes"][1]["channel_names"] == ["red", "green", "blue", "yellow"]
        assert taken["axes"][2]["size"] == {"min": 16, "step": 1}
        assert taken["data"] == {"type": "uint8", "range": [0.0, 255.0]}
    else:
        assert axes == [["batch", "y", "x", "channel"], ["batch", "channel"]]
        assert [taken["axes"][1]["size"], taken["axes"][2]["size"]] == [299, 299]
        assert taken["data"] == {"type": "float32", "range": [0.0, 1.0]}
    assert taken.get("preprocessing") is None
    assert metadata["outputs"][0]["axes"][1]["channel_names"] == [label.name.lower() for label in Label]
    assert metadata["config"]["hpa"]["labels"] == list(CARD.labels)
    assert metadata["config"]["hpa"]["thresholds"] == list(CARD.thresholds)


def test_the_cover_shows_the_channels_in_their_colours(tmp_path: Path, model: Path) -> None:
    for channel, level in (("red", 0), ("green", 0), ("blue", 0), ("yellow", 200)):
        Image.fromarray(np.full((32, 32), level, np.uint8)).save(tmp_path / f"a_{channel}.png")
    export_bioimageio(model, tmp_path, tmp_path / "a.zip")
    content = unpack(tmp_path / "a.zip")["cover.png"]
    cover = np.asarray(Image.open(io.BytesIO(content)))
    assert cover.shape == (256, 512, 3)
    assert cover[0, 0].tolist() == [200, 200, 0]
    assert cover[0, -1].tolist() == [0, 0, 0]


def test_a_cover_is_never_too_large(tmp_path: Path, model: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (256, 256), np.uint8)
    for channel in ("red", "green", "blue", "yellow"):
        Image.fromarray(np.random.default_rng(len(channel)).permuted(noise)).save(tmp_path / f"a_{channel}.png")
    export_bioimageio(model, tmp_path, tmp_path / "a.zip")
    assert len(unpack(tmp_path / "a.zip")["cover.png"]) < 500_000


def test_the_documentation_says_what_the_user_has_to_do(fields: list[Sample], tmp_path: Path) -> None:
    metrics = Metrics(
        data="held-out", fields=7, micro_f1=0.5, macro_f1=0.25, class_f1=(None,) * len(Label), support=(1,) * len(Label)
    )
    data = fields[0].files[0].parent
    export_bioimageio(make_model(tmp_path / "a.onnx", metrics=metrics), data, tmp_path / "a.zip")
    text = unpack(tmp_path / "a.zip")["README.md"].decode()
    for line in ("- red = 0.5 red + 0.5 yellow", "- green = 0.5 green + 0.5 yellow", "- blue = 0.5 blue"):
        assert line in text.splitlines()
    assert "the format has no word for the blend" in text
    assert "On 7 held-out fields of held-out, at the thresholds above: micro F1 0.5000, macro F1 0.2500." in text
    assert "| 27 | Rods & rings | 0.5 |" in text
    assert f"Licence: {CARD.licence}. To cite: {CARD.citation}." in text
    export_bioimageio(make_raw_model(tmp_path / "b.onnx"), data, tmp_path / "b.zip")
    text = unpack(tmp_path / "b.zip")["README.md"].decode()
    assert "Blend, resize and scale are part of the model." in text
    assert "The model states no figures." in text


def test_a_variant_states_its_figures_and_failed_gates(fields: list[Sample], tmp_path: Path) -> None:
    metrics = Metrics(
        data="held-out", fields=7, micro_f1=0.5, macro_f1=0.25, class_f1=(None,) * len(Label), support=(1,) * len(Label)
    )
    variant = Variant(
        kind="int8",
        parent_sha256="0" * 64,
        settings={},
        data="others",
        fields=50,
        max_difference=0.31,
        mean_difference=0.01,
        same_label_sets=0.86,
        micro_f1=0.4,
        macro_f1=0.2,
        parent_micro_f1=0.5,
        parent_macro_f1=0.25,
        shortfalls=("the same label set as the parent for 86.00% of 50 fields",),
    )
    model = make_model(tmp_path / "a.onnx", metrics=metrics, variant=variant, precision="int8")
    export_bioimageio(model, fields[0].files[0].parent, tmp_path / "a.zip")
    members = unpack(tmp_path / "a.zip")
    text = members["README.md"].decode()
    assert "the fp32 file that this one was made of reached micro F1 0.5000" in text
    assert "the same label set for 86.00% of the fields, and a probability differs by up to 3.1e-01" in text
    assert "Macro F1 there: 0.2000, and 0.2500 of the fp32 file" in text
    assert "does not pass: the same label set as the parent for 86.00% of 50 fields" in text
    assert description(members)["config"]["hpa"]["variant"]["shortfalls"] == list(variant.shortfalls)


def test_a_package_does_not_take_the_place_of_its_model(model: Path, fields: list[Sample]) -> None:
    content = model.read_bytes()
    with pytest.raises(VariantError, match="the file to write is the model itself"):
        export_bioimageio(model, fields[0].files[0].parent, model)
    assert model.read_bytes() == content


@pytest.mark.parametrize(
    ("licence", "named"),
    [
        ("MIT", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("not stated", None),
        ("MIT OR Apache-2.0", None),
        ("LicenseRef-ours", None),
        ("© us", None),
    ],
)
def test_a_licence_is_named_where_the_format_knows_it(licence: str, named: str | None) -> None:
    assert spdx_licence(replace(CARD, licence=licence)) == named


@pytest.mark.parametrize(
    ("citation", "cited"),
    [
        ("Us et al., https://doi.org/10.1234/ab.c.", {"doi": "10.1234/ab.c"}),
        ("see https://example.org/us", {"url": "https://example.org/us"}),
        ("in preparation", None),
    ],
)
def test_a_citation_is_kept_where_the_format_takes_it(
    fields: list[Sample], tmp_path: Path, citation: str, cited: dict[str, str] | None
) -> None:
    model = make_model(tmp_path / "a.onnx", citation=citation)
    export_bioimageio(model, fields[0].files[0].parent, tmp_path / "a.zip")
    members = unpack(tmp_path / "a.zip")
    assert description(members)["cite"] == ([] if cited is None else [{"text": citation, **cited}])
    assert f"To cite: {citation}." in members["README.md"].decode()


def test_what_publication_needs_and_the_model_lacks_is_listed(
    model: Path, fields: list[Sample], tmp_path: Path
) -> None:
    arguments = ["bioimageio", str(model), str(fields[0].files[0].parent), "-o", str(tmp_path / "a.zip")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert not result.stdout
    assert "--author NAME" in result.stderr
    assert "licence" in result.stderr
    metadata = description(unpack(tmp_path / "a.zip"))
    assert metadata["authors"] == []
    assert "license" not in metadata


def test_what_can_t_be_packed_leaves_no_file(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    data = fields[0].files[0].parent
    (tmp_path / "nothing").mkdir()
    out = tmp_path / "nothing" / "a.zip"
    with pytest.raises(ModelCardError):
        export_bioimageio(make_model(tmp_path / "a.onnx", card=None), data, out)
    with pytest.raises(SampleError):
        export_bioimageio(model, tmp_path / "nothing", out)
    with pytest.raises(OutputError):
        export_bioimageio(model, data, tmp_path / "gone" / "a.zip")
    assert not list((tmp_path / "nothing").iterdir())


def test_the_package_predicts_like_the_file(maker: Callable[..., Path], fields: list[Sample], tmp_path: Path) -> None:
    model, package = maker(tmp_path / "a.onnx"), tmp_path / "a.zip"
    export_bioimageio(model, fields[0].files[0].parent, package)
    with zipfile.ZipFile(package) as whole, zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as deflated:
        for name in whole.namelist():
            deflated.writestr(name, whole.read(name))
    expected = Predictor.load(model, device="cpu").predict(fields)
    for path in (package, tmp_path / "b.zip"):
        predictor = Predictor.load(path, device="cpu")
        found = predictor.predict(fields)
        assert found == expected
        np.testing.assert_allclose(
            [item.probabilities for item in found], [item.probabilities for item in expected], rtol=0, atol=1e-6
        )
    assert array(unpack(package)["test_output.npy"])[0] == pytest.approx(expected[0].probabilities, abs=1e-6)
