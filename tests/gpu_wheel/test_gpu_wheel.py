"""With the wheel for NVIDIA GPUs and no GPU: answers on the CPU, the reason in one line, the same answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FIXTURES = os.environ.get("HPA_GPU_WHEEL_FIXTURES")
pytestmark = pytest.mark.skipif(FIXTURES is None, reason="run by make test-gpu-wheel, in an environment of its own")


@pytest.fixture
def folder() -> Path:
    import onnxruntime

    assert onnxruntime.package_name == "onnxruntime-gpu"
    return Path(str(FIXTURES))


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True, text=True, encoding="utf-8"
    )


def test_auto_gives_the_same_numbers_on_the_cpu_with_a_reason(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from hpa_sdk import Predictor\n"
        "for _ in range(2): predictor = Predictor.load(sys.argv[1])\n"
        "print(predictor.device, *predictor.providers)\n"
        "np.save(sys.argv[3], [item.probabilities for item in predictor.predict(sys.argv[2])])"
    )
    completed = python(code, folder / "model.onnx", folder / "fields", tmp_path / "found.npy")
    assert completed.stdout == "cpu CPUExecutionProvider\n"
    (line,) = completed.stderr.splitlines()
    assert line.startswith("Using cpu: cuda can't be used: ")
    found, expected = np.load(tmp_path / "found.npy"), np.load(folder / "probabilities.npy")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_named_device_raises(folder: Path, device: str) -> None:
    from hpa_sdk import Predictor
    from hpa_sdk.errors import DeviceError

    with pytest.raises(DeviceError, match=rf"{device} can't be used: .*hpa doctor"):
        Predictor.load(folder / "model.onnx", device=device)


def test_onnxruntime_reads_the_tensorrt_options(folder: Path, tmp_path: Path) -> None:
    # Options of TensorRT are read before its library is looked for; those of CUDA are not.
    code = (
        "import sys; from pathlib import Path; from onnxruntime.capi import _pybind_state as state\n"
        "from hpa_sdk.inference.onnxruntime_options import engine_options\n"
        "options = engine_options(Path(sys.argv[2]), 'image', (32, 299, 299, 3), 'fp16')\n"
        "if sys.argv[3] == 'wrong': options['trt_fp16_enable'] = '1'\n"
        "session = state.InferenceSession(state.SessionOptions(), sys.argv[1], True, False)\n"
        "session.initialize_session(['TensorrtExecutionProvider'], [options], set())"
    )
    python(code, folder / "model.onnx", tmp_path, "right")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        python(code, folder / "model.onnx", tmp_path, "wrong")
    assert "should be 'True' or 'False'" in refused.value.stderr


def test_doctor_names_the_missing_libraries(folder: Path) -> None:
    del folder
    report = json.loads(python("from hpa_sdk.cli import main; main(['doctor', '--json'])").stdout)
    assert report["auto"] == "cpu"
    assert report["devices"]["cpu"] is None
    assert "no NVIDIA driver" in report["devices"]["cuda"]
    for library in ("cublas", "cudnn"):
        assert library in report["devices"]["cuda"]
    assert "nvinfer" in report["devices"]["tensorrt"]


def test_the_command_line_reports_the_same(folder: Path) -> None:
    hpa = [sys.executable, "-m", "hpa_sdk.cli", "predict", str(folder / "model.onnx"), str(folder / "fields")]
    completed = subprocess.run([*hpa, "--device", "cuda"], check=False, capture_output=True, text=True)
    assert completed.returncode == 2
    assert "cuda can't be used" in completed.stderr
    completed = subprocess.run(hpa, check=True, capture_output=True, text=True)
    assert len(completed.stderr.splitlines()) == 1
    assert len(completed.stdout.splitlines()) == 9
