"""Says what every runtime gives: sessions, each of which runs one batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.devices import Device

Fields = npt.NDArray[np.float32 | np.uint8]
"""What the model takes: images, float32 of shape (N, 299, 299, 3); or planes, uint8 of shape (N, 4, H, W)."""

OUTPUTS = ("probabilities", "embedding")
"""The outputs of every model, in the order in which a session gives them."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """Form of the model's one input.

    Attributes
    ----------
    name : str
        Its name.
    dtype : type
        NumPy's type of its elements.
    shape : tuple of int or None
        Of one field, without the batch; None where a dimension is open.
    """

    name: str
    dtype: type[np.float32 | np.uint8]
    shape: tuple[int | None, ...]

    @property
    def fixed(self) -> bool:
        """Whether every field has the same shape."""
        return None not in self.shape


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """How to open sessions.

    Attributes
    ----------
    parallel_runs : int
        How many.
    threads : int
        Processor threads that a run takes.
    batch_size : int
        Fields of every run, where the runtime is told one shape.
    fixed_shape : bool
        Whether every run has exactly `batch_size` fields.
    gpu_memory : float or None
        GiB of a GPU's memory that the CUDA provider may take, for all sessions together.
    options : mapping of str to str
        Options of the runtime by its own names; they go before ours.
    precision : str
        Of the file: ``"fp32"``, ``"fp16"`` or ``"int8"``, whose graph onnxruntime takes long to optimize.
    """

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
        Read back from the runtime.
    providers : tuple of str
        Parts of the runtime in use, read back from it, first choice first.
    input : ModelInput
        What the model takes.
    batch_sizes : tuple of int
        The only numbers of fields that a run takes, ascending; empty where any will do.
    """

    device: Device
    providers: tuple[str, ...]
    input: ModelInput
    batch_sizes: tuple[int, ...]

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Run the model; whatever the runtime raises comes out. Gives `OUTPUTS`, which belong to the caller."""
