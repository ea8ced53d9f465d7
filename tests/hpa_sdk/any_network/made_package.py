"""Makes bioimage.io packages of formats 0.4 and 0.5 around stand-ins, as their publishers write them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime

from tests.stand_ins import Interface, write_stand_in


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a package says of its input and outputs, in the words of its format."""

    version: str = "0.4.9"
    steps: list[dict[str, Any]] = field(default_factory=list)
    dtype: str = "float32"
    limits: tuple[float | None, float | None] = (0.0, 255.0)
    output_limits: tuple[float | None, float | None] = (0.0, 1.0)
    output_steps: list[dict[str, Any]] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)


def make_package(
    path: Path, interface: Interface, given: Description, image: npt.NDArray[Any], network_input: npt.NDArray[Any]
) -> Path:
    """Write a package with test tensors.

    Parameters
    ----------
    image, network_input : numpy.ndarray
        The test input, and what the described processing makes of it, without the batch.
    """
    model = write_stand_in(path.with_suffix(".onnx"), interface)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answers = dict(zip(names, session.run(None, {"image": network_input[np.newaxis].astype(np.float32)}), strict=True))
    if given.output_steps:
        answers["classes"] = 1 / (1 + np.exp(-answers["classes"]))
    tensors = {"in.npy": image[np.newaxis]} | {f"out_{name}.npy": answers[name] for name in names}
    write = _write_0_4 if given.version.startswith("0.4") else _write_0_5
    text = {"name": "Größe", "license": "MIT", "cite": [{"text": "Us", "doi": "10.1234/x"}], "type": "model"}
    text |= {"format_version": given.version, **write(interface, given, image.shape, names), **given.changes}
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("rdf.yaml", msgspec.yaml.encode(text))
        package.write(model, "densenet_model.onnx")
        for name, array in tensors.items():
            content = io.BytesIO()
            np.save(content, array)
            package.writestr(name, content.getvalue())
    return path


def _write_0_4(interface: Interface, given: Description, shape: tuple[int, ...], names: list[str]) -> dict[str, Any]:
    axes = "bcyx" if interface.layout == "nchw" else "byxc"
    sizes: Any = [1, *shape]
    if interface.side is None:
        sizes = {"min": [1, 4, 32, 32], "step": [0, 0, 1, 1]}
    widths = {"classes": len(interface.scheme), "features": interface.width}
    return {
        "inputs": [
            {
                "name": "picture",
                "axes": axes,
                "data_type": given.dtype,
                "data_range": list(given.limits),
                "shape": sizes,
                "preprocessing": given.steps,
            }
        ],
        "outputs": [
            {
                "name": name,
                "axes": "bc",
                "data_type": "float32",
                "shape": [1, widths[name]],
                "data_range": list(given.output_limits if name == "classes" else (None, None)),
                **({"postprocessing": given.output_steps} if name == "classes" else {}),
            }
            for name in names
        ],
        "test_inputs": ["in.npy"],
        "test_outputs": [f"out_{name}.npy" for name in names],
        "weights": {"onnx": {"source": "densenet_model.onnx", "opset_version": interface.opset}},
    }


def _write_0_5(interface: Interface, given: Description, shape: tuple[int, ...], names: list[str]) -> dict[str, Any]:
    channels = {"type": "channel", "id": "channel", "channel_names": list(interface.channels)}
    sides = shape[1:] if interface.layout == "nchw" else shape[:2]
    y, x = (
        {"type": "space", "id": axis, "size": side if interface.side else {"min": 32, "step": 1}}
        for axis, side in zip("yx", sides, strict=True)
    )
    axes = [channels, y, x] if interface.layout == "nchw" else [y, x, channels]
    widths = {"classes": len(interface.scheme), "features": interface.width}
    return {
        "inputs": [
            {
                "id": "picture",
                "axes": [{"type": "batch"}, *axes],
                "data": {"type": given.dtype, "range": list(given.limits)},
                "preprocessing": given.steps,
                "test_tensor": {"source": "in.npy"},
            }
        ],
        "outputs": [
            {
                "id": name,
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": [f"c{at}" for at in range(widths[name])]},
                ],
                "data": {"type": "float32", "range": list(given.output_limits if name == "classes" else (None, None))},
                **({"postprocessing": given.output_steps} if name == "classes" else {}),
                "test_tensor": {"source": f"out_{name}.npy"},
            }
            for name in names
        ],
        "weights": {"onnx": {"source": "densenet_model.onnx", "opset_version": interface.opset}},
    }
