"""Stands in for Ray: what an actor of a cluster would do runs right here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

_NAMES = ("hpa_sdk.integrations.ray", "hpa_sdk.integrations.ray_cells")


class Dataset:
    """Rows that an actor of this process answers."""

    context = SimpleNamespace(execution_options=SimpleNamespace())

    def __init__(self, tables: list[pa.Table]) -> None:
        self._tables = tables

    def map_batches(self, actor: type, *, fn_constructor_args: tuple[Any, ...], **_: object) -> Dataset:
        return Dataset([*map(actor(*fn_constructor_args), self._tables)])

    def iter_batches(self, **_: object) -> Iterator[pa.Table]:
        yield from self._tables


@contextmanager
def ray_stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Yield the integration of fields and that of cells, with a stand-in for Ray."""
    ray, data = ModuleType("ray"), ModuleType("ray.data")
    vars(ray)["data"] = data
    vars(ray)["nodes"] = lambda: [{"Alive": True, "Resources": {"CPU": 1}}]
    vars(ray).update(remote=lambda task: SimpleNamespace(remote=task), get=lambda answer: answer)
    vars(data).update(from_arrow=Dataset, Dataset=Dataset, ActorPoolStrategy=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", data)
    for name in _NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    fields, cells = map(importlib.import_module, _NAMES)
    yield fields, cells
    for name in _NAMES:
        sys.modules.pop(name, None)
