"""Chooses onnxruntime's options for each device. Returns only dictionaries, so it can be tested without a GPU."""

from __future__ import annotations

from pathlib import Path

from hpa_sdk.inference.devices import NVIDIA, Device
from hpa_sdk.inference.runtime_session import RuntimeSettings

_GIB = 2**30


# Threads that spin while they wait are faster on an idle machine, but take CPU time from others on a shared one.
SESSION_ENTRIES = {"session.intra_op.allow_spinning": "0"}
"""Configuration of every session, independent of the processor."""

EXACT_INT8 = {"session.x64quantprecision": "1"}
"""Makes onnxruntime sum products of int8 in 32 bits on processors without VNNI too."""


def provider_options(device: Device, settings: RuntimeSettings) -> dict[str, str]:
    """Return the options of the device's provider. The caller's options override ours."""
    chosen: dict[str, str] = {}
    # If GPU 0 is named, onnxruntime also looks for it among plugins, and prints at each start that it found none.
    if device.kind in NVIDIA and device.index:
        chosen["device_id"] = str(device.index)
    if device.kind == "cuda":
        chosen |= {
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            # By default, CUDA uses TF32 for fp32 on GPUs that have it: 10 mantissa bits instead of 23.
            "use_tf32": "0",
        }
        if settings.gpu_memory is not None:
            chosen["gpu_mem_limit"] = str(int(settings.gpu_memory * _GIB / settings.parallel_runs))
    return chosen | dict(settings.options)


def engine_options(
    folder: Path | None, name: str, shape: tuple[int | str, ...], precision: str = "fp32"
) -> dict[str, str]:
    """Return TensorRT's options to build an engine for batches of one field up to all, and to cache it.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where engines and timings are cached: a separate folder for each combination of model and versions.
    name : str
        Name of the model's input.
    shape : tuple of int or str
        Shape of a full batch. A str marks an open dimension, and the engine is then built for the shapes that occur.
    precision : str
        ``"fp16"`` if the file computes in it.
    """
    # For these options onnxruntime accepts only "True" and "False". CUDA's options also accept "1" and "0".
    options = {"trt_fp16_enable": "True"} if precision == "fp16" else {}
    if all(isinstance(length, int) for length in shape):
        ends = {"min": (1, *shape[1:]), "opt": shape, "max": shape}
        options |= {f"trt_profile_{end}_shapes": f"{name}:{'x'.join(map(str, of))}" for end, of in ends.items()}
    if folder is not None:
        options |= {f"trt_{what}_cache_enable": "True" for what in ("engine", "timing")}
        options |= {f"trt_{what}_cache_path": str(folder) for what in ("engine", "timing")}
    return options
