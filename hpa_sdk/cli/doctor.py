"""``hpa doctor``: which device would be used here, and why no better one."""

from __future__ import annotations

import json
import platform

import click

from hpa_sdk import __version__
from hpa_sdk.errors import DeviceError
from hpa_sdk.inference.device_choice import try_device
from hpa_sdk.inference.devices import AUTOMATIC, KINDS, Device, installed_openvino, installed_runtime, obstacles
from hpa_sdk.inference.int8_overflow import describe_int8
from hpa_sdk.inference.threads import usable_cores


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say which device would be used, and why each other one can't be used.

    Every device that seems ready is tried with a very small network.
    """
    devices = {kind: _reason_against(Device(kind)) for kind in KINDS}
    facts: dict[str, object] = {
        "hpa_sdk": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "onnxruntime": installed_runtime() or "not installed",
        "openvino": installed_openvino() or "not installed",
        "threads": usable_cores(),
        "int8": describe_int8(),
        "auto": next((kind for kind in AUTOMATIC if devices[kind] is None), "nothing"),
        "devices": devices,
    }
    click.echo(json.dumps(facts, indent=2) if as_json else _as_text(facts, devices))


def _reason_against(device: Device) -> str | None:
    try:
        known = "; ".join(obstacles(device))
        if known:
            return known
        try_device(device)
    except DeviceError as error:
        return error.what
    return None


def _as_text(facts: dict[str, object], devices: dict[str, str | None]) -> str:
    lines = [f"{name:<12} {facts[name]}" for name in facts if name not in {"auto", "devices"}]
    lines += ["", f"device='auto' would use: {facts['auto']}"]
    lines += [f"  {kind:<10} {'works' if reason is None else reason}" for kind, reason in devices.items()]
    return "\n".join(lines)
