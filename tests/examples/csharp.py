"""Compiles the C# example as its project file says, without NuGet: with a .NET SDK and the runtime's own C# sources.

The SDK that a registry without NuGet holds is .NET Core 3.1. Its compiler speaks C# 8, so three phrases of C# 9 in the
runtime's sources are put in older words, and it wants OpenSSL 1.1, which OpenCV's wheel brings for itself.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

_OLDER_WORDS = (
    (re.compile(r"\(static (\w+) =>"), r"(\1 =>"),
    (re.compile(r"^( *)(\S+) (\w+) = new\(", re.MULTILINE), r"\1\2 \3 = new \2("),
    (re.compile(r"\((\S+) is not (\w+)\)"), r"(!(\1 is \2))"),
)


def compile_example(source: Path, sdk: Path, runtime: Path, library: Path, out: Path) -> list[str]:
    """Compile the example and the runtime's C# side.

    Parameters
    ----------
    source : pathlib.Path
        The example.
    sdk : pathlib.Path
        Folder with ``dotnet``.
    runtime : pathlib.Path
        Folder with the C# sources of onnxruntime.
    library : pathlib.Path
        The native library of onnxruntime.
    out : pathlib.Path
        Folder for what is made.

    Returns
    -------
    list of str
        The command that runs it, in the environment of `environment`.
    """
    (out / "libonnxruntime.so").symlink_to(library)
    for name in ("ssl", "crypto"):
        for bundled in _opencv_libraries(name):
            (out / bundled.name).symlink_to(bundled)
            (out / f"lib{name}.so.1.1").symlink_to(bundled)
    older = []
    for file in sorted([*runtime.glob("*.cs"), *(runtime / "Tensors").glob("*.cs")]):
        text = file.read_text(encoding="utf-8-sig")
        for phrase, words in _OLDER_WORDS:
            text = phrase.sub(words, text)
        older.append(out / file.name)
        older[-1].write_text(text, encoding="utf-8")
    assert older, f"no C# sources in {runtime}"
    managed = out / "Microsoft.ML.OnnxRuntime.dll"
    _compile(sdk, older, "-target:library", "-unsafe", "-warn:0", out=managed)
    program = out / "LabelSets.dll"
    _compile(sdk, [source], f"-r:{managed}", "-warnaserror", "-nullable:enable", out=program)
    framework = {"name": "Microsoft.NETCore.App", "version": "3.1.0"}
    settings = json.dumps({"runtimeOptions": {"framework": framework}})
    program.with_suffix(".runtimeconfig.json").write_text(settings, encoding="utf-8")
    return [str(sdk / "dotnet"), "exec", str(program)]


def environment(out: Path) -> dict[str, str]:
    """Return the environment in which .NET finds what was put into a folder, and does without ICU."""
    return os.environ | {"LD_LIBRARY_PATH": str(out), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}


def _compile(sdk: Path, sources: Iterable[Path], *options: str, out: Path) -> None:
    (compiler,) = sdk.glob("sdk/*/Roslyn/bincore/csc.dll")
    references = [f"-r:{file}" for file in sdk.glob("packs/Microsoft.NETCore.App.Ref/*/ref/*/*.dll")]
    fixed = ["-nologo", "-nostdlib", "-noconfig", "-langversion:8.0", f"-out:{out}"]
    command = [str(sdk / "dotnet"), "exec", str(compiler), *fixed, *references, *options, *map(str, sources)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(out.parent))
    assert done.returncode == 0, done.stdout + done.stderr


def _opencv_libraries(name: str) -> list[Path]:
    package = importlib.util.find_spec("cv2")
    assert package is not None
    (folder,) = package.submodule_search_locations or ("",)
    return sorted(Path(folder).parent.glob(f"opencv_python*.libs/lib{name}-*.so.1.1*"))
