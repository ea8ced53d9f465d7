"""Defines the interface of every runtime: sessions, each of which runs one batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.devices import Device
from hpa_sdk.models.network_form import Tensors

Fields = npt.NDArray[np.float32 | np.uint8]
"""The model's input: images, float32, of shape (N, 299, 299, 3) for the study; or planes, uint8, (N, 4, H, W)."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """Form of the model's single input.

    Attributes
    ----------
    name : str
        Its name.
    dtype : type
        NumPy's type of its elements.
    shape : tuple of int or None
        Shape of one field, without the batch dimension. None if a dimension is open.
    batch : int or None
        The only number of fields that a run takes. None if the file leaves it open.
    """

    name: str
    dtype: type[np.float32 | np.uint8]
    shape: tuple[int | None, ...]
    batch: int | None = None

    @property
    def fixed(self) -> bool:
        """Whether every field has the same shape."""
        return None not in self.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """How to open sessions: the settings of a `Session` with every default resolved, so that no runtime has to.

    Attributes
    ----------
    outputs : tuple of str
        The model's outputs that a run returns, in order.
    parallel_runs : int
        Number of sessions.
    threads : int
        CPU threads per run.
    batch_size : int
        Fields per run, if the runtime is given a fixed shape.
    fixed_shape : bool
        Whether every run has exactly `batch_size` fields.
    gpu_memory : float or None
        GiB of GPU memory that the CUDA provider may use, for all sessions together.
    options : mapping of str to str
        Options of the runtime by its own names. They override ours.
    precision : str
        Precision of the file: ``"fp32"``, ``"fp16"`` or ``"int8"``. onnxruntime optimizes an int8 graph slowly.
    """

    outputs: tuple[str, ...] = Tensors().outputs
    parallel_runs: int = 1
    threads: int = 1
    batch_size: int = 1
    fixed_shape: bool = False
    gpu_memory: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    precision: str = "fp32"


class RuntimeSession(Protocol):
    """A model that is ready to run, for one thread at a time.

    Attributes
    ----------
    device : Device
        The device, as the runtime reports it.
    providers : tuple of str
        Parts of the runtime in use, as it reports them, first choice first.
    input : ModelInput
        Form of the model's input.
    batch_sizes : tuple of int
        The only numbers of fields that a run accepts, ascending. Empty if any number is accepted.
    """

    device: Device
    providers: tuple[str, ...]
    input: ModelInput
    batch_sizes: tuple[int, ...]

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model and return the outputs that it was opened for, which the caller owns.

        Exceptions of the runtime are not converted.
        """
