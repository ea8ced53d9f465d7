"""``hpa bench`` measures what it says, and compares label sets with whatever it is set against."""

import json
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hpa_sdk import Predictor, Preprocessing, Sample
from hpa_sdk.bench import rates, report
from hpa_sdk.bench.baselines import study_image
from hpa_sdk.bench.rates import Spread, in_turn, latencies, rate
from hpa_sdk.bench.stages import Stages
from hpa_sdk.cli import main
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.inference import prepared_field
from tests.raw_model import make_raw_model
from tests.small import make_model

pytestmark = pytest.mark.slow

QUICK = ["--device", "cpu", "--threads", "2", "--seconds", "0.05", "--rounds", "2"]


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


def test_everything_is_measured_and_reported_as_json(small_model: Path, fields: list[Sample]) -> None:
    result = bench(small_model, fields[0].files[0].parent, *QUICK, "--fields", 3, "--against", "study-loop", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["device"], found["fields"], found["threads"]["parallel_runs"]) == ("cpu", 3, 2)
    assert 0 < found["single_stream_ms"]["p50"] <= found["single_stream_ms"]["p90"] <= found["single_stream_ms"]["p99"]
    assert set(found["stages_ms"]) == {"decode", "preprocess", "run", "write"}
    offline = found["offline"]
    assert offline["binding"] == "both on the same cores"
    for name in ("offline", "decoder", "reading", "raw_session", "ceiling", "share"):
        assert 0 < offline[name]["low"] <= offline[name]["median"] <= offline[name]["high"]
    assert found["against"]["same_label_sets"] == 1
    assert found["against"]["fields"] == 3


