"""Imports the names of a package when they are first used, and says where modules are that have moved."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType

_SYSTEM_LIBRARY = re.compile(r"(lib\S+\.so\S*): cannot open shared object file")

_MOVED = {
    "export.export_onnx": "export.onnx.export",
    "hpa_sdk.composite": "hpa_sdk.fields.composite",
    "hpa_sdk.contract": "hpa_sdk.models.contract",
    "hpa_sdk.model_card": "hpa_sdk.models.model_card",
    "hpa_sdk.planes": "hpa_sdk",
    "hpa_sdk.samples": "hpa_sdk",
    "hpa_sdk.tables": "hpa_sdk.fields.tables",
    "hpa_sdk.workstation.opening": "hpa_sdk.workstation",
    "hpa_sdk.workstation.result_store": "hpa_sdk.results.result_store",
    "hpa_sdk.workstation.results": "hpa_sdk.results",
    "hpa_sdk.writers": "hpa_sdk.results",
    "training.batches": "training.data.batches",
    "training.dataset": "training.data.dataset",
    "training.metrics": "training.judge.metrics",
    "training.prepared": "training.data.prepared",
    "training.run": "training.fit.run_folder",
}


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package whose names are imported when they are first used.

    Parameters
    ----------
    package : str
        Name of the package.
    homes : mapping of str to str
        The module of each name, below `package`.
    """

    def get(name: str) -> object:
        if name not in homes:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        try:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        except ImportError as error:
            if advice := missing_library(error):
                error.add_note(advice)
            raise

    return get


def missing_library(error: ImportError) -> str:
    """Say what to install if a system library is missing, as in slim containers; empty if something else is wrong."""
    found = _SYSTEM_LIBRARY.match(str(error))
    if found is None:
        return ""
    return (
        f"The system library {found[1]} is missing. Install it: on Debian and Ubuntu, OpenCV needs"
        " 'apt install libgl1 libglib2.0-0'. Or replace opencv-python: 'pip uninstall opencv-python' and"
        " 'pip install opencv-python-headless'."
    )


class _MovedModules(MetaPathFinder):
    """The last finder of modules: it finds none, and says where a module is that has moved."""

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        if fullname in _MOVED:
            message = f"{fullname} has moved: import from {_MOVED[fullname]}"
            raise ModuleNotFoundError(message, name=fullname)


def name_moved_modules() -> None:
    """Have the import of a moved module raise an ImportError that names the new one."""
    if not any(isinstance(finder, _MovedModules) for finder in sys.meta_path):
        sys.meta_path.append(_MovedModules())
