"""A model is the bytes that were read when it was loaded, even if its file changes later."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from hpa_sdk import Prediction, Predictor, Sample
from hpa_sdk.batch.run import open_run
from hpa_sdk.cli import main
from hpa_sdk.errors import ModelFileError
from hpa_sdk.inference.session import SHORT_STREAM
from hpa_sdk.models.checksum import checksum_matches
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.results.result import Result
from tests.hpa_sdk.batch.runs import predict
from tests.hpa_sdk.workstation.watching import json_of, make_station, planes, wait_until, watching
from tests.small import CARD, build_model, make_model, make_model_with_checksum

Replace = Callable[[Path], None]


def other_model(path: Path) -> Path:
    """Write a model of the same form with other weights."""
    model = build_model(seed=8)
    onnx.helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    onnx.save(model, path)
    return path


def replaced(path: Path) -> None:
    other_model(path.with_name("other.onnx")).replace(path)


def rewritten(path: Path) -> None:
    other_model(path)


def removed(path: Path) -> None:
    path.unlink()


def damaged(path: Path) -> None:
    path.write_bytes(b"")


CHANGES = pytest.mark.parametrize("change", [replaced, rewritten, removed, damaged])


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model.onnx")


@CHANGES
@pytest.mark.parametrize("verify", [False, True])
def test_a_long_stream_is_answered_by_one_model(
    own_model: Path, fields: list[Sample], change: Replace, verify: bool
) -> None:
    expected = {one.id: one for one in Predictor.load(own_model, device="cpu").predict(fields)}
    if verify:
        make_model_with_checksum(own_model)  # the same weights, with a checksum
    predictor = Predictor.load(own_model, device="cpu", threads=2, verify=verify)
    asked = list(itertools.islice(itertools.cycle(fields), 3 * SHORT_STREAM))
    stream = predictor.stream(asked)
    answers = [next(stream)]
    change(own_model)
    answers += stream
    assert predictor.session.for_many() is not predictor.session
    for answer in answers:
        assert isinstance(answer, Prediction), answer
        np.testing.assert_allclose(answer.probabilities, expected[answer.id].probabilities, atol=1e-6)


@CHANGES
def test_a_predictor_says_which_bytes_answer(own_model: Path, change: Replace) -> None:
    before = sha256(own_model)
    predictor = Predictor.load(own_model, device="cpu")
    assert predictor.model.is_on_disk()
    change(own_model)
    assert predictor.model.sha256 == before
    assert predictor.model.path == own_model
    assert not predictor.model.is_on_disk()


def test_a_model_that_is_not_the_one_meant_is_refused(own_model: Path) -> None:
    assert Predictor.load(own_model, device="cpu", sha256=sha256(own_model).upper()).model.sha256 == sha256(own_model)
    meant = sha256(own_model)
    replaced(own_model)
    with pytest.raises(ModelFileError, match=f"not {meant}"):
        Predictor.load(own_model, device="cpu", sha256=meant)


def test_a_file_that_is_written_while_it_is_read_is_refused(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def written_meanwhile(path: Path, *arguments: Any) -> Any:
        file = opened(path, *arguments)
        if path == own_model and arguments == ("rb",):
            with opened(path, "ab") as writer:
                writer.write(b"\x00")
            read = file.read

            def read_and_write() -> bytes:
                content: bytes = read()
                with opened(path, "ab") as writer:
                    writer.write(b"\x00")
                return content

            class Slow:
                fileno, read = file.fileno, staticmethod(read_and_write)

                def __enter__(self) -> Self:
                    return self

                def __exit__(self, *_: object) -> None:
                    file.close()

            return Slow()
        return file

    monkeypatch.setattr(Path, "open", written_meanwhile)
    with pytest.raises(ModelFileError, match="changed while it was read"):
        ModelContent.read(own_model)


@CHANGES
def test_a_resumed_run_names_the_model_that_answered(
    tmp_path: Path, own_model: Path, fields: list[Sample], change: Replace
) -> None:
    out, before = tmp_path / "out.csv", sha256(own_model)
    predictor = Predictor.load(own_model, device="cpu", threads=2)
    asked = [Sample(f"{at}", field.files) for at, field in enumerate(itertools.islice(itertools.cycle(fields), 80))]
    with open_run(out, "csv", engine=predictor, resume="time") as run:
        answers = run.answers(iter(asked))
        next(answers)
        change(own_model)
        assert len(list(answers)) == 79
    origin = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))
    assert origin["model"] == {**origin["model"], "sha256": before, "file": str(own_model)}
    # The other model finds nothing of it in the ledger.
    other = Predictor.load(other_model(own_model), device="cpu", threads=2)
    with open_run(out, "csv", engine=other, resume="time") as run:
        again = list(run.answers(iter(asked)))
        assert run.cache.hits == 0
    expected = {one.id: one.probabilities for one in other.predict(asked)}
    for answer in again:
        assert isinstance(answer, Prediction)
        np.testing.assert_allclose(answer.probabilities, expected[answer.id], atol=1e-6)


@CHANGES
def test_a_watch_continues_with_its_loaded_model(
    tmp_path: Path, own_model: Path, change: Replace, caplog: pytest.LogCaptureFixture
) -> None:
    before = sha256(own_model)
    station = make_station(tmp_path, own_model)
    written = [planes(tmp_path, f"field-{at:02}") for at in range(3)]
    expected = {one.id: one for one in Predictor.load(own_model, device="cpu").predict(tmp_path / "exports")}
    with watching(station) as store:
        wait_until(lambda: store.count() == 3)
        change(own_model)
        wait_until(lambda: "the model that was loaded from it stays in use" in caplog.text)
        more = [planes(tmp_path, f"more-{at:02}") for at in range(SHORT_STREAM + 4)]
        wait_until(lambda: store.count() == 3 + len(more))
        results = store.newest(100)
    assert {result.model_sha256 for result in results} == {before}
    for sample in written:
        found = json_of(tmp_path, sample.id)
        np.testing.assert_allclose(found["probabilities"], expected[sample.id].probabilities, atol=1e-6)
    fresh = Predictor.load(make_model(tmp_path / "same.onnx"), device="cpu")
    for answer in fresh.predict(more):
        found = json_of(tmp_path, answer.id)
        assert found["error"] is None
        np.testing.assert_allclose(found["probabilities"], answer.probabilities, atol=1e-6)


def test_results_name_the_predictor_s_model(tmp_path: Path, own_model: Path) -> None:
    other = other_model(tmp_path / "other.onnx")
    station = make_station(tmp_path, other)
    with watching(station, predictor=Predictor.load(own_model, device="cpu")) as store:
        planes(tmp_path, "field-1")
        wait_until(lambda: store.count() == 1)
        (result,) = store.newest(1)
    assert isinstance(result, Result)
    assert result.model_sha256 == sha256(own_model)


def test_one_run_asks_its_engine_for_all_that_it_records(tmp_path: Path, fields: list[Sample], own_model: Path) -> None:
    """The same call with another white level, or option, never gets the answers of the one before."""

    def run(**options: Any) -> Iterator[int]:
        predictor = Predictor.load(own_model, device="cpu", **options)
        with open_run(tmp_path / "out.csv", "csv", engine=predictor, resume="time", log=lambda _: None) as run:
            list(run.answers(iter(fields)))
            yield run.cache.hits

    for options in ({}, {"white": 4095.0}, {"runtime_options": {"session.intra_op.allow_spinning": "0"}}):
        assert [*run(**options), *run(**options)] == [0, 5]


def test_the_command_s_records_are_of_the_model_that_it_read(
    tmp_path: Path, own_model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, load = sha256(own_model), Predictor.load.__func__  # type: ignore[attr-defined]

    def load_and_replace(cls: type[Predictor], *arguments: Any, **options: Any) -> Predictor:
        predictor: Predictor = load(cls, *arguments, **options)
        replaced(own_model)
        return predictor

    monkeypatch.setattr(Predictor, "load", classmethod(load_and_replace))
    out = tmp_path / "out.csv"
    assert predict(own_model, fields[0].files[0].parent, "-o", out, "--device", "cpu").exit_code == 0
    origin = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))
    assert origin["model"]["sha256"] == before


def test_memory_of_the_bytes_is_given_back(own_model: Path) -> None:
    session = Predictor.load(own_model, device="cpu", threads=2).session
    assert session._open_many is not None
    session.for_many()
    assert session._open_many is None
    assert Predictor.load(own_model, device="cpu", threads=1).session._open_many is None


@pytest.mark.parametrize("against", ["study-loop", "openvino"])
def test_a_bench_sets_the_same_file_against_itself(
    own_model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch, against: str
) -> None:
    def load_and_replace(*arguments: Any, **options: Any) -> Predictor:
        predictor = Predictor.load(*arguments, **options)
        replaced(own_model)
        return predictor

    monkeypatch.setattr("hpa_sdk.cli.bench.Predictor", SimpleNamespace(load=load_and_replace))
    quick = ("--device", "cpu", "--seconds", "0.05", "--rounds", "1", "--against", against)
    result = CliRunner().invoke(main, ["bench", str(own_model), str(fields[0].files[0]), *quick])
    assert result.exit_code == 2, result.output
    assert "the file has the SHA-256" in result.stderr


def test_inspect_reads_the_file_once(own_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = CliRunner().invoke(main, ["inspect", str(own_model), "--json"]).stdout

    def check_and_replace(model: memoryview) -> bool | None:
        replaced(own_model)
        return checksum_matches(model)

    monkeypatch.setattr("hpa_sdk.cli.inspect.checksum_matches", check_and_replace)
    result = CliRunner().invoke(main, ["inspect", str(own_model), "--json"])
    assert (result.exit_code, result.stdout) == (0, expected), result.output
