"""Divides the cores between reading files and running the model, without using more than there are."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from hpa_sdk.errors import SettingError
from hpa_sdk.inference.container_limits import granted_cores
from hpa_sdk.inference.devices import NVIDIA

GPU_RUNS = 2
"""Parallel runs on a GPU: one computes while the next batch is copied to the GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadPlan:
    """How the cores are shared.

    Attributes
    ----------
    workers : int
        Threads that read files and then run the model on them.
    parallel_runs : int
        Number of simultaneous runs.
    threads_a_run : int
        CPU threads of the runtime per run.
    """

    workers: int
    parallel_runs: int
    threads_a_run: int

    @classmethod
    def for_one(cls, kind: str, threads: int | None) -> ThreadPlan:
        """Plan for the fastest answer to one field: all cores work on it.

        Parameters
        ----------
        kind : str
            Kind of device, such as ``"cpu"``.
        threads : int, optional
            Number of cores. Default: all that this process may use.

        Raises
        ------
        SettingError
            `threads` is less than 1.
        """
        cores = usable_cores() if threads is None else threads
        if cores < 1:
            raise SettingError(f"threads={threads} is too small", remedy="Give 1 or more, or leave it out.")
        if kind in NVIDIA:
            # A thread that waits for the GPU uses no core, so the parallel runs get threads in addition to the readers.
            return cls(workers=cores + GPU_RUNS, parallel_runs=GPU_RUNS, threads_a_run=1)
        return cls(workers=cores, parallel_runs=1, threads_a_run=cores)

    @classmethod
    def for_many(cls, kind: str, threads: int | None) -> ThreadPlan:
        """Plan for the highest throughput.

        On CPUs each core reads and runs its own field: nothing waits, and no core is used twice. On GPUs this is the
        same as `for_one`.
        """
        one = cls.for_one(kind, threads)
        return one if kind in NVIDIA else cls(workers=one.workers, parallel_runs=one.workers, threads_a_run=1)


def usable_cores() -> int:
    """Count the cores that this process may use. In a container these can be fewer than the machine has."""
    if sys.version_info >= (3, 13):
        cores = os.process_cpu_count() or 1
    elif sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, granted_cores() or cores)
