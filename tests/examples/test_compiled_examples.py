"""The C++ and the C# example, compiled, name the same classes as the runtime's Python package."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from PIL import Image

from hpa_sdk import Label
from tests.conftest import ROOT
from tests.examples import csharp
from tests.raw_model import make_raw_model
from tests.small import random_planes

pytestmark = pytest.mark.slow

THRESHOLDS = tuple(np.linspace(0.2, 0.8, len(Label)).round(3).tolist())


@dataclass(frozen=True)
class Example:
    """A compiled example."""

    command: Sequence[str]
    environment: Mapping[str, str]

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *map(str, arguments)],
            check=False,
            capture_output=True,
            encoding="utf-8",
            env=dict(self.environment),
        )


@pytest.fixture(scope="module", params=["cpp", "csharp"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Example:
    build = {"cpp": build_cpp, "csharp": build_csharp}[request.param]
    return build(tmp_path_factory.mktemp(request.param))


def build_cpp(folder: Path) -> Example:
    compiler = shutil.which("g++")
    headers = os.environ.get("ONNXRUNTIME_INCLUDE")
    if compiler is None or headers is None:
        pytest.skip("needs g++ and ONNXRUNTIME_INCLUDE, the folder of onnxruntime's C++ headers: make test-compiled")
    library, program = folder / "libonnxruntime.so.1", folder / "label_sets"
    library.symlink_to(shared_library())
    source = ROOT / "examples" / "cpp" / "label_sets.cpp"
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run([compiler, *strict, source, "-isystem", headers, library, "-o", program], check=True)
    return Example([str(program)], os.environ | {"LD_LIBRARY_PATH": str(folder)})


def build_csharp(folder: Path) -> Example:
    sdk, runtime = os.environ.get("DOTNET_SDK"), os.environ.get("ONNXRUNTIME_CSHARP")
    if sdk is None or runtime is None:
        pytest.skip("needs DOTNET_SDK and ONNXRUNTIME_CSHARP, onnxruntime's C# sources: make test-compiled")
    source = ROOT / "examples" / "csharp" / "Program.cs"
    command = csharp.compile_example(source, Path(sdk).resolve(), Path(runtime), shared_library(), folder)
    return Example(command, csharp.environment(folder))


def shared_library() -> Path:
    package = importlib.util.find_spec("onnxruntime")
    (folder,) = (package and package.submodule_search_locations) or ("",)
    found = sorted(Path(folder, "capi").glob("libonnxruntime.so.*"))
    if not found:
        pytest.skip("this onnxruntime wheel holds no library for other languages")
    return found[0]


@pytest.fixture(scope="module")
def raw_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw_model(tmp_path_factory.mktemp("model") / "raw.onnx", thresholds=THRESHOLDS)


@pytest.fixture
def planes() -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(random_planes(np.random.default_rng(2))[:, :50])


@pytest.fixture
def files(tmp_path: Path, planes: npt.NDArray[np.uint8]) -> list[Path]:
    paths = [tmp_path / f"{number}.pgm" for number in range(4)]
    for path, plane in zip(paths, planes, strict=True):
        Image.fromarray(plane).save(path)
    # ImageJ puts a comment into the header.
    paths[3].write_bytes(paths[3].read_bytes().replace(b"P5\n", b"P5\n# Written by 255 ImageJ\n", 1))
    return paths


def test_it_names_the_classes_above_the_card_s_thresholds(
    example: Example, raw_model: Path, files: list[Path], planes: npt.NDArray[np.uint8]
) -> None:
    session = onnxruntime.InferenceSession(str(raw_model), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["probabilities"], {"planes": planes[np.newaxis]})
    completed = example.run(raw_model, *files)
    assert completed.returncode == 0, completed.stderr
    rows = [line.rsplit(" ", 1) for line in completed.stdout.splitlines()]
    labels = [label for label in Label if expected[0, label] >= np.float32(THRESHOLDS[label])]
    assert 0 < len(labels) < len(Label)
    assert [name for name, _ in rows] == [label.hpa_name for label in labels]
    np.testing.assert_allclose([float(number) for _, number in rows], expected[0, labels], rtol=1e-5)


def test_what_is_wrong_is_reported_in_one_line(
    example: Example, raw_model: Path, model: Path, files: list[Path], tmp_path: Path
) -> None:
    short, small = tmp_path / "short.pgm", tmp_path / "small.pgm"
    short.write_bytes(files[0].read_bytes()[:-1])
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(small)
    for arguments, reason in (
        ([], "usage"),
        ([raw_model, *files[:3], tmp_path / "gone.pgm"], "gone.pgm"),
        ([raw_model, *files[:3], raw_model], "no 8-bit PGM"),
        ([raw_model, *files[:3], short], "cut short"),
        ([raw_model, *files[:3], small], "differ in size"),
        ([tmp_path / "gone.onnx", *files], "gone.onnx"),
        ([model, *files], "planes"),
    ):
        completed = example.run(*arguments)
        assert completed.returncode == 2
        assert reason in completed.stderr
        assert not completed.stdout
