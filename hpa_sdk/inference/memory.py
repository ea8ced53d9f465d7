"""Refuses a batch that does not fit in memory before it is run, and reports a batch size that fits."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from dataclasses import dataclass

from hpa_sdk.errors import SettingError
from hpa_sdk.inference.container_limits import granted_memory
from hpa_sdk.inference.devices import NVIDIA, Device, open_card

TRIED_FIELDS = 8
"""Number of fields that are run to measure the memory per field."""

_RESERVE = 1.5  # larger batches use memory less efficiently, and the next batches are read meanwhile
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a device in bytes.

    Attributes
    ----------
    free : int
        That are still available.
    taken : int
        That are in use: by this process in the machine's memory, by all processes in a GPU's memory.
    """

    free: int
    taken: int


def memory_of(device: Device) -> Memory | None:
    """Return the memory of a device; None if it can't be determined."""
    if device.kind in NVIDIA:
        return _card_memory(device.index)
    # Imported here because most starts do not need it.
    psutil = importlib.import_module("psutil")
    available = psutil.virtual_memory().available
    granted = granted_memory()
    return Memory(available if granted is None else min(available, granted), psutil.Process().memory_info().rss)


def check_batch(
    device: Device, batch_size: int, *, parallel_runs: int, field_bytes: int, run: Callable[[], object]
) -> None:
    """Refuse a batch that does not fit in memory.

    Parameters
    ----------
    device : Device
        Where it will run.
    batch_size : int
        Fields per run.
    parallel_runs : int
        Number of simultaneous runs.
    field_bytes : int
        Bytes of one field in the model's input. No batch needs less per field.
    run : callable
        Runs `TRIED_FIELDS` fields once.

    Raises
    ------
    SettingError
        The batch is too large. The message gives the largest size that fits.
    """
    before = memory_of(device)
    if before is None:
        return
    _refuse(batch_size, field_bytes * parallel_runs, before.free)
    # Twice, because memory arenas grow again in the second run.
    for _ in range(2):
        run()
    after = memory_of(device) or before
    _refuse(batch_size, max(field_bytes, (after.taken - before.taken) // TRIED_FIELDS) * parallel_runs, before.free)


def _refuse(batch_size: int, a_field: int, free: int) -> None:
    fits = max(1, int(free / (_RESERVE * a_field)))
    if batch_size > fits:
        raise SettingError(
            f"batch_size={batch_size} needs about {_RESERVE * batch_size * a_field / _MEBIBYTE:,.0f} MiB"
            f" and {free / _MEBIBYTE:,.0f} are free",
            remedy=f"Give batch_size={fits} or less.",
        )


def _card_memory(index: int) -> Memory | None:
    gpu = open_card(index)
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    # Uses the runtime's own context of the GPU, retained only for this query.
    if gpu is None or gpu.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), gpu.handle):
        return None
    gpu.driver.cuCtxPushCurrent_v2(context)
    status = gpu.driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
    gpu.driver.cuCtxPopCurrent_v2(ctypes.byref(context))
    gpu.driver.cuDevicePrimaryCtxRelease_v2(gpu.handle)
    return None if status else Memory(free.value, total.value - free.value)
