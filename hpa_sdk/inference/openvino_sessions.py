"""Opens a model in OpenVINO, which is faster than onnxruntime on many CPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.compiled_cache import cached_path, open_cached
from hpa_sdk.inference.devices import Device, load_openvino
from hpa_sdk.inference.runtime_session import Fields, ModelInput, RuntimeSettings
from hpa_sdk.models.model_content import ModelContent

_PROCESSOR = "CPU"
_ELEMENT_TYPES: dict[str, type[np.float32 | np.uint8]] = {"f32": np.float32, "u8": np.uint8}


def open_openvino_sessions(model: ModelContent, settings: RuntimeSettings) -> Sequence[OpenVinoSession]:
    """Open a model. Exceptions of OpenVINO are not converted."""
    core = load_openvino().Core()
    settled = runtime_options(settings)
    made_by = {
        "runtime": f"openvino {load_openvino().__version__}",
        "processor": core.get_property(_PROCESSOR, "FULL_DEVICE_NAME"),
        # Virtual machines use the same name for different processors.
        "capabilities": " ".join(core.get_property(_PROCESSOR, "OPTIMIZATION_CAPABILITIES")),
        "batch": str(settings.batch_size if settings.fixed_shape else 0),
        **{name: value for name, value in settled.items() if name not in _CHOSEN_AT_EACH_START},
    }

    def make(partial: Path | None) -> Any:  # noqa: ANN401 - OpenVINO's types are incomplete
        compiled = core.compile_model(_read(core, model, settings), _PROCESSOR, settled)
        if partial is not None:
            partial.write_bytes(compiled.export_model().getbuffer())
        return compiled

    compiled = open_cached(
        cached_path(model, made_by, ".openvino"),
        read=lambda content: core.import_model(content, _PROCESSOR, settled),
        make=make,
    )
    return [OpenVinoSession(compiled, settings) for _ in range(settings.parallel_runs)]


def runtime_options(settings: RuntimeSettings) -> dict[str, str]:
    """Return OpenVINO's options. The caller's options override ours."""
    return {
        # By default, OpenVINO uses bf16 on processors that have it, and label sets change.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": str(settings.threads * settings.parallel_runs),
        "NUM_STREAMS": str(settings.parallel_runs),
        # Pinned to the first cores, two processes would share them and leave the other cores idle.
        "ENABLE_CPU_PINNING": "NO",
        **settings.options,
    }


_CHOSEN_AT_EACH_START = ("INFERENCE_NUM_THREADS", "NUM_STREAMS", "ENABLE_CPU_PINNING")


class OpenVinoSession:
    """An inference request to a compiled model. See `hpa_sdk.inference.runtime_session.RuntimeSession`."""

    def __init__(self, compiled: Any, settings: RuntimeSettings) -> None:  # noqa: ANN401 - OpenVINO's types are incomplete
        taken = compiled.input(0)
        batch, *shape = (length.get_length() if length.is_static else None for length in list(taken.partial_shape))
        self.input = ModelInput(taken.any_name, _ELEMENT_TYPES[taken.element_type.get_type_name()], tuple(shape), batch)
        self.providers: tuple[str, ...] = tuple(
            f"OpenVINO {name}" for name in compiled.get_property("EXECUTION_DEVICES")
        )
        self.batch_sizes: tuple[int, ...] = () if batch is None else (batch,)
        self._outputs = settings.outputs
        self.device = Device("openvino")
        self._request = compiled.create_infer_request()

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model on a batch."""
        self._request.infer({self.input.name: fields}, share_inputs=True)
        return [np.array(self._request.get_tensor(name).data) for name in self._outputs]


def _read(core: Any, model: ModelContent, settings: RuntimeSettings) -> Any:  # noqa: ANN401 - as above
    read = core.read_model(model.model)
    shape = read.input(0).partial_shape
    # Planes of any size run in batches limited by memory, so their batch size is not fixed either.
    if settings.fixed_shape and not shape[0].is_static and all(length.is_static for length in list(shape)[1:]):
        shape[0] = settings.batch_size
        read.reshape(shape)
    return read
