"""Refuses a batch that memory can't hold before it is tried, and names one that fits."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from dataclasses import dataclass

from hpa_sdk.errors import SettingError
from hpa_sdk.inference.container_limits import granted_memory
from hpa_sdk.inference.devices import NVIDIA, Device, open_card

TRIED_FIELDS = 8
"""Fields that are run to see what a field takes."""

_RESERVE = 1.5  # intermediate results of a larger batch are laid out less tightly, and the next batches are read too
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a device in bytes.

    Attributes
    ----------
    free : int
        That can still be had.
    taken : int
        That is in use: by this process in the machine's memory, by all processes in a card's.
    """

    free: int
    taken: int


def memory_of(device: Device) -> Memory | None:
    """Read the memory of a device; None where it can't be told."""
    if device.kind in NVIDIA:
        return _card_memory(device.index)
    # Imported here: hardly any start needs it.
    psutil = importlib.import_module("psutil")
    available = psutil.virtual_memory().available
    granted = granted_memory()
    return Memory(available if granted is None else min(available, granted), psutil.Process().memory_info().rss)


def check_batch(
    device: Device, batch_size: int, *, parallel_runs: int, field_bytes: int, run: Callable[[], object]
) -> None:
    """Refuse a batch that memory can't hold.

    Parameters
    ----------
    device : Device
        Where it is to run.
    batch_size : int
        Fields a run.
    parallel_runs : int
        Runs at once.
    field_bytes : int
        Bytes of one field as the model takes it: no batch takes less.
    run : callable
        Runs `TRIED_FIELDS` fields once.

    Raises
    ------
    SettingError
        It is too large; the message names the largest that fits.
    """
    before = memory_of(device)
    if before is None:
        return
    _refuse(batch_size, field_bytes * parallel_runs, before.free)
    # Twice, since arenas grow once more on the second run.
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
    card = open_card(index)
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    # The runtime's own context of the card, retained for the question alone.
    if card is None or card.driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), card.handle):
        return None
    card.driver.cuCtxPushCurrent_v2(context)
    told = card.driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
    card.driver.cuCtxPopCurrent_v2(ctypes.byref(context))
    card.driver.cuDevicePrimaryCtxRelease_v2(card.handle)
    return None if told else Memory(free.value, total.value - free.value)
