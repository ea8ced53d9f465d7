"""Finds out which devices can run a model on this machine, and why the others can't."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hpa_sdk.errors import DeviceError

KINDS = ("tensorrt", "cuda", "openvino", "cpu")
"""Every kind of device, fastest first. OpenVINO runs on the CPU, but is a separate runtime."""

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""The onnxruntime provider for each kind of device that it supports."""

AUTOMATIC = ("cuda", "cpu")
"""What ``device="auto"`` tries, best first. Other devices start slowly or need an extra wheel, so only by name."""

NVIDIA = ("tensorrt", "cuda")
"""The kinds that are NVIDIA GPUs."""

_EXTRAS = {"tensorrt": "gpu", "cuda": "gpu", "cpu": "cpu"}
_WINDOWS = sys.platform == "win32"
DRIVER = "nvcuda.dll" if _WINDOWS else "libcuda.so.1"
"""Library of the NVIDIA driver."""

_CUDNN = "cudnn64_9.dll" if _WINDOWS else "libcudnn.so.9"
_NOT_LOADED = re.compile(r"Failed to load (.+?\.(?:dll|so[.\d]*)):")
_TENSORRT = ("nvinfer_10.dll", "nvonnxparser_10.dll") if _WINDOWS else ("libnvinfer.so.10", "libnvonnxparser.so.10")


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of device and, if a machine can have several, its number.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    index : int
        Number among the devices of its kind, from 0.
    """

    kind: str
    index: int = 0

    @classmethod
    def parse(cls, name: str) -> Device:
        """Read a name such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

        Raises
        ------
        DeviceError
            There is no such kind of device, or no device with this number.
        """
        kind, separator, number = name.partition(":")
        if kind not in KINDS or (separator and (kind not in NVIDIA or not number.isdecimal())):
            raise DeviceError(f"{name!r} is no device", remedy=f"Name one of: auto, {', '.join(KINDS)}, cuda:1.")
        return cls(kind, int(number or 0))

    @property
    def provider(self) -> str:
        """Name of the onnxruntime provider for this device. Raises a `KeyError` for ``"openvino"``."""
        return PROVIDERS[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.index else self.kind


@dataclass(frozen=True, slots=True)
class Card:
    """An NVIDIA GPU, as the driver identifies it.

    Attributes
    ----------
    driver : ctypes.CDLL
        The driver's library, initialized.
    handle : ctypes.c_int
        The driver's handle of the GPU.
    """

    driver: ctypes.CDLL
    handle: ctypes.c_int


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime on first use.

    Raises
    ------
    DeviceError
        It is not installed or can't start. The message contains the install command.
    """
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise DeviceError(
            f"onnxruntime can't be used ({error})",
            remedy="Install it with one of: pip install 'hpa-sdk[cpu]' (any machine),"
            " pip install 'hpa-sdk[gpu]' (NVIDIA GPU).",
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise DeviceError(
            "onnxruntime is damaged, as when one of two of its wheels was removed",
            remedy="Uninstall onnxruntime and onnxruntime-gpu, then install one of them.",
        )
    return onnxruntime


def load_openvino() -> ModuleType:
    """Import OpenVINO on first use.

    Raises
    ------
    DeviceError
        It is not installed or can't start. The message contains the install command.
    """
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise DeviceError(
            f"OpenVINO can't be used ({error})", remedy="Install it: pip install 'hpa-sdk[openvino]'."
        ) from error


def obstacles(device: Device) -> tuple[str, ...]:
    """Say why a device can't run a model on this machine.

    Parameters
    ----------
    device : Device
        The device.

    Returns
    -------
    tuple of str
        Each obstacle in a few words, in the order in which to remove them. Empty if none is known.
    """
    if device.kind == "openvino":
        try:
            load_openvino()
        except DeviceError as error:
            return (f"{error.what} (pip install 'hpa-sdk[openvino]')",)
        return ()
    onnxruntime = load_onnxruntime()
    if device.provider not in onnxruntime.get_available_providers():
        return (f"the installed onnxruntime is built without it (pip install 'hpa-sdk[{_EXTRAS[device.kind]}]')",)
    if device.kind not in NVIDIA:
        return ()
    driver = _driver_obstacle(device.index)
    found = [driver] if driver else []
    if libraries := _missing_libraries(onnxruntime):
        found.append(f"missing library {', '.join(libraries)} (pip install 'hpa-sdk[gpu]' brings CUDA and cuDNN)")
    if device.kind == "tensorrt" and (libraries := _missing_tensorrt()):
        found.append(f"missing library {', '.join(libraries)} (pip install 'tensorrt-cu13<11' brings TensorRT)")
    return tuple(found)


def gpu_name(index: int) -> str:
    """Return the name of an NVIDIA GPU, such as ``"NVIDIA H200"``; empty if the driver does not report it."""
    gpu = open_card(index)
    if gpu is None:
        return ""
    name = ctypes.create_string_buffer(256)
    return "" if gpu.driver.cuDeviceGetName(name, len(name), gpu.handle) else name.value.decode(errors="replace")


def open_card(index: int) -> Card | None:
    """Open an NVIDIA GPU through the driver; None if there is no driver or no such GPU."""
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    handle = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(handle), index):
        return None
    return Card(driver, handle)


def _driver_obstacle(index: int) -> str | None:
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return f"no NVIDIA driver ({DRIVER} is missing)"
    status = driver.cuInit(0)
    if status:
        return f"the NVIDIA driver finds no usable GPU (cuInit answers {status})"
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    return None if index < count.value else f"there is no GPU number {index}; the driver finds {count.value}"


def _missing_libraries(onnxruntime: ModuleType) -> list[str]:
    # preload_dlls reports missing libraries only by printing them.
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        onnxruntime.preload_dlls()
    missing = [re.split(r"[\\/]", path)[-1] for path in _NOT_LOADED.findall(printed.getvalue())]
    return sorted({*missing, *([] if _loads(_CUDNN) else [_CUDNN])})


def _missing_tensorrt() -> list[str]:
    # preload_dlls does not load these. Once they are loaded from the folder of the wheel, they are found by name.
    wheel = importlib.util.find_spec("tensorrt_libs")
    folders = [Path(folder) for folder in (wheel and wheel.submodule_search_locations) or ()]
    return [name for name in _TENSORRT if not any(_loads(folder / name) for folder in folders) and not _loads(name)]


def _loads(library: str | Path) -> bool:
    try:
        ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def installed_runtime() -> str | None:
    """Return the installed onnxruntime wheel and version, such as ``"onnxruntime-gpu 1.31.1"``; None without one."""
    try:
        onnxruntime = load_onnxruntime()
    except DeviceError:
        return None
    return f"{onnxruntime.package_name} {onnxruntime.__version__}"


def installed_openvino() -> str | None:
    """Return the version of OpenVINO; None if it is not installed."""
    try:
        return str(load_openvino().__version__)
    except DeviceError:
        return None
