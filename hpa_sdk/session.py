"""Opens a model on a device that really runs it, and runs it on batches of images or planes."""

from __future__ import annotations

import base64
import logging
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.devices import AUTOMATIC, PROVIDERS, Device, load_onnxruntime, obstacles
from hpa_sdk.errors import DeviceError, ModelFileError
from hpa_sdk.onnx_file import runtime_source

Probabilities = npt.NDArray[np.float32]
"""float32 of shape (N, 28), 0 to 1."""

Embeddings = npt.NDArray[np.float32]
"""float32 of shape (N, 512): the output of the dense layer before the last."""

BATCH_SIZE = {"tensorrt": 32, "cuda": 32, "openvino": 1, "cpu": 1}
"""Fields a run unless the caller says otherwise. On a CPU larger batches are no faster, only later."""

LARGEST_RUN = 256 * 1024 * 1024
"""Largest input of one run in bytes. Planes come in any size: a batch of large ones is run in parts."""

_FIXED_SHAPE = ("tensorrt", "cuda")
_ELEMENT_TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
_WARM_SIDE = 512
_PROVIDER_OPTIONS: dict[str, dict[str, str]] = {
    "cuda": {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"},
}
_ERRORS_ONLY = 3
_GIB = 2**30

# The smallest ONNX file with the contract's names: a 1x1 convolution, so that cuDNN is asked for too, and a Relu.
_PROBE = base64.b64decode(
    "CAg60QEKHwoFaW1hZ2UKAXcSDXByb2JhYmlsaXRpZXMiBENvbnYKIAoNcHJvYmFiaWxpdGllcxIJZW1iZWRkaW5nIgRSZWx1EgVw"
    "cm9iZSoTCAEIAQgBCAEQAUIBd0oEAACAP1ogCgVpbWFnZRIXChUIARIRCgMSAU4KAggBCgIIAQoCCAFiKAoNcHJvYmFiaWxpdGll"
    "cxIXChUIARIRCgMSAU4KAggBCgIIAQoCCAFiJAoJZW1iZWRkaW5nEhcKFQgBEhEKAxIBTgoCCAEKAggBCgIIAUIECgAQEg=="
)

_log = logging.getLogger("hpa_sdk")
_said: set[str] = set()


class Session:
    """A model on a device.

    Runs come from any thread, one at a time. Where the device likes equal shapes, a short batch is padded and the
    answers to the padding are cut off; planes of another size are another shape all the same.

    Parameters
    ----------
    model : pathlib.Path or bytes
        An ONNX file or its content.
    device : Device
        Where to run it.
    batch_size : int, optional
        Fields a run. Default: `BATCH_SIZE` of the device.
    fixed_shape : bool, optional
        Whether every run has exactly `batch_size` fields. Default: as the device likes it.
    gpu_memory : float, optional
        GiB of a graphics card's memory that the CUDA provider may take for weights and intermediate results; cuDNN and
        CUDA itself take some more. Default: what it needs. Nothing on other devices.

    Attributes
    ----------
    device : Device
        Read back from the runtime.
    providers : tuple of str
        onnxruntime's providers in use, read back from the runtime, first choice first.
    batch_size : int
        Fields a run.

    Raises
    ------
    DeviceError
        The runtime does not run the model on this device, or there is no runtime.
    ModelFileError
        The runtime can't open the model on any device.
    """

    def __init__(
        self,
        model: Path | bytes,
        device: Device,
        *,
        batch_size: int | None = None,
        fixed_shape: bool | None = None,
        gpu_memory: float | None = None,
    ) -> None:
        self._runtime = _open_runtime(model, device, gpu_memory)
        self._input = self._runtime.get_inputs()[0]
        self.providers: tuple[str, ...] = tuple(self._runtime.get_providers())
        self.device = _read_back(self._runtime)
        if self.device.kind != device.kind:
            raise DeviceError(f"onnxruntime put the model on {self.device}, not on {device}", remedy=_ASK_DOCTOR)
        self.batch_size = batch_size or BATCH_SIZE[device.kind]
        self._fixed_shape = device.kind in _FIXED_SHAPE if fixed_shape is None else fixed_shape
        self._lock = threading.Lock()

    def run(self, fields: npt.NDArray[np.float32 | np.uint8]) -> tuple[Probabilities, Embeddings]:
        """Run the model.

        Parameters
        ----------
        fields : numpy.ndarray
            What the model takes: images, float32 of shape (N, 299, 299, 3), 0 to 1; or planes, uint8 of shape
            (N, 4, H, W). Any N.

        Returns
        -------
        probabilities : numpy.ndarray
            float32 of shape (N, 28), 0 to 1.
        embeddings : numpy.ndarray
            float32 of shape (N, 512).

        Raises
        ------
        DeviceError
            The device failed.
        """
        count = self._fields_a_run(fields)
        runs = [self._run_once(fields[at : at + count], count) for at in range(0, len(fields), count)]
        probabilities, embeddings = zip(*runs, strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)

    def warm_up(self) -> None:
        """Run once on a full batch of empty fields, so that the first real run is not slow."""
        if self._fixed_shape:
            shape = [_WARM_SIDE if isinstance(length, str) else length for length in self._input.shape[1:]]
            self.run(np.zeros((self.batch_size, *shape), _ELEMENT_TYPES[self._input.type]))

    def _fields_a_run(self, fields: npt.NDArray[np.float32 | np.uint8]) -> int:
        return min(self.batch_size, max(1, LARGEST_RUN // (fields.itemsize * math.prod(fields.shape[1:]))))

    def _run_once(self, fields: npt.NDArray[np.float32 | np.uint8], full: int) -> list[npt.NDArray[np.float32]]:
        count = len(fields)
        if self._fixed_shape and count < full:
            fields = np.concatenate([fields, np.zeros((full - count, *fields.shape[1:]), fields.dtype)])
        try:
            with self._lock:
                outputs = self._runtime.run(["probabilities", "embedding"], {self._input.name: fields})
        except Exception as error:  # onnxruntime's exceptions share no base class of their own
            raise DeviceError(
                f"{self.device} failed while running the model ({error})",
                remedy="Try a smaller batch size, or device='cpu'.",
            ) from error
        return [output[:count] for output in outputs]


def open_session(
    model: Path, device: str, *, batch_size: int | None = None, gpu_memory: float | None = None
) -> Session:
    """Open a model on a named device, or on the best one that really works.

    Parameters
    ----------
    model : pathlib.Path
        An ONNX file.
    device : str
        ``"auto"``, or the name of a device. ``"auto"`` says in one line, once a process, why it took no better one.
    batch_size, gpu_memory : optional
        As for `Session`.

    Raises
    ------
    DeviceError
        A device that was asked for by name can't be had.
    ModelFileError
        The runtime can't open the model.
    """
    if device != "auto":
        return _try(model, Device.parse(device), batch_size, gpu_memory)
    reasons: list[str] = []
    *better, last_resort = AUTOMATIC
    for kind in better:
        try:
            session = _try(model, Device(kind), batch_size, gpu_memory)
        except DeviceError as error:
            reasons.append(error.what)
        else:
            break
    else:
        session = _try(model, Device(last_resort), batch_size, gpu_memory)
    if reasons:
        _say_once(f"Using {session.device}: {'; '.join(reasons)}.")
    return session


def try_device(device: Device) -> None:
    """Run a very small network on a device.

    Raises
    ------
    DeviceError
        The device can't be used; the message says why.
    """
    _try(_PROBE, device, 1).run(np.zeros((1, 1, 1, 1), np.float32))


def _try(model: Path | bytes, device: Device, batch_size: int | None, gpu_memory: float | None = None) -> Session:
    found = obstacles(device)
    if found:
        raise DeviceError(f"{device} can't be used: {'; '.join(found)}", remedy=_ASK_DOCTOR)
    session = Session(model, device, batch_size=batch_size, gpu_memory=gpu_memory)
    session.warm_up()
    return session


_ASK_DOCTOR = "Run 'hpa doctor' to see what each device needs, or use device='auto' or 'cpu'."


def _open_runtime(model: Path | bytes, device: Device, gpu_memory: float | None) -> Any:  # noqa: ANN401 - onnxruntime has no types
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    provider_options = dict(_PROVIDER_OPTIONS.get(device.kind, {}))
    if device.kind in _FIXED_SHAPE:
        provider_options["device_id"] = str(device.index)
    if device.kind == "cuda" and gpu_memory is not None:
        provider_options["gpu_mem_limit"] = str(int(gpu_memory * _GIB))
    source = model if isinstance(model, bytes) else runtime_source(model)
    try:
        return onnxruntime.InferenceSession(
            source,
            options,
            providers=[(device.provider, provider_options)],
            # Left on, it would move a failing session to another provider with a line on stdout and no error.
            enable_fallback=0,
        )
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        if device.kind == "cpu":
            raise ModelFileError(
                f"onnxruntime can't open the model ({error})",
                where=None if isinstance(model, bytes) else model,
                remedy="Export it again with python -m export onnx.",
            ) from error
        raise DeviceError(f"{device} can't open the model ({error})", remedy=_ASK_DOCTOR) from error


def _read_back(runtime: Any) -> Device:  # noqa: ANN401 - onnxruntime has no types
    provider = runtime.get_providers()[0]
    kind = next((kind for kind, name in PROVIDERS.items() if name == provider), provider)
    return Device(kind, int(runtime.get_provider_options()[provider].get("device_id", 0)))


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        _log.warning(line)
