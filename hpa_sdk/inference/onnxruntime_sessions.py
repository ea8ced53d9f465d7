"""Opens a model in onnxruntime, on a CPU or an NVIDIA GPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import SettingError
from hpa_sdk.inference.compiled_cache import cached_path, make_cache_folder, open_cached
from hpa_sdk.inference.devices import PROVIDERS, Device, gpu_name, load_onnxruntime
from hpa_sdk.inference.int8_overflow import int8_overflows, session_entries
from hpa_sdk.inference.onnxruntime_options import SESSION_ENTRIES, engine_options, provider_options
from hpa_sdk.inference.runtime_session import Fields, ModelInput, RuntimeSettings
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.models.onnx_file import describe_onnx

_ELEMENT_TYPES: dict[str, type[np.float32 | np.uint8]] = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
_ERRORS_ONLY = 3
_ON = ("1", "True", "true")

_log = logging.getLogger("hpa_sdk")


def open_onnxruntime_sessions(
    model: ModelContent, device: Device, settings: RuntimeSettings
) -> Sequence[OnnxRuntimeSession | ThreadedRuntimeSession]:
    """Open a model. Exceptions of onnxruntime are not converted.

    On a CPU all runs share one session, and each runs on the calling thread. On a GPU each parallel run has its own
    session, and so its own stream, so that one can copy data while another computes.
    """
    if device.kind == "cpu":
        session = OnnxRuntimeSession(_open_on_cpu(model, settings), settings.outputs)
        return [session] * settings.parallel_runs
    return [ThreadedRuntimeSession(_session_on_gpu(model, device, settings)) for _ in range(settings.parallel_runs)]


class OnnxRuntimeSession:
    """An onnxruntime session; see `hpa_sdk.inference.runtime_session.RuntimeSession`.

    Parameters
    ----------
    runtime : onnxruntime.InferenceSession
        The session.
    outputs : tuple of str
        The outputs that a run returns.
    batch_sizes : tuple of int
        The only batch sizes that it is given, if the runtime prefers equal shapes.
    """

    def __init__(self, runtime: Any, outputs: tuple[str, ...], batch_sizes: tuple[int, ...] = ()) -> None:  # noqa: ANN401 - onnxruntime has no types
        self._runtime = runtime
        self._outputs = outputs
        self.input = _input_of(runtime)
        self.batch_sizes = batch_sizes if self.input.batch is None else (self.input.batch,)
        self.providers: tuple[str, ...] = tuple(runtime.get_providers())
        self.device = _read_back(runtime)

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model on a batch."""
        outputs: list[npt.NDArray[np.float32]] = self._runtime.run(self._outputs, {self.input.name: fields})
        return outputs


class BoundRuntimeSession(OnnxRuntimeSession):
    """A session with fixed buffers for input and outputs on the device, one set for each batch size.

    Parameters
    ----------
    runtime : onnxruntime.InferenceSession
        The session, whose input has one fixed shape.
    device : Device
        Where it runs.
    outputs : tuple of str
        The outputs that a run returns, each of one width.
    batch_sizes : tuple of int
        Numbers of fields in a run.
    """

    def __init__(self, runtime: Any, device: Device, outputs: tuple[str, ...], batch_sizes: tuple[int, ...]) -> None:  # noqa: ANN401 - as above
        super().__init__(runtime, outputs, batch_sizes)
        self._buffers = {size: _BoundBuffers(runtime, device, self.input, outputs, size) for size in self.batch_sizes}

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model on a full batch."""
        return self._buffers[len(fields)].run(fields)


class _BoundBuffers:
    """Buffers on the device for the input and outputs of one batch size. A CUDA graph needs fixed buffers."""

    def __init__(
        self,
        runtime: Any,  # noqa: ANN401 - as above
        device: Device,
        taken: ModelInput,
        outputs: tuple[str, ...],
        batch_size: int,
    ) -> None:
        onnxruntime = load_onnxruntime()
        value = onnxruntime.OrtValue
        self._runtime = runtime
        empty = np.zeros((batch_size, *(length or 0 for length in taken.shape)), taken.dtype)
        self._fields = value.ortvalue_from_numpy(empty, device.kind, device.index)
        self._binding = runtime.io_binding()
        self._binding.bind_ortvalue_input(taken.name, self._fields)
        widths = {output.name: output.shape[1:] for output in runtime.get_outputs()}
        self._outputs = [
            value.ortvalue_from_shape_and_type((batch_size, *widths[name]), np.float32, device.kind, device.index)
            for name in outputs
        ]
        for name, output in zip(outputs, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, output)
        self._options = onnxruntime.RunOptions()
        # With CUDA graphs enabled, each shape has its own graph.
        self._options.add_run_config_entry("gpu_graph_id", str(batch_size))

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        self._fields.update_inplace(fields)
        self._runtime.run_with_iobinding(self._binding, self._options)
        # A copy: on a CPU this is the session's own memory, which the next run overwrites.
        return [np.array(output.numpy()) for output in self._outputs]


class ThreadedRuntimeSession:
    """A session with its own thread, on which all of its runs execute.

    onnxruntime creates handles, work space and graphs on a GPU for each thread that runs a session, and replays a graph
    only on the thread that recorded it.
    """

    def __init__(self, session: OnnxRuntimeSession) -> None:
        self._session = session
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hpa-session")
        self.input = session.input
        self.providers = session.providers
        self.device = session.device
        self.batch_sizes = session.batch_sizes

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model on a batch."""
        return self._thread.submit(self._session.run, fields).result()


