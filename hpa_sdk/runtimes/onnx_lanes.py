"""Opens a model in onnxruntime, on a processor or an NVIDIA card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.devices import PROVIDERS, Device, load_onnxruntime
from hpa_sdk.onnx_file import read_onnx, runtime_source
from hpa_sdk.runtimes.compiled import keep_folder, kept_path, open_kept
from hpa_sdk.runtimes.lane import OUTPUTS, Fields, LaneSettings, ModelInput
from hpa_sdk.runtimes.onnx_options import SESSION_ENTRIES, engine_options, provider_options

_ELEMENT_TYPES: dict[str, type[np.float32 | np.uint8]] = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
_ERRORS_ONLY = 3

_log = logging.getLogger("hpa_sdk")


def open_onnx_lanes(model: Path | bytes, device: Device, settings: LaneSettings) -> Sequence[OnnxLane]:
    """Open a model; whatever onnxruntime raises comes out.

    On a processor all lanes share one session, whose runs take the thread that asks for them. On a card each has a
    session, and so a stream, of its own, so that one copies while another computes.
    """
    if device.kind == "cpu":
        return [OnnxLane(_open_on_cpu(model, settings))] * settings.lanes
    lanes = []
    for _ in range(settings.lanes):
        runtime = _open_on_card(model, device, settings)
        bound = device.kind == "cuda" and settings.fixed_shape and _input_of(runtime).fixed
        lanes.append(BoundLane(runtime, device, settings.batch_size) if bound else OnnxLane(runtime))
    return lanes


class OnnxLane:
    """An onnxruntime session; see `hpa_sdk.runtimes.lane.Lane`."""

    def __init__(self, runtime: Any) -> None:  # noqa: ANN401 - onnxruntime has no types
        self._runtime = runtime
        self.input = _input_of(runtime)
        self.providers: tuple[str, ...] = tuple(runtime.get_providers())
        self.device = _read_back(runtime)

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model on a batch."""
        outputs: list[npt.NDArray[np.float32]] = self._runtime.run(OUTPUTS, {self.input.name: fields})
        return outputs


class BoundLane(OnnxLane):
    """A session whose input and outputs lie at fixed places on the device, as a CUDA graph needs them.

    Parameters
    ----------
    runtime : onnxruntime.InferenceSession
        With an input of one shape.
    device : Device
        Where it runs.
    batch_size : int
        Fields of every run.
    """

    def __init__(self, runtime: Any, device: Device, batch_size: int) -> None:  # noqa: ANN401 - as above
        super().__init__(runtime)
        value = load_onnxruntime().OrtValue
        empty = np.zeros((batch_size, *(length or 0 for length in self.input.shape)), self.input.dtype)
        self._fields = value.ortvalue_from_numpy(empty, device.kind, device.index)
        self._binding = runtime.io_binding()
        self._binding.bind_ortvalue_input(self.input.name, self._fields)
        widths = {output.name: output.shape[1:] for output in runtime.get_outputs()}
        self._outputs = [
            value.ortvalue_from_shape_and_type((batch_size, *widths[name]), np.float32, device.kind, device.index)
            for name in OUTPUTS
        ]
        for name, output in zip(OUTPUTS, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, output)

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model on a full batch."""
        self._fields.update_inplace(fields)
        self._runtime.run_with_iobinding(self._binding)
        # A copy: on a processor this is the device's own memory, which the next run overwrites.
        return [np.array(output.numpy()) for output in self._outputs]


def _open_on_cpu(model: Path | bytes, settings: LaneSettings) -> Any:  # noqa: ANN401 - as above
    onnxruntime = load_onnxruntime()
    made_by = {"runtime": f"onnxruntime {onnxruntime.__version__}"}
    kept = kept_path(model, made_by, ".onnx") if settings.quantized else None

    def make(partial: Path | None) -> Any:  # noqa: ANN401 - as above
        if partial is not None:
            # Without the layout of this very processor's registers, which is chosen anew at each start.
            extended = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            _open(model, ("CPUExecutionProvider", {}), settings, level=extended, save_to=partial)
            return _open(partial, ("CPUExecutionProvider", {}), settings)
        return _open(model, ("CPUExecutionProvider", {}), settings)

    return open_kept(kept, read=lambda path: _open(path, ("CPUExecutionProvider", {}), settings), make=make)


def _open_on_card(model: Path | bytes, device: Device, settings: LaneSettings) -> Any:  # noqa: ANN401 - as above
    options = provider_options(device, settings)
    if device.kind == "tensorrt" and isinstance(model, Path):
        options = _engine_options(model, settings) | options
    return _open(model, (device.provider, options), settings)


def _engine_options(model: Path, settings: LaneSettings) -> dict[str, str]:
    # TensorRT tells its own version and the card apart in the names of its engines.
    made_by = {"runtime": f"onnxruntime {load_onnxruntime().__version__}", **settings.options}
    folder = kept_path(model, made_by, "")
    if folder is not None:
        keep_folder(folder)
    if folder is None or not any(folder.glob("*.engine")):
        _log.warning("TensorRT builds an engine for this model, which takes minutes; it is kept for the next start.")
    ((name, form),) = read_onnx(model).inputs.items()
    return engine_options(folder, name, (settings.batch_size, *form.shape[1:]))


def _open(
    model: Path | bytes,
    provider: tuple[str, dict[str, str]],
    settings: LaneSettings,
    *,
    level: Any = None,  # noqa: ANN401 - as above
    save_to: Path | None = None,
) -> Any:  # noqa: ANN401 - as above
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = settings.threads
    for name, value in SESSION_ENTRIES.items():
        options.add_session_config_entry(name, value)
    if level is not None:
        options.graph_optimization_level = level
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    return onnxruntime.InferenceSession(
        model if isinstance(model, bytes) else runtime_source(model),
        options,
        providers=[provider],
        # Left on, it would move a failing session to another provider with a line on stdout and no error.
        enable_fallback=0,
    )


def _input_of(runtime: Any) -> ModelInput:  # noqa: ANN401 - as above
    taken = runtime.get_inputs()[0]
    shape = tuple(length if isinstance(length, int) else None for length in taken.shape[1:])
    return ModelInput(taken.name, _ELEMENT_TYPES[taken.type], shape)


def _read_back(runtime: Any) -> Device:  # noqa: ANN401 - as above
    provider = runtime.get_providers()[0]
    kind = next((kind for kind, name in PROVIDERS.items() if name == provider), provider)
    return Device(kind, int(runtime.get_provider_options()[provider].get("device_id", 0)))
