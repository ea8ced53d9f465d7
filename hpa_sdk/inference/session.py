"""Runs a model on batches of images or planes, only on the requested device."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import DeviceError, HpaError, ModelFileError, SettingError
from hpa_sdk.inference.devices import NVIDIA, Device
from hpa_sdk.inference.onnxruntime_sessions import open_onnxruntime_sessions
from hpa_sdk.inference.openvino_sessions import open_openvino_sessions
from hpa_sdk.inference.runtime_session import Fields, RuntimeSession, RuntimeSettings
from hpa_sdk.inference.threads import ThreadPlan
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.models.network_form import Tensors
from hpa_sdk.prediction import Probabilities, sigmoid

Embeddings = npt.NDArray[np.float32]
"""float32 of shape (N, E): the features before the last layer. E is 0 for a file that does not give them."""

BATCH_SIZE = {"tensorrt": 32, "cuda": 32, "openvino": 1, "cpu": 1}
"""Default number of fields per run. On a CPU larger batches are not faster and only delay the answers."""

LARGEST_RUN = 256 * 1024 * 1024
"""Largest input of one run in bytes. Planes have any size, so a batch of large ones is run in parts."""

SHORT_STREAM = 32
"""After this many runs, a stream opens a session for throughput."""

_FIXED_SHAPE = (*NVIDIA, "openvino")
_WARM_SIDE = 512
ASK_DOCTOR = "Run 'hpa doctor' to see what each device needs, or use device='auto' or 'cpu'."
"""What to do if a device is not available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How to use a device.

    Attributes
    ----------
    batch_size : int or None
        Fields per run. None: `BATCH_SIZE` of the device.
    threads : int or None
        Number of cores. None: all that this process may use.
    gpu_memory : float or None
        GiB of GPU memory that the CUDA provider may use for weights and intermediate results, for all simultaneous
        runs together. cuDNN and CUDA itself use some more. None: as much as needed. No effect on other devices.
    options : mapping of str to str
        Options of the device's runtime by its own names: onnxruntime's provider options, or OpenVINO's properties. They
        override ours.
    precision : str
        Of the file: ``"fp32"``, ``"fp16"`` or ``"int8"``. The int8 graph that onnxruntime optimizes is cached.
    winograd : bool
        Whether the file is made only for onnxruntime on CPUs. See
        `hpa_sdk.models.model_card.ModelCard.winograd`.
    tensors : Tensors
        Names and meanings of the file's outputs.

    Raises
    ------
    SettingError
        A number is out of range.
    """

    batch_size: int | None = None
    threads: int | None = None
    gpu_memory: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    precision: str = "fp32"
    winograd: bool = False
    tensors: Tensors = field(default_factory=Tensors)

    def __post_init__(self) -> None:
        """Check the numbers. `threads` is checked when the `ThreadPlan` is made."""
        if self.batch_size is not None and self.batch_size < 1:
            raise SettingError(f"batch_size={self.batch_size} is too small", remedy="Give 1 or more, or leave it out.")
        if self.gpu_memory is not None and not self.gpu_memory > 0:
            raise SettingError(
                f"gpu_memory={self.gpu_memory} is no memory", remedy="Give GiB above 0, or leave it out."
            )


class Session:
    """A model on a device.

    Any thread may call `run`. The plan limits the number of simultaneous runs, and further runs wait. If the device
    prefers equal shapes, a short batch is padded and the answers for the padding are removed. Planes of another size
    still have another shape.

    Parameters
    ----------
    model : pathlib.Path, bytes or ModelContent
        An ONNX file, or its content. A file is read once. Later changes of the file have no effect.
    device : Device
        Where to run it.
    settings : SessionSettings, optional
        How to use the device.
    batch_size : int, optional
        Overrides the batch size of the settings.
    fixed_shape : bool, optional
        Whether every run has exactly `batch_size` fields. Default: depends on the device.
    plan : ThreadPlan, optional
        How to share the cores. Default: for the fastest answer to one field.

    Attributes
    ----------
    device : Device
        The device, as the runtime reports it.
    providers : tuple of str
        Parts of the runtime in use, as it reports them, first choice first: onnxruntime's providers, or OpenVINO's
        devices.
    batch_size : int
        Fields per run.
    threads : int or None
        As requested.
    plan : ThreadPlan
        How the cores are shared.

    Raises
    ------
    DeviceError
        The runtime does not run the model on this device, or no runtime is installed.
    ModelFileError
        The runtime can't open the model on any device.
    SettingError
        A number of threads is out of range.
    """

    def __init__(
        self,
        model: Path | bytes | ModelContent,
        device: Device,
        settings: SessionSettings | None = None,
        *,
        batch_size: int | None = None,
        fixed_shape: bool | None = None,
        plan: ThreadPlan | None = None,
    ) -> None:
        settings = settings or SessionSettings()
        self.threads = settings.threads
        content = ModelContent.of(model)
        self.batch_size = batch_size or settings.batch_size or BATCH_SIZE[device.kind]
        self._fixed_shape = device.kind in _FIXED_SHAPE if fixed_shape is None else fixed_shape
        self.plan = plan or ThreadPlan.for_one(device.kind, settings.threads)
        sessions = _open_sessions(content, device, self._runtime_settings(settings))
        self._input = sessions[0].input
        if self._input.batch is not None:
            self.batch_size = self._input.batch
        self._tensors = settings.tensors
        self.providers = sessions[0].providers
        self.device = sessions[0].device
        if self.device.kind != device.kind:
            raise DeviceError(f"the runtime put the model on {self.device}, not on {device}", remedy=ASK_DOCTOR)
        self._slots: SimpleQueue[_Slot | None] = SimpleQueue()  # None: closed
        for session in sessions:
            self._slots.put(_Slot(session))
        self._many: Session | None = None
        for_many = ThreadPlan.for_many(device.kind, settings.threads)
        self._open_many: Callable[[], Session] | None = None
        if self.plan != for_many:
            self._open_many = partial(
                Session, content, device, settings, batch_size=batch_size, fixed_shape=fixed_shape, plan=for_many
            )
        self._opening = threading.Lock()

    def _runtime_settings(self, settings: SessionSettings) -> RuntimeSettings:
        return RuntimeSettings(
            outputs=settings.tensors.outputs,
            parallel_runs=self.plan.parallel_runs,
            threads=self.plan.threads_a_run,
            batch_size=self.batch_size,
            fixed_shape=self._fixed_shape,
            gpu_memory=settings.gpu_memory,
            options=settings.options,
            precision=settings.precision,
        )

    def for_many(self) -> Session:
        """Return a session for the highest throughput: another one, opened on first use, or this if equally good."""
        with self._opening:
            if self._open_many is not None:
                self._many = self._open_many()
                self._open_many = None  # this also frees the model's bytes, which are not needed any more
        return self._many or self

    def after(self, runs: int) -> Session:
        """Return the session for the next run of a stream, after the given number of runs.

        Opening the second session takes as long as several runs, so this is done only for a long stream.
        """
        # Even when it is open, fewer fields than cores are faster one by one, with all cores for each.
        short = SHORT_STREAM if self._many is None else self.plan.threads_a_run
        return self if runs < short else self.for_many()

    def run(self, fields: Sequence[Fields] | Fields) -> tuple[Probabilities, Embeddings]:
        """Run the model.

        Parameters
        ----------
        fields : numpy.ndarray or sequence of numpy.ndarray
            The model's input, any N of one shape: images, float32, for the study of shape (299, 299, 3), 0 to 1; or
            planes, uint8 of shape (4, H, W).

        Returns
        -------
        probabilities : numpy.ndarray
            float32 of shape (N, classes), 0 to 1. From logits by a sigmoid, if the file gives logits.
        embeddings : numpy.ndarray
            float32 of shape (N, E).

        Raises
        ------
        DeviceError
            The device failed.
        """
        count = self._most_at_once(fields[0])
        runs = [self._run_once(fields[at : at + count], count) for at in range(0, len(fields), count)]
        scores, *embeddings = (np.concatenate(output) for output in zip(*runs, strict=True))
        probabilities = sigmoid(scores) if self._tensors.scores_are == "logits" else scores
        return probabilities, np.reshape(embeddings, (len(scores), -1) if embeddings else (len(scores), 0))

    def warm_up(self) -> None:
        """Run full batches of empty fields on each session, so that the first real run is not slow."""
        if not self._fixed_shape:
            return
        empty = self.empty_field()
        slots = [self._take() for _ in range(self.plan.parallel_runs)]
        try:
            for slot in slots:
                for size in slot.session.batch_sizes or (self._most_at_once(empty),):
                    self._run_on(slot, [empty] * size, size)
        finally:
            for slot in slots:
                self._slots.put(slot)

    def close(self) -> None:
        """Free the model after the runs in progress; a later run raises a `SettingError`."""
        with self._opening:
            if self._many is not None:
                self._many.close()
            self._many = self._open_many = None
            for _ in range(self.plan.parallel_runs):
                if self._slots.get() is None:
                    break
            self._slots.put(None)

    def _most_at_once(self, field: Fields) -> int:
        return self.batch_size if self._input.fixed else min(self.batch_size, max(1, LARGEST_RUN // field.nbytes))

    def empty_field(self) -> Fields:
        """Make a field of zeros in the form of the model's input."""
        shape = [_WARM_SIDE if length is None else length for length in self._input.shape]
        return np.zeros(shape, self._input.dtype)

    def _run_once(self, fields: Sequence[Fields] | Fields, full: int) -> list[npt.NDArray[np.float32]]:
        with self._slot() as slot:
            # A single field is not padded, because its caller waits for it.
            return self._run_on(slot, fields, full if self._fixed_shape and len(fields) > 1 else len(fields))

    def _run_on(self, slot: _Slot, fields: Sequence[Fields] | Fields, length: int) -> list[npt.NDArray[np.float32]]:
        """Run on one session, padded to the next batch size that it accepts, or else to `length` fields."""
        taken = next((size for size in slot.session.batch_sizes if size >= len(fields)), length)
        try:
            outputs = slot.session.run(slot.batch_of(fields, taken))
        except Exception as error:  # runtimes' exceptions share no base class of their own
            raise DeviceError(
                f"{self.device} failed while running the model ({_in_one_line(error)})",
                remedy="Try a smaller batch size, or device='cpu'.",
            ) from error
        return [output[: len(fields)] for output in outputs]

    @contextmanager
    def _slot(self) -> Iterator[_Slot]:
        slot = self._take()
        try:
            yield slot
        finally:
            self._slots.put(slot)

    def _take(self) -> _Slot:
        slot = self._slots.get()
        if slot is None:
            self._slots.put(None)  # for the next run
            raise SettingError("the model was closed", remedy="Load it again.")
        return slot


@dataclass(slots=True)
class _Slot:
    """A session of the runtime, with the buffer for its batches."""

    session: RuntimeSession
    batch: Fields | None = None

    def batch_of(self, fields: Sequence[Fields] | Fields, length: int) -> Fields:
        if length == 1:
            return fields[0][np.newaxis]
        shape = (length, *fields[0].shape)
        if self.batch is None or self.batch.shape != shape:
            self.batch = np.zeros(shape, fields[0].dtype)
        for row, one in zip(self.batch, fields, strict=False):
            row[...] = one
        return self.batch


def _open_sessions(model: ModelContent, device: Device, settings: RuntimeSettings) -> Sequence[RuntimeSession]:
    try:
        if device.kind == "openvino":
            return open_openvino_sessions(model, settings)
        return open_onnxruntime_sessions(model, device, settings)
    except HpaError:
        raise
    except Exception as error:  # runtimes' exceptions share no base class of their own
        if device.kind == "cpu":
            raise ModelFileError(
                f"onnxruntime can't open the model ({_in_one_line(error)})",
                where=model.identity.path,
                remedy="Export it again with python -m export onnx.",
            ) from error
        raise DeviceError(f"{device} can't open the model ({_in_one_line(error)})", remedy=ASK_DOCTOR) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