def _session_on_gpu(model: ModelContent, device: Device, settings: RuntimeSettings) -> OnnxRuntimeSession:
    runtime = _open_on_gpu(model, device, settings)
    fixed = settings.fixed_shape and _input_of(runtime).fixed
    batch_sizes = tuple(sorted({1, settings.batch_size})) if fixed else ()
    if device.kind == "cuda" and fixed and _have_widths(runtime, settings.outputs):
        return BoundRuntimeSession(runtime, device, settings.outputs, batch_sizes)
    if settings.options.get("enable_cuda_graph", "0") in _ON:
        raise SettingError(
            "a CUDA graph needs an input of one shape and outputs of one width, and those of this model are open",
            remedy="Leave enable_cuda_graph out, or take a file that was exported without --raw-planes.",
        )
    return OnnxRuntimeSession(runtime, settings.outputs, batch_sizes)


def _open_on_cpu(model: ModelContent, settings: RuntimeSettings) -> Any:  # noqa: ANN401 - as above
    onnxruntime = load_onnxruntime()
    made_by = {"runtime": f"onnxruntime {onnxruntime.__version__}"}
    # If sums are exact without help, optimizing the graph is as fast as reading the cached one and checking its hash.
    slow = settings.precision == "int8" and int8_overflows() is not False
    cached = cached_path(model, made_by, ".onnx") if slow else None

    def make(partial: Path | None) -> Any:  # noqa: ANN401 - as above
        if partial is not None:
            # Without the memory layout for this processor's registers, which is chosen again at each start.
            extended = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            _open(model.model, ("CPUExecutionProvider", {}), settings, level=extended, save_to=partial)
            return _open(partial.read_bytes(), ("CPUExecutionProvider", {}), settings)
        return _open(model.model, ("CPUExecutionProvider", {}), settings)

    return open_cached(cached, read=lambda content: _open(content, ("CPUExecutionProvider", {}), settings), make=make)


def _open_on_gpu(model: ModelContent, device: Device, settings: RuntimeSettings) -> Any:  # noqa: ANN401 - as above
    options = provider_options(device, settings)
    if device.kind == "cuda":
        return _open(model.model, (device.provider, options), settings)
    if model.identity.path is not None:
        options = _engine_options(model, device, settings) | options
    # Operators that TensorRT does not support run on the same GPU through CUDA, not on the CPU.
    behind = Device("cuda", device.index)
    return _open(
        model.model,
        (device.provider, options),
        settings,
        behind=(behind.provider, provider_options(behind, RuntimeSettings())),
    )


def _engine_options(model: ModelContent, device: Device, settings: RuntimeSettings) -> dict[str, str]:
    made_by = {
        "runtime": f"onnxruntime {load_onnxruntime().__version__}",
        "card": gpu_name(device.index),
        "batch": str(settings.batch_size),
        **settings.options,
    }
    folder = cached_path(model, made_by, "")
    if folder is not None and not make_cache_folder(folder):
        folder = None
    if folder is None or not any(folder.glob("*.engine")):
        _log.warning(
            "TensorRT builds an engine for this model, which takes minutes%s.",
            "" if folder is None else "; it is cached for the next start",
        )
    ((name, form),) = describe_onnx(memoryview(model.model), model.identity.where).inputs.items()
    batch = form.shape[0] if isinstance(form.shape[0], int) else settings.batch_size
    return engine_options(folder, name, (batch, *form.shape[1:]), settings.precision)


def _open(
    model: bytes,
    provider: tuple[str, dict[str, str]],
    settings: RuntimeSettings,
    *,
    behind: tuple[str, dict[str, str]] | None = None,
    level: Any = None,  # noqa: ANN401 - as above
    save_to: Path | None = None,
) -> Any:  # noqa: ANN401 - as above
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = settings.threads
    for name, value in (session_entries() if save_to is None else SESSION_ENTRIES).items():
        options.add_session_config_entry(name, value)
    if level is not None:
        options.graph_optimization_level = level
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    runtime = onnxruntime.InferenceSession(
        model,
        options,
        providers=[provider] if behind is None else [provider, behind],
        # The default would move a failing session to another provider, with a line on stdout and no error.
        enable_fallback=0,
    )
    # Needed only for such a move. It takes hundreds of megabytes for the life of the session.
    runtime._model_bytes = None  # noqa: SLF001 - there is no other way
    return runtime


def _input_of(runtime: Any) -> ModelInput:  # noqa: ANN401 - as above
    taken = runtime.get_inputs()[0]
    batch, *shape = (length if isinstance(length, int) else None for length in taken.shape)
    return ModelInput(taken.name, _ELEMENT_TYPES[taken.type], tuple(shape), batch)


def _have_widths(runtime: Any, outputs: tuple[str, ...]) -> bool:  # noqa: ANN401 - as above
    shapes = (output.shape[1:] for output in runtime.get_outputs() if output.name in outputs)
    return all(isinstance(length, int) for shape in shapes for length in shape)


def _read_back(runtime: Any) -> Device:  # noqa: ANN401 - as above
    provider = runtime.get_providers()[0]
    kind = next((kind for kind, name in PROVIDERS.items() if name == provider), provider)
    return Device(kind, int(runtime.get_provider_options()[provider].get("device_id", 0)))
