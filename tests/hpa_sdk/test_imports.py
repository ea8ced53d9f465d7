"""The SDK stays light: nothing heavy is imported before it is needed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

HEAVY = ("export", "keras", "onnx", "sklearn", "tensorflow", "tf2onnx", "training")


def modules_after(code: str) -> set[str]:
    code = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return set(json.loads(printed.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import hpa_sdk",
        "from hpa_sdk import *",
        "from hpa_sdk.cli import main\nmain(['--version'], standalone_mode=False)",
        "from hpa_sdk.cli import main\nmain(['predict', '--help'], standalone_mode=False)",
    ],
)
def test_neither_training_nor_a_runtime_is_imported(code: str) -> None:
    loaded = modules_after(code)
    assert not loaded.intersection({*HEAVY, "onnxruntime"})


def test_version_does_not_wait_for_numpy() -> None:
    assert "numpy" not in modules_after("from hpa_sdk.cli import main\nmain(['--version'], standalone_mode=False)")


def test_a_loaded_model_needs_the_runtime_alone(model: Path) -> None:
    loaded = modules_after(f"from hpa_sdk import Predictor\nPredictor.load({str(model)!r}, device='cpu')")
    assert "onnxruntime" in loaded
    assert not loaded.intersection(HEAVY)


def test_help_needs_no_extra() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    optional = [*project["optional-dependencies"].values(), *settings["dependency-groups"].values()]
    named = {distribution(name) for names in optional for name in names if isinstance(name, str)}
    needed = {"hpa-sdk", *map(distribution, project["dependencies"])}
    imported = {*named, "multipart", "starlette", "useq", "psygnal"} - needed
    modules_after(
        f"sys.modules.update(dict.fromkeys({sorted(name.replace('-', '_') for name in imported)}))\n"
        "from hpa_sdk.cli import main\nmain(['--help'], standalone_mode=False)\n"
        "for name in main.list_commands(None):\n    main([name, '--help'], standalone_mode=False)"
    )


def distribution(requirement: str) -> str:
    return re.split(r"[\[<>=]", requirement)[0]


def test_everything_promised_is_there() -> None:
    code = "import hpa_sdk\nassert all(hasattr(hpa_sdk, name) for name in hpa_sdk.__all__)\nhpa_sdk.nothing"
    completed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "module 'hpa_sdk' has no attribute 'nothing'" in completed.stderr


def test_a_missing_system_library_is_one_line_with_the_way_out(tmp_path: Path, model: Path) -> None:
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({message!r})\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    for code in (["-m", "hpa_sdk.cli", "predict", str(model), str(tmp_path)], ["-c", "from hpa_sdk import Predictor"]):
        done = subprocess.run(
            [sys.executable, *code], env=environment, capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert "apt install libgl1" in done.stderr.splitlines()[-1]
        assert ("Traceback" in done.stderr) == (code[0] == "-c")
        assert done.returncode == (1 if code[0] == "-c" else 2)
