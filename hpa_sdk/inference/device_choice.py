"""Opens a model on the requested device, or on the best device that really works."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpa_sdk.errors import DeviceError
from hpa_sdk.inference.devices import AUTOMATIC, NVIDIA, Device, obstacles
from hpa_sdk.inference.int8_overflow import int8_overflows
from hpa_sdk.inference.memory import TRIED_FIELDS, check_batch
from hpa_sdk.inference.session import ASK_DOCTOR, BATCH_SIZE, Session, SessionSettings
from hpa_sdk.inference.threads import ThreadPlan
from hpa_sdk.models.model_content import ModelContent

# The smallest ONNX file with the contract's names: a 1x1 convolution, so that cuDNN is used too, and a Relu.
_PROBE = base64.b64decode(
    "CAg60QEKHwoFaW1hZ2UKAXcSDXByb2JhYmlsaXRpZXMiBENvbnYKIAoNcHJvYmFiaWxpdGllcxIJZW1iZWRkaW5nIgRSZWx1EgVw"
    "cm9iZSoTCAEIAQgBCAEQAUIBd0oEAACAP1ogCgVpbWFnZRIXChUIARIRCgMSAU4KAggBCgIIAQoCCAFiKAoNcHJvYmFiaWxpdGll"
    "cxIXChUIARIRCgMSAU4KAggBCgIIAQoCCAFiJAoJZW1iZWRkaW5nEhcKFQgBEhEKAxIBTgoCCAEKAggBCgIIAUIECgAQEg=="
)

_log = logging.getLogger("hpa_sdk")
_said: set[str] = set()


def open_session(model: Path | ModelContent, device: str, settings: SessionSettings | None = None) -> Session:
    """Open a model on a named device, or on the best device that really works.

    Parameters
    ----------
    model : pathlib.Path or ModelContent
        An ONNX file, or its content.
    device : str
        ``"auto"``, or the name of a device. ``"auto"`` logs once per process why no better device is used.
    settings : SessionSettings, optional
        How to use the device.

    Raises
    ------
    DeviceError
        A device that was requested by name is not available.
    ModelFileError
        The runtime can't open the model.
    SettingError
        A number is out of range, or the batch does not fit in memory.
    """
    settings = settings or SessionSettings()
    model = ModelContent.of(model)
    if device != "auto":
        return _try(model, Device.parse(device), settings)
    reasons: list[str] = []
    *better, last_resort = AUTOMATIC
    for kind in better:
        try:
            session = _try(model, Device(kind), settings)
        except DeviceError as error:
            reasons.append(error.what)
        else:
            break
    else:
        session = _try(model, Device(last_resort), settings)
    if reasons:
        _say_once(f"Using {session.device}: {'; '.join(reasons)}.")
    return session


def try_device(device: Device) -> None:
    """Run a very small network on a device.

    Raises
    ------
    DeviceError
        The device can't be used. The message says why.
    """
    _try(ModelContent.of(_PROBE), device, SessionSettings(batch_size=1, threads=1)).run(
        np.zeros((1, 1, 1, 1), np.float32)
    )


def _try(model: ModelContent, device: Device, settings: SessionSettings) -> Session:
    found = obstacles(device)
    if found:
        raise DeviceError(f"{device} can't be used: {'; '.join(found)}", remedy=ASK_DOCTOR)
    if device.kind == "tensorrt" and settings.precision == "int8":
        raise DeviceError(
            "tensorrt takes no int8 file of ours, whose activations are unsigned",
            remedy="Take the fp16 file (python -m export fp16).",
        )
    if settings.batch_size is not None and settings.batch_size > max(TRIED_FIELDS, BATCH_SIZE[device.kind]):
        _check_memory(model, device, settings, settings.batch_size)
    session = Session(model, device, settings)
    try:
        session.warm_up()
    except BaseException:
        session.close()
        raise
    for line in _notices(device, settings):
        _say_once(line)
    return session


def _notices(device: Device, settings: SessionSettings) -> Iterator[str]:
    if device.kind == "openvino" and settings.precision == "int8":
        yield (
            "OpenVINO rounds an int8 file at other places than onnxruntime, by which its card was measured: compare the"
            " label sets with 'hpa bench MODEL FIELDS --against openvino'."
        )
        if int8_overflows():
            yield (
                "This processor has no VNNI, and OpenVINO's sums of int8 overflow on it, but for a file that was made"
                " with 'python -m export quantize --reduce-range': take such a one, or --device cpu, whose sums don't."
            )
    if device.kind in NVIDIA and settings.precision == "int8":
        yield f"This int8 file is made for processors; for {device} take the fp16 file (python -m export fp16)."
    if device.kind != "cpu" and settings.winograd:
        yield (
            f"This file multiplies less for the sake of onnxruntime on processors (--device cpu); for {device} name the"
            " fp32 file that it was made of."
        )
    if device.kind == "cpu" and settings.options:
        yield f"Of no effect on processors: the runtime option {', '.join(settings.options)}."


def _check_memory(model: ModelContent, device: Device, settings: SessionSettings, batch_size: int) -> None:
    tried_on, plan = device, ThreadPlan.for_one(device.kind, settings.threads)
    if device.kind in NVIDIA:
        # A TensorRT engine takes minutes to build, and the memory that CUDA uses is the safer estimate.
        tried_on = replace(device, kind="cuda")
        options = {
            name: value
            for name, value in settings.options.items()
            if not name.startswith("trt_") and name != "enable_cuda_graph"
        }
        settings, plan = replace(settings, options=options), replace(plan, parallel_runs=1)
    tried = Session(model, tried_on, settings, batch_size=TRIED_FIELDS, fixed_shape=False, plan=plan)
    empty = tried.empty_field()
    if device.kind in NVIDIA:
        tried.run([empty])  # loads what a GPU holds only once, such as cuDNN
    check_batch(
        device,
        batch_size,
        parallel_runs=ThreadPlan.for_many(device.kind, settings.threads).parallel_runs,
        field_bytes=empty.nbytes,
        run=lambda: tried.run([empty] * TRIED_FIELDS),
    )


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        _log.warning(line)
