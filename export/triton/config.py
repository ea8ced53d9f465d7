"""Writes the configuration of one model for a Triton server, in protobuf's text format.

The message is ModelConfig of https://github.com/triton-inference-server/common; the parameters of TensorRT are those of
Triton's onnxruntime backend.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from hpa_sdk.errors import ModelFileError, SettingError
from hpa_sdk.models.onnx_file import OnnxFile, TensorForm

LABELS = "labels.txt"
"""Name of the file with the class names, one per line."""

_TYPES = {"float32": "TYPE_FP32", "float16": "TYPE_FP16", "uint8": "TYPE_UINT8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a server runs a model.

    Attributes
    ----------
    max_batch : int
        Largest number of fields per run, 1 or more. Without effect on a file with a fixed batch, for which Triton does
        not join requests.
    queue_delay : int
        Microseconds that a field may wait for others to share its run.
    instances : int
        Parallel copies of the model on each device.
    device : str
        ``"gpu"`` or ``"cpu"``.
    tensorrt : str or None
        Precision of TensorRT, ``"fp32"`` or ``"fp16"``; None: without TensorRT.
    engine_cache : str or None
        Folder on the server in which TensorRT caches the built engine, since a build takes minutes; None: build at
        each start.

    Raises
    ------
    SettingError
        A number is too small, TensorRT is requested on the CPU, or a cache without TensorRT.
    """

    max_batch: int = 64
    queue_delay: int = 2000
    instances: int = 1
    device: Literal["gpu", "cpu"] = "gpu"
    tensorrt: Literal["fp32", "fp16"] | None = None
    engine_cache: str | None = None

    def __post_init__(self) -> None:
        if self.max_batch < 1 or self.instances < 1 or self.queue_delay < 0:
            raise SettingError(
                f"max_batch={self.max_batch}, instances={self.instances}, queue_delay={self.queue_delay} is no setting",
                remedy="Give 1 or more, and a delay of 0 or more.",
            )
        if self.tensorrt and self.device == "cpu":
            raise SettingError("TensorRT does not run on the CPU", remedy="Leave one of the two out.")
        if self.engine_cache and not self.tensorrt:
            raise SettingError("an engine cache is only used with TensorRT", remedy="Ask for TensorRT too.")


def write_config(name: str, file: OnnxFile, scores: str, serving: Serving) -> str:
    """Write the text of ``config.pbtxt``.

    Parameters
    ----------
    name : str
        The model's name on the server.
    file : OnnxFile
        The model. Its open dimensions become -1. An open batch is not among them, as Triton's format wants it.
    scores : str
        Name of the output with a number for each class.
    serving : Serving
        The settings of the server.

    Raises
    ------
    ModelFileError
        An input or output has an element type that no model of the contract has.
    """
    # Triton joins requests only along a first dimension that is open.
    open_batch = all(isinstance(form.shape[0], str) for form in file.inputs.values())
    start = 1 if open_batch else 0
    blocks = [_tensor("input", *item, start, file) for item in file.inputs.items()]
    blocks += [_tensor("output", *item, start, file, scores) for item in file.outputs.items()]
    text = f"""name: {_quoted(name)}
platform: "onnxruntime_onnx"
max_batch_size: {serving.max_batch if open_batch else 0}
{"".join(blocks)}{_batching(serving) if open_batch else ""}instance_group {{
  count: {serving.instances}
  kind: KIND_{serving.device.upper()}
}}
"""
    return text + _tensorrt(serving) if serving.tensorrt else text


def _batching(serving: Serving) -> str:
    preferred = sorted({size for size in (serving.max_batch // 4, serving.max_batch // 2, serving.max_batch) if size})
    return f"""dynamic_batching {{
  preferred_batch_size: {preferred}
  max_queue_delay_microseconds: {serving.queue_delay}
}}
"""


def _tensor(role: str, name: str, form: TensorForm, start: int, file: OnnxFile, scores: str = "") -> str:
    if form.dtype not in _TYPES:
        raise ModelFileError(
            f"the {role} {name} is {form.dtype}", where=file.path, remedy="Export it with python -m export onnx."
        )
    # max_batch_size stands for an open batch; only the output with a number per class has labels.
    dims = [-1 if isinstance(size, str) else size for size in form.shape[start:]]
    labels = f"  label_filename: {_quoted(LABELS)}\n" if name == scores else ""
    return f"""{role} {{
  name: {_quoted(name)}
  data_type: {_TYPES[form.dtype]}
  dims: {dims}
{labels}}}
"""


def _tensorrt(serving: Serving) -> str:
    parameters = {"precision_mode": str(serving.tensorrt).upper()}
    if serving.engine_cache:
        parameters |= {"trt_engine_cache_enable": "true", "trt_engine_cache_path": serving.engine_cache}
    entries = "".join(
        f"      parameters {{ key: {_quoted(key)} value: {_quoted(value)} }}\n" for key, value in parameters.items()
    )
    return f"""optimization {{
  execution_accelerators {{
    gpu_execution_accelerator {{
      name: "tensorrt"
{entries}    }}
  }}
}}
"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
