"""A reference says how far a field lies from those of the training, and goes with the model or beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpa_sdk import ModelCard, Predictor
from hpa_sdk.cli import main
from hpa_sdk.errors import ModelCardError, SettingError
from hpa_sdk.models.network_form import CellCrop
from hpa_sdk.quality.limits import Limits
from hpa_sdk.quality.reference import Reference, Spread, learn_spread, read_reference
from tests.small import CARD, make_model, write_planes

COUNT = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields of noise, alike in brightness."""
    folder = tmp_path_factory.mktemp("reference") / "fields"
    rng = np.random.default_rng(7)
    for number in range(COUNT):
        write_planes(folder, f"field-{number:02}", rng.integers(0, 100, (4, 64, 64), np.uint8))
    return folder


@pytest.fixture(scope="module")
def made(folder: Path, model: Path) -> Path:
    """The file that the command makes of them."""
    file = folder.parent / "reference.json"
    done = CliRunner().invoke(main, ["reference", str(model), str(folder), "-o", str(file), "--device", "cpu"])
    assert (done.exit_code, "from 24 fields" in done.stderr) == (0, True), done.output
    return file


def test_paths_of_equal_names_are_kinds_of_their_own(folder: Path, model: Path, tmp_path: Path) -> None:
    bright = tmp_path / folder.name
    rng = np.random.default_rng(8)
    for number in range(COUNT):
        write_planes(bright, f"bright-{number:02}", rng.integers(150, 250, (4, 64, 64), np.uint8))
    references: list[Reference] = []
    for paths in ([folder], [bright], [folder, bright]):
        file = tmp_path / f"reference-{len(references)}.json"
        done = CliRunner().invoke(main, ["reference", str(model), *map(str, paths), "-o", str(file), "--device", "cpu"])
        assert done.exit_code == 0, done.output
        references.append(read_reference(file))
    dark, light, both = (reference.limits for reference in references)
    assert dark is not None
    assert light is not None
    assert both is not None
    assert both.fields == references[2].fields == 2 * COUNT
    low = {name: min(dark.low[name], light.low[name]) for name in dark.low}
    assert both.low == pytest.approx(low)
    assert both.definitions == dark.definitions


def spread_of(count: int = 200, width: int = 40) -> tuple[Spread, np.random.Generator]:
    rng = np.random.default_rng(1)
    return learn_spread(
        rng.normal(3, [1 + 5 * (at < 4) for at in range(width)], (count, width)).astype(np.float32)
    ), rng


def test_the_share_falls_with_the_distance() -> None:
    spread, rng = spread_of()
    usual = rng.normal(3, [1 + 5 * (at < 4) for at in range(40)], (200, 40)).astype(np.float32)
    shares = [spread.share_beyond(each) for each in usual]
    assert 0.35 < np.mean(shares) < 0.65  # as for the fields themselves
    assert 0 <= min(shares) <= max(shares) <= 1
    assert spread.share_beyond(np.full(40, 30, np.float32)) == 0


def test_distances_are_those_of_mahalanobis() -> None:
    rng = np.random.default_rng(2)
    embeddings = rng.normal(0, [5, 3, 1], (4000, 3)).astype(np.float32)
    found = learn_spread(embeddings).distance(embeddings[:50])
    inverse = np.linalg.inv(0.9 * np.cov(embeddings.T) + 0.1 * np.eye(3) * np.cov(embeddings.T).trace() / 3)
    centred = embeddings[:50] - embeddings.mean(axis=0)
    np.testing.assert_allclose(found, np.einsum("ni,ij,nj->n", centred, inverse, centred), rtol=0.02)


def test_a_field_unlike_the_others_is_flagged(model: Path, made: Path, folder: Path) -> None:
    predictor = Predictor.load(model, device="cpu", reference=made)
    answers = predictor.predict(folder)
    assert (
        sum(any(flag.measure == "outlying" for flag in answer.quality.flags) for answer in answers if answer.quality)
        <= 2
    )
    (far,) = predictor.predict_planes(np.full((1, 4, 64, 64), 255, np.uint8))
    assert far.quality is not None
    assert far.quality.measures["outlying"] == 0
    assert any("unlike those of the training" in text for text in far.warnings)


def test_whole_fields_are_no_reference_for_cells(model: Path, folder: Path, tmp_path: Path) -> None:
    of_cells = make_model(tmp_path / "cells.onnx", unit="cell", cell=CellCrop())
    out = tmp_path / "reference.json"

    def learn(file: Path, *options: str) -> Result:
        return CliRunner().invoke(main, ["reference", str(file), str(folder), "-o", str(out), *options])

    for done, reason in (
        (learn(of_cells), "answers for single cells, and nothing says that the pictures are of single cells"),
        (learn(model, "--single-cells"), "answers for whole fields, and the pictures are said to be of single cells"),
    ):
        assert (done.exit_code, reason in done.stderr, out.exists()) == (2, True, False), done.output
    assert learn(of_cells, "--single-cells").exit_code == 0
    assert out.exists()


