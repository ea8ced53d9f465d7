"""A plane is where it lies and what it was: no other file, moment or memory gets into its answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hpa_sdk import Failure, Prediction, Predictor, Sample, find_samples
from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.picture_file import Reading, read_picture
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.file_state import FileStamp, FileState, stamp_of
from hpa_sdk.preprocessing import Planes
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.raw_model import make_raw_model
from tests.small import random_planes, write_planes


def by_id(text: str) -> dict[str, list[str]]:
    """Return the cells of a table's rows without the stamps, by id."""
    return {row.split(",")[0]: row.split(",")[1:-1] for row in text.splitlines()[1:]}


def swap(one: Path, other: Path) -> None:
    """Swap two files by renaming."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_the_working_folder_holds_no_pixels_of_another_plate(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    plates = [tmp_path / name for name in ("a", "b")]
    for seed, plate in enumerate(plates):
        write_planes(plate, "field", random_planes(np.random.default_rng(seed), dtype=np.uint16), extension)
    predictor = Predictor.load(model, device="cpu", white=4095)
    expected = [predictor.predict(plate)[0].probabilities for plate in plates]
    monkeypatch.chdir(plates[0])
    for paths in ([".", "../b"], [str(plates[0]), str(plates[1])], ["field", "../b/field"]):
        found = [one.probabilities for one in predictor.predict(paths)]
        np.testing.assert_array_equal(found, expected)


def test_what_was_found_stays_found_in_another_folder(
    model: Path, tmp_path: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fields[0].files[0].parent
    other = tmp_path / "elsewhere"
    for sample in fields:
        write_planes(other / "fields", sample.id, random_planes(np.random.default_rng(9)))
    predictor = Predictor.load(model, device="cpu", threads=1)
    expected = [one.probabilities for one in predictor.predict(folder)]
    monkeypatch.chdir(tmp_path)
    relative = [Sample(sample.id, tuple(file.relative_to(tmp_path) for file in sample.files)) for sample in fields]
    for sources in ("fields", relative, (sample for sample in find_samples("fields"))):
        monkeypatch.chdir(tmp_path)
        stream = predictor.stream(sources)
        answers = [next(stream)]
        monkeypatch.chdir(other)
        answers += stream
        for answer, probabilities in zip(answers, expected, strict=True):
            assert isinstance(answer, Prediction)
            np.testing.assert_array_equal(answer.probabilities, probabilities)
            assert all(Path(file.path).parent == folder for file in answer.files)


def test_a_prediction_says_which_files_it_was_read_from(model: Path, fields: list[Sample]) -> None:
    for prediction, sample in zip(Predictor.load(model, device="cpu").predict(fields), fields, strict=True):
        assert prediction.files == tuple(FileState(str(file), stamp_of(file)) for file in sample.files)


@pytest.mark.parametrize("raw", [False, True])
def test_a_camera_s_buffer_may_be_written_again(model: Path, tmp_path: Path, raw: bool) -> None:
    predictor = Predictor.load(make_raw_model(tmp_path / "raw.onnx") if raw else model, device="cpu", threads=2)
    rng = np.random.default_rng(4)
    fields = [random_planes(rng) for _ in range(12)]
    expected = [predictor.predict_planes(field[None])[0].probabilities for field in fields]

    def ring() -> Iterator[Planes]:
        buffer: npt.NDArray[np.uint8] = np.zeros_like(fields[0])
        for field in fields:
            buffer[...] = field
            yield buffer
        buffer[...] = 0

    for answer, probabilities in zip(predictor.stream(ring()), expected, strict=True):
        assert isinstance(answer, Prediction)
        np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-6)


def test_fields_swapped_by_renaming_are_done_again(model: Path, tmp_path: Path) -> None:
    """Bitmaps of one size, with times that were set: neither distinguishes them."""
    folder, out, fresh = tmp_path / "tiffs", tmp_path / "out.csv", tmp_path / "fresh.csv"
    samples = [
        write_planes(folder, name, random_planes(np.random.default_rng(at)), ".tif") for at, name in enumerate("ab")
    ]
    for sample in samples:
        for file in sample.files:
            os.utime(file, ns=(10**18, 10**18))
    predict(model, folder, "-o", out, *RESUMED)
    assert "2 answers stood in the ledger" in predict(model, folder, "-o", out, *RESUMED).stderr
    for one, other in zip(samples[0].files, samples[1].files, strict=True):
        assert one.stat().st_size == other.stat().st_size
        swap(one, other)
    result = predict(model, folder, "-o", out, *RESUMED)
    assert "0 answers stood in the ledger; 2 fields had changed" in result.stderr
    predict(model, folder, "-o", fresh, *RESUMED[1:])
    assert out.read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("comparison", ["time", "content"])
def test_what_was_read_is_what_the_ledger_keeps(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comparison: str
) -> None:
    """A field that is another one just while it is read is not taken for the one that was there before and after."""
    folder, out = tmp_path / "fields", tmp_path / "out.csv"
    own = write_planes(folder, "field", random_planes(np.random.default_rng(1)), ".tif")
    other = write_planes(tmp_path / "aside", "field", random_planes(np.random.default_rng(2)), ".tif")
    options = (*RESUMED, "--compare", comparison)
    read = read_field

    def read_the_other(sample: Sample, channels: Collection[str]) -> object:
        for one, two in zip(own.files, other.files, strict=True):
            swap(one, two)
        try:
            return read(sample, channels)
        finally:
            for one, two in zip(own.files, other.files, strict=True):
                swap(one, two)

    with monkeypatch.context() as patch:
        patch.setattr("hpa_sdk.fields.sources.read_field", read_the_other)
        assert "Not recorded in the ledger: 1 answer," in predict(model, folder, "-o", out, *options).stderr
    predict(model, folder, "-o", out, *options)
    (expected,) = Predictor.load(model, device="cpu", threads=1).predict(folder)
    found = [float(cell) for cell in by_id(out.read_text(encoding="utf-8"))["field"][3:31]]
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-6)


@pytest.mark.parametrize("when", range(4))
def test_a_field_that_changes_while_it_is_read_is_no_answer(
    model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """Red of one moment and green of the next are no field, whichever plane is the one that changes."""
    reads = 0

    def read_and_write(path: Path, channel: Channel) -> Reading:
        nonlocal reads
        plane = read_picture(path, channel)
        if path.parent == fields[0].files[0].parent and path.name.startswith("field-1"):
            if reads == when:
                Image.fromarray(np.zeros((64, 64), np.uint8)).save(fields[1].files[0])
            reads += 1
        return plane

    monkeypatch.setattr("hpa_sdk.fields.reading.read_picture", read_and_write)
    answers = Predictor.load(model, device="cpu", threads=1).predict(fields, on_error="yield")
    failed = answers.pop(1)
    assert isinstance(failed, Failure)
    assert failed.error.what == "the file was changed while its field was read"
    assert failed.error.where == str(fields[1].files[0])
    assert all(isinstance(answer, Prediction) for answer in answers)


def test_a_change_within_a_tick_of_the_clock_shows(tmp_path: Path) -> None:
    """A file that was just written is looked at again when its next change must leave another time."""
    file = tmp_path / "a.tif"
    for seed in range(20):
        planes = random_planes(np.random.default_rng(seed))
        sample = write_planes(tmp_path, "a", planes, ".tif")
        read = read_field(sample)
        np.testing.assert_array_equal(read.planes, planes)
        other = random_planes(np.random.default_rng(seed + 100))
        write_planes(tmp_path, "a", other, ".tif")
        assert [FileState.of(file).stamp for file in sample.files] != [state.stamp for state in read.files]
    assert not file.exists()


def test_a_file_that_never_rests_is_refused(fields: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpa_sdk.fields.reading.time.sleep", lambda _: fields[0].files[2].touch())
    fields[0].files[2].touch()
    with pytest.raises(PlaneError, match="still being written"):
        read_field(fields[0])


@pytest.mark.parametrize(
    ("change", "waits"),
    [(0, 0.05), (-(10**9), 0.0), (10**9, 0.05), (2 * 86400 * 10**9, 0.0)],
    ids=["now", "a second ago", "by a clock ahead", "by a wrong clock"],
)
def test_how_long_a_new_file_is_left_alone(change: int, waits: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000_123_456_789
    monkeypatch.setattr(time, "time_ns", lambda: now)
    assert FileStamp(1, now + change).unsettled_seconds == waits
    assert FileStamp(1, 5, 5, now + change).unsettled_seconds == waits
    assert FileStamp(1, now // 10**9 * 10**9).unsettled_seconds == pytest.approx(2.1)
    assert FileStamp(1, sha256="ab").unsettled_seconds == 0


@pytest.mark.parametrize("part", ["size", "modified", "inode", "changed", "sha256"])
def test_every_known_part_of_a_stamp_counts(part: str) -> None:
    stamp = FileStamp(1, 2, 3, 4, "5")
    changed: Any = {part: "6" if part == "sha256" else 6}
    unknown: Any = {part: None}
    other = stamp._replace(**changed)
    assert stamp.matches(stamp)
    assert not stamp.matches(other)
    assert stamp.resembles(other) == (part in {"inode", "changed"})
    if part != "size":
        assert stamp.matches(stamp._replace(**unknown))
    assert FileStamp.of_text(stamp.to_text()) == stamp


def test_a_folder_s_stamp_is_that_of_all_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "0").write_bytes(b"abc")
    stamps = [stamp_of(folder)]

    def do(change: Callable[[], object]) -> None:
        time.sleep(0.02)
        change()
        stamps.append(stamp_of(folder))

    do(lambda: (folder / "0" / "1").write_bytes(b"ab"))
    do(lambda: (folder / "0" / "0").write_bytes(b"xyz"))
    do(lambda: swap(folder / "0" / "0", folder / "0" / "1"))
    do((folder / "0" / "1").unlink)
    assert len(set(stamps)) == len(stamps)
    assert stamp_of(folder) == stamps[-1]
    assert replace(FileState.of(folder), path="x") == FileState("x", stamps[-1])
