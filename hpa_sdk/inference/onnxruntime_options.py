"""Chooses onnxruntime's options for each device; only dictionaries, so that they can be read without a card."""

from __future__ import annotations

from pathlib import Path

from hpa_sdk.inference.devices import NVIDIA, Device
from hpa_sdk.inference.runtime_session import RuntimeSettings

_GIB = 2**30


# A thread that waits in a loop answers sooner on an idle machine, and takes the cores of others on a shared one.
SESSION_ENTRIES = {"session.intra_op.allow_spinning": "0"}
"""Configuration of every session: nothing that depends on the processor."""

EXACT_INT8 = {"session.x64quantprecision": "1"}
"""What makes onnxruntime sum products of int8 in 32 bits on processors without VNNI too."""


def provider_options(device: Device, settings: RuntimeSettings) -> dict[str, str]:
    """Give the options of the device's provider; the caller's own go before ours."""
    chosen: dict[str, str] = {}
    # Named, the first card is looked for among plugins too, and that none is found is printed at each start.
    if device.kind in NVIDIA and device.index:
        chosen["device_id"] = str(device.index)
    if device.kind == "cuda":
        chosen |= {
            "cudnn_conv_algo_search": "HEURISTIC",
            "arena_extend_strategy": "kSameAsRequested",
            # Left to itself, CUDA takes TF32 for fp32 where the card has it: 10 bits of a product instead of 23.
            "use_tf32": "0",
        }
        if settings.gpu_memory is not None:
            chosen["gpu_mem_limit"] = str(int(settings.gpu_memory * _GIB / settings.parallel_runs))
    return chosen | dict(settings.options)


def engine_options(
    folder: Path | None, name: str, shape: tuple[int | str, ...], precision: str = "fp32"
) -> dict[str, str]:
    """Give the options by which TensorRT builds an engine for batches of one field or of all, and keeps it.

    Parameters
    ----------
    folder : pathlib.Path or None
        Where engines and timings are kept: a folder of its own for each model and versions.
    name : str
        Of the model's input.
    shape : tuple of int or str
        Of a full batch; a str where a dimension stays open, and the engine is built for the shapes that come.
    precision : str
        ``"fp16"`` where the file computes in it.
    """
    # Of these options onnxruntime reads "True" and "False" alone, while CUDA's may be "1" and "0".
    options = {"trt_fp16_enable": "True"} if precision == "fp16" else {}
    if all(isinstance(length, int) for length in shape):
        ends = {"min": (1, *shape[1:]), "opt": shape, "max": shape}
        options |= {f"trt_profile_{end}_shapes": f"{name}:{'x'.join(map(str, of))}" for end, of in ends.items()}
    if folder is not None:
        options |= {f"trt_{what}_cache_enable": "True" for what in ("engine", "timing")}
        options |= {f"trt_{what}_cache_path": str(folder) for what in ("engine", "timing")}
    return options
