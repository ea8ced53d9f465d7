"""Compares the CPU time of model files, on a machine that may have other work."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from export.fields import Fields
from export.variants.variant import Parent
from hpa_sdk.inference.int8_overflow import session_entries

_ERRORS_ONLY = 3
_ROUNDS = 7
_TICK = 1 / 64 if os.name == "nt" else time.get_clock_info("process_time").resolution
_LEAST_TICKS = 20


def measure_cpu_times(
    models: Sequence[Path], inputs: Mapping[str, npt.NDArray[np.generic]], *, rounds: int
) -> npt.NDArray[np.float64]:
    """Measure the CPU time of one run of each model.

    The models take turns, so that other work on the machine affects all of them equally. Each runs on one thread, so
    that the CPU time of the process is the model's. If the clock of CPU time is coarse, as on Windows with 64 ticks a
    second, a turn has enough runs for 20 ticks.

    Parameters
    ----------
    models : sequence of pathlib.Path
        ONNX files with the same inputs.
    inputs : mapping of str to numpy.ndarray
        Their inputs.
    rounds : int
        Number of turns of each.

    Returns
    -------
    numpy.ndarray
        float64 of shape (rounds, models): seconds a run.
    """
    sessions = [_open(model) for model in models]
    repeats = [_count_runs(session, inputs) for session in sessions]
    times = np.empty((rounds, len(sessions)))
    for turn in range(rounds):
        for at, session in enumerate(sessions):
            start = time.process_time()
            for _ in range(repeats[at]):
                session.run(None, inputs)
            times[turn, at] = (time.process_time() - start) / repeats[at]
    return times


def measure_cpu_shares(parent: Parent, variant: Path, fields: Fields) -> npt.NDArray[np.float64]:
    """Measure the CPU time of a variant as a share of its parent's, on the first of some fields.

    Parameters
    ----------
    parent : Parent
        The file that the variant was made from.
    variant : pathlib.Path
        The variant.
    fields : Fields
        The fields, of which the first is used.

    Returns
    -------
    numpy.ndarray
        float64 of shape (7,): a share for each turn.
    """
    image = next(fields.images(parent.card.preprocessing))
    times = measure_cpu_times([parent.path, variant], parent.inputs_of(image), rounds=_ROUNDS)
    return times[:, 1] / times[:, 0]


def _count_runs(session: onnxruntime.InferenceSession, inputs: Mapping[str, npt.NDArray[np.generic]]) -> int:
    session.run(None, inputs)  # the first run takes longer
    start = time.perf_counter()
    session.run(None, inputs)
    return math.ceil(_LEAST_TICKS * _TICK / (time.perf_counter() - start))


def _open(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    for name, value in session_entries().items():
        options.add_session_config_entry(name, value)
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
