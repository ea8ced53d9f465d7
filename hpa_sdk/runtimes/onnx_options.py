"""Chooses onnxruntime's options for each device; only dictionaries, so that they can be read without a card."""

from __future__ import annotations

from pathlib import Path

from hpa_sdk.devices import NVIDIA, Device
from hpa_sdk.runtimes.lane import LaneSettings

_GIB = 2**30


# A thread that waits in a loop answers sooner on an idle machine, and takes the cores of others on a shared one.
SESSION_ENTRIES = {"session.intra_op.allow_spinning": "0"}
"""Entries of every session's configuration."""


def provider_options(device: Device, settings: LaneSettings) -> dict[str, str]:
    """Give the options of the device's provider; the caller's own go before ours."""
    chosen: dict[str, str] = {}
    if device.kind in NVIDIA:
        chosen["device_id"] = str(device.index)
    if device.kind == "cuda":
        chosen |= {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        if settings.gpu_memory is not None:
            chosen["gpu_mem_limit"] = str(int(settings.gpu_memory * _GIB))
    return chosen | dict(settings.options)


def engine_options(folder: Path | None, name: str, shape: tuple[int | str, ...]) -> dict[str, str]:
    """Give the options by which TensorRT builds an engine for one shape and keeps it.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where engines and timings are kept: a folder of its own for each model and versions.
    name : str
        Of the model's input.
    shape : tuple of int or str
        Of every run; a str where a dimension stays open, and the engine is built for the shapes that come.
    """
    options: dict[str, str] = {}
    if all(isinstance(length, int) for length in shape):
        profile = f"{name}:{'x'.join(map(str, shape))}"
        options |= {f"trt_profile_{end}_shapes": profile for end in ("min", "opt", "max")}
    if folder is not None:
        options |= {f"trt_{what}_cache_enable": "1" for what in ("engine", "timing")}
        options |= {f"trt_{what}_cache_path": str(folder) for what in ("engine", "timing")}
    return options
