"""Asks this processor whether its sums of int8 products overflow, as they do where VNNI is missing."""

from __future__ import annotations

import base64
import functools

import numpy as np

from hpa_sdk.errors import DeviceError
from hpa_sdk.inference.devices import load_onnxruntime
from hpa_sdk.inference.onnxruntime_options import EXACT_INT8, SESSION_ENTRIES

# An ONNX file of one MatMulInteger: two numbers, uint8, times two weights of 127, int8.
_TWO_PRODUCTS = base64.b64decode(
    "CAg6YwofCgV0YWtlbgoBdxIEc3VtcyINTWF0TXVsSW50ZWdlchIAKg0IAggBEANCAXdKAn9/WhcKBXRha2VuEg4KDAgCEggKAggBCgIIAmIWCgRz"
    "dW1zEg4KDAgGEggKAggBCgIIAUIECgAQEg=="
)
_LARGEST, _WEIGHT = 255, 127


@functools.cache
def int8_overflows() -> bool | None:
    """Say whether sums of int8 products overflow here, left to themselves; None where no onnxruntime can be asked.

    Processors with VNNI sum four products of uint8 and int8 in 32 bits. Others sum two in 16 bits first, where whatever
    is above 32,767 becomes that. Sessions of `hpa_sdk.inference.onnxruntime_sessions` go around it, at the cost of some
    speed; OpenVINO has no way around.
    """
    try:
        onnxruntime = load_onnxruntime()
    except DeviceError:
        return None
    session = onnxruntime.InferenceSession(_TWO_PRODUCTS, providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"taken": np.full((1, 2), _LARGEST, np.uint8)})
    return int(sums.item()) != 2 * _LARGEST * _WEIGHT


def session_entries() -> dict[str, str]:
    """Give the configuration of a session that answers: sums of int8 products are exact on every processor."""
    # Where sums are exact anyway it changes weights for nothing: 0.9 s at each start of an Inception-ResNet-V2 in int8.
    return SESSION_ENTRIES if int8_overflows() is False else {**SESSION_ENTRIES, **EXACT_INT8}


def describe_int8() -> str:
    """Say in a few words how this processor does with int8 files."""
    told = {None: "unknown without onnxruntime", True: "sums in 16 bits (no VNNI)", False: "sums in 32 bits"}
    return told[int8_overflows()]