def test_a_reference_in_the_card_is_used_and_stays_small(tmp_path: Path, made: Path) -> None:
    reference = replace(read_reference(made), network=CARD.network_id)
    card = replace(CARD, reference=reference)
    assert len(card.to_json()) < 100_000
    assert ModelCard.from_json(card.to_json()).reference == reference
    assert '"schema_version": "2.0"' in card.to_json()
    assert "reference" not in CARD.to_json()
    with_reference = make_model(tmp_path / "with.onnx", reference=reference)
    shown = CliRunner().invoke(main, ["inspect", str(with_reference)]).stdout
    assert "limits and spread of 24 fields of fields" in shown
    (far,) = Predictor.load(with_reference, device="cpu").predict_planes(np.full((1, 4, 64, 64), 255, np.uint8))
    assert far.quality is not None
    assert "outlying" in far.quality.measures


def test_a_reference_of_another_width_is_refused(model: Path) -> None:
    spread, _ = spread_of(width=7)
    with pytest.raises(ModelCardError, match="embeddings with 7 numbers"):
        Predictor.load(model, device="cpu", reference=Reference(data="", fields=30, spread=spread))


def test_a_reference_of_another_network_is_refused(model: Path, made: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other.onnx")  # its embedding has 512 numbers too
    with pytest.raises(ModelCardError, match="learned with another network"):
        Predictor.load(other, device="cpu", reference=made)
    Predictor.load(model, device="cpu", reference=made).close()
    reference = read_reference(made)
    # A variant, and what is adapted, has the training of its parent; earlier references do not name their network.
    own = replace(reference, network=CARD.network_id)
    variant = make_model(tmp_path / "variant.onnx", name="other name", thresholds=(0.4,) * 28)
    for fitting in (own, replace(reference, network=""), replace(reference, spread=None)):
        Predictor.load(variant, device="cpu", reference=fitting).close()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"distances": (3.0, 1.0)}, "out of order"),
        ({"axes": b"12"}, "do not fit"),
        ({"rest": 0.0}, "not above 0"),
        ({"mean": np.full(40, np.inf, "<f2").tobytes()}, "not finite"),
    ],
)
def test_a_spread_that_makes_no_sense_is_refused(change: dict[str, object], problem: str) -> None:
    spread, _ = spread_of()
    card = replace(CARD, reference=Reference(data="", fields=30, spread=replace(spread, **change)))  # type: ignore[arg-type]
    with pytest.raises(ModelCardError, match=problem):
        ModelCard.from_json(card.to_json())


def test_limits_out_of_order_are_refused() -> None:
    limits = Limits(data="", fields=30, low={"scale": 1.0}, high={"scale": -1.0})
    with pytest.raises(ModelCardError, match="out of order"):
        replace(CARD, reference=Reference(data="", fields=30, limits=limits)).check()


def test_a_large_reference_is_refused(tmp_path: Path) -> None:
    large = Reference(data="x" * 100_001, fields=30)
    assert "more than 100,000 bytes" in str(large.problem())
    (tmp_path / "large.json").write_bytes(msgspec.json.encode(large))
    with pytest.raises(SettingError, match="can't be used"):
        read_reference(tmp_path / "large.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_reference_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SettingError, match="no reference"):
        read_reference(tmp_path / "a.json")


def test_a_folder_can_have_the_sign_of_a_scene(model: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "plate#2").mkdir()
    for file in folder.glob("field-0*"):
        (tmp_path / "plate#2" / file.name).write_bytes(file.read_bytes())
    paths = [str(tmp_path / "plate#2"), str(tmp_path)]
    done = CliRunner().invoke(main, ["reference", str(model), *paths, "-r", "-o", str(tmp_path / "r.json")])
    assert (done.exit_code, "10 fields in more than one of the paths" in done.stderr) == (2, True)


def test_a_field_in_two_paths_counts_once(model: Path, folder: Path, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    (tmp_path / "some").mkdir()
    for file in folder.glob("field-0*"):
        (tmp_path / "some" / file.name).write_bytes(file.read_bytes())
    twice = ["reference", str(model), str(tmp_path / "some"), str(tmp_path), "-r", "-o", str(out), "--device", "cpu"]
    done = CliRunner().invoke(main, twice)
    assert (done.exit_code, "10 fields" in done.stderr) == (2, True)
    # A path with fewer than 20 is no kind of its own.
    mixed = CliRunner().invoke(main, [*twice[:3], str(folder), *twice[4:]])
    assert "some has 10 fields, fewer than 20" in mixed.stderr
    above = CliRunner().invoke(main, [*twice[:2], str(folder), str(folder.parent), *twice[4:]])
    assert f"{COUNT} fields in more than one of the paths" in above.stderr
    assert read_reference(out).spread == read_reference(made).spread


def test_few_fields_make_no_reference(model: Path, folder: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for file in folder.glob("field-0[0-3]*"):
        (some / file.name).write_bytes(file.read_bytes())
    done = CliRunner().invoke(main, ["reference", str(model), str(some), "-o", str(tmp_path / "r.json")])
    assert (done.exit_code, "4 fields" in done.stderr) == (2, True)
    assert not (tmp_path / "r.json").exists()


def test_another_reference_makes_resumed_answers_anew(model: Path, folder: Path, made: Path, tmp_path: Path) -> None:
    arguments = ["predict", str(model), str(folder), "-o", str(tmp_path / "out.csv"), "--resume", "--device", "cpu"]
    CliRunner().invoke(main, arguments)
    done = CliRunner().invoke(main, [*arguments, "--reference", str(made)])
    assert "every field is predicted again" in done.stderr
    assert "stood in the ledger" in CliRunner().invoke(main, [*arguments, "--reference", str(made)]).stderr
