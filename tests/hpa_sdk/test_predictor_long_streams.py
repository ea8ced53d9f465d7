"""A long stream uses every core; one whose device is lost gives what it had, and leaves no thread."""

import itertools
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from hpa_sdk import Predictor, Sample
from hpa_sdk.cli import main
from hpa_sdk.errors import DeviceError
from hpa_sdk.inference.runtime_session import Fields
from hpa_sdk.inference.session import SHORT_STREAM
from hpa_sdk.inference.threads import ThreadPlan
from tests.session_spy import SessionSpy


class FailingSession(SessionSpy):
    """A session whose device is lost after some runs."""

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        if len(self.shapes) >= 3:
            raise RuntimeError("CUDA error 719")
        return super().run(fields)


def test_a_lost_device_loses_no_answer_and_leaves_no_thread(model: Path, fields: list[Sample]) -> None:
    predictor = Predictor.load(model, device="cpu", batch_size=2, threads=1)
    slot = predictor.session._take()
    slot.session = FailingSession(slot.session)
    predictor.session._slots.put(slot)
    seen: list[str] = []
    with pytest.raises(DeviceError, match="cpu failed while running the model"):
        seen.extend(answer.id for answer in predictor.stream(itertools.cycle(fields)))
    assert seen == [fields[at % 5].id for at in range(6)]  # three runs of two fields
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("hpa-worker")]
    with pytest.raises(DeviceError):  # again, and no hang
        predictor.predict(fields)


def test_a_long_stream_switches_to_a_field_per_core(model: Path, fields: list[Sample]) -> None:
    predictor = Predictor.load(model, device="cpu", threads=3)
    asked = list(itertools.islice(itertools.cycle(fields), 3 * SHORT_STREAM))
    answers = predictor.predict(asked)
    assert (
        predictor.session.for_many().plan
        == predictor.threads
        == ThreadPlan(workers=3, parallel_runs=3, threads_a_run=1)
    )
    alone = Predictor.load(model, device="cpu", threads=1).predict(fields)
    expected = {prediction.id: prediction.probabilities for prediction in alone}
    assert [answer.id for answer in answers] == [sample.id for sample in asked]
    for answer in answers:
        np.testing.assert_allclose(answer.probabilities, expected[answer.id], atol=1e-6)


def test_no_threads_is_refused_on_the_command_line(model: Path, fields: list[Sample]) -> None:
    for command in ("predict", "bench"):
        result = CliRunner().invoke(main, [command, str(model), str(fields[0].files[0]), "--threads", "0"])
        assert result.exit_code == 2
        assert "0 is not in the range x>=1" in result.stderr