def test_the_quality_of_fields_can_be_left_out(
    model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[bool] = []

    def prepare(*given: Any, quality: bool) -> Any:
        measured.append(quality)
        return prepared_field.prepare(*given, quality=quality)

    monkeypatch.setattr("hpa_sdk.predictor.prepare", prepare)
    for options, expected in (([], {True}), (["--no-quality"], {False}), (["--against", "no-quality"], {True, False})):
        measured.clear()
        result = bench(model, fields[0].files[0], *QUICK, "--rounds", 1, *options)
        assert result.exit_code == 0, result.output
        assert set(measured) == expected
    assert "against the same file without quality, in turn" in result.stdout


def test_the_text_says_what_binds_and_how_often_label_sets_agree(
    small_model: Path, tmp_path: Path, fields: list[Sample]
) -> None:
    twin = make_model(tmp_path / "twin.onnx", name="twin")
    result = bench(small_model, *(sample.files[0] for sample in fields), *QUICK, "--against", twin)
    assert result.exit_code == 0, result.output
    assert "of the ceiling" in result.stdout
    assert "it is bound by both on the same cores" in result.stdout
    assert "against twin.onnx, in turn" in result.stdout
    assert "same label sets      100.0% of 5 fields" in result.stdout


def test_a_baseline_of_known_speed_and_answers(
    model: Path, fields: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_baseline.py").write_text(
        "import time, numpy as np\n"
        "class Slow:\n"
        "    def __init__(self, seconds): self.name, self.seconds = 'a slow one', float(seconds)\n"
        "    def answers(self, samples):\n"
        "        for _ in samples:\n"
        "            time.sleep(self.seconds)\n"
        "            yield np.ones(28, np.float32)\n"
        "open_baseline = Slow\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = fields[0].files[0].parent
    result = bench(model, folder, *QUICK, "--seconds", "0.3", "--against", "slow_baseline:0.05", "--json")
    assert result.exit_code == 0, result.output
    against = json.loads(result.stdout)["against"]
    assert against["baseline"] == "a slow one"
    assert 0 < against["theirs"]["median"] <= 20  # a busy machine is slower, none faster
    assert 0 < against["ratio"]["low"] <= against["ratio"]["median"] <= against["ratio"]["high"]
    expected = [prediction.labels for prediction in Predictor.load(model, device="cpu").predict(fields)]
    assert against["same_label_sets"] == np.mean([len(labels) == 28 for labels in expected])


@pytest.mark.parametrize("name", ["keras", "no.such.module:x", "json:x", "missing.onnx"])
def test_a_baseline_that_is_none_is_refused(model: Path, fields: list[Sample], name: str) -> None:
    result = bench(model, fields[0].files[0], *QUICK, "--against", name)
    assert result.exit_code == 2
    assert "benchmarks.keras_baseline:RUN" in result.stderr


def test_the_study_s_loop_takes_images_alone(tmp_path: Path, fields: list[Sample]) -> None:
    raw = make_raw_model(tmp_path / "raw.onnx")
    result = bench(raw, fields[0].files[0], *QUICK, "--against", "study-loop")
    assert result.exit_code == 2
    assert "exported without --raw-planes" in result.stderr


def test_a_field_that_can_t_be_read_stops_it_at_once(model: Path, fields: list[Sample]) -> None:
    fields[0].files[1].write_bytes(b"")
    result = bench(model, fields[0].files[0], *QUICK)
    assert result.exit_code == 2
    assert "the file is empty" in result.stderr


def test_the_study_s_image_is_the_sdk_s(fields: list[Sample]) -> None:
    for sample in fields:
        np.testing.assert_allclose(study_image(sample), Preprocessing()(read_planes(sample)), atol=1e-6)


@pytest.mark.parametrize(
    ("device", "binding", "ceiling"), [("cpu", "both on the same cores", 8.0), ("cuda", "session", 10.0)]
)
def test_the_ceiling(
    model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch, device: str, binding: str, ceiling: float
) -> None:
    predictor = Predictor.load(model, device="cpu")
    monkeypatch.setattr(type(predictor), "device", device)
    monkeypatch.setattr(report, "offline", lambda _: 6.0)
    for name, value in {"raw_session": 10.0, "reading": 40.0, "decoder": 50.0}.items():
        monkeypatch.setattr(Stages, name, lambda _, value=value: value)
    rounds: list[Any] = []
    found = report.measure_ceiling(Stages(predictor, fields, None, 1.0), 3, lambda: rounds.append(1))
    assert (found.binding, found.ceiling) == (binding, Spread(ceiling, ceiling, ceiling))
    assert found.share.median == pytest.approx(6 / ceiling)
    assert len(rounds) == 3


class Clock:
    """A clock that stands still but for the work that is said to be done."""

    now = 100.0

    def work(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rates, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_rates_and_latencies_are_those_of_a_clock(clock: Clock) -> None:
    closed = False

    def every(seconds: float) -> Generator[int]:
        nonlocal closed
        try:
            for number in range(10_000):
                clock.work(seconds if number >= 3 else 50)
                yield number
        finally:
            closed = True

    assert rate(every(0.125), seconds=2, unmeasured=3) == 8
    assert closed
    assert rate(every(5), seconds=2, unmeasured=3) == 0.2
    assert latencies(lambda: clock.work(0.25), seconds=1, least=7) == [0.25] * 7
    assert latencies(lambda: clock.work(0.25), seconds=3, least=7) == [0.25] * 12


def test_a_ratio_is_that_of_one_turn(
    model: Path, fields: list[Sample], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    class Slower:
        name = "one that slows down"

        def answers(self, samples: Iterator[Sample]) -> Generator[Any]:
            seconds = next(turns)
            for _ in samples:
                clock.work(seconds)
                yield np.zeros(28, np.float32)

    turns = iter([1, 0.5, 0.25, 1])  # the first is that of the label sets
    ours = iter([6.0, 8.0, 9.0])
    monkeypatch.setattr(report, "offline", lambda _: next(ours))
    stages = Stages(Predictor.load(model, device="cpu"), fields, None, 10.0)
    found = report.duel(stages, Slower(), 3, lambda: None)
    assert (found.ours, found.theirs) == (Spread(8, 6, 9), Spread(2, 1, 4))
    assert found.ratio == Spread(3, 2, 9)


def test_turns_alternate() -> None:
    seen: list[str] = []

    def recorded(name: str) -> float:
        seen.append(name)
        return len(seen)

    rows = list(in_turn({"a": lambda: recorded("a"), "b": lambda: recorded("b")}, 3))
    assert seen == ["a", "b"] * 3
    assert Spread.of([row["b"] for row in rows]) == Spread(4, 2, 6)
