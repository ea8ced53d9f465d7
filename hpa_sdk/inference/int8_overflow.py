"""Tests whether sums of int8 products overflow on this processor, as they do without VNNI."""

from __future__ import annotations

import base64
import functools

import numpy as np

from hpa_sdk.errors import DeviceError
from hpa_sdk.inference.devices import load_onnxruntime
from hpa_sdk.inference.onnxruntime_options import EXACT_INT8, SESSION_ENTRIES

# An ONNX file with one MatMulInteger: two numbers, uint8, times two weights of 127, int8.
_TWO_PRODUCTS = base64.b64decode(
    "CAg6YwofCgV0YWtlbgoBdxIEc3VtcyINTWF0TXVsSW50ZWdlchIAKg0IAggBEANCAXdKAn9/WhcKBXRha2VuEg4KDAgCEggKAggBCgIIAmIWCgRz"
    "dW1zEg4KDAgGEggKAggBCgIIAUIECgAQEg=="
)
_LARGEST, _WEIGHT = 255, 127


@functools.cache
def int8_overflows() -> bool | None:
    """Whether sums of int8 products overflow here by default; None if no onnxruntime is available for the test.

    Processors with VNNI sum four products of uint8 and int8 in 32 bits. Others first sum two in 16 bits, and clip the
    sum at 32,767. Sessions of `hpa_sdk.inference.onnxruntime_sessions` avoid this, and are slower for it. OpenVINO has
    no way to avoid it.
    """
    try:
        onnxruntime = load_onnxruntime()
    except DeviceError:
        return None
    session = onnxruntime.InferenceSession(_TWO_PRODUCTS, providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"taken": np.full((1, 2), _LARGEST, np.uint8)})
    return int(sums.item()) != 2 * _LARGEST * _WEIGHT


def session_entries() -> dict[str, str]:
    """Return the configuration of a prediction session: sums of int8 products are exact on every processor."""
    # If sums are exact anyway, EXACT_INT8 only costs time: 0.9 s at each start of an Inception-ResNet-V2 in int8.
    return SESSION_ENTRIES if int8_overflows() is False else {**SESSION_ENTRIES, **EXACT_INT8}


def describe_int8() -> str:
    """Describe in a few words how this processor sums int8 products."""
    description = {None: "unknown without onnxruntime", True: "sums in 16 bits (no VNNI)", False: "sums in 32 bits"}
    return description[int8_overflows()]
