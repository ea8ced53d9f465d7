"""The limits of the container count, not those of the machine."""

from pathlib import Path

import psutil
import pytest

from hpa_sdk.inference import container_limits
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.memory import memory_of
from hpa_sdk.inference.threads import usable_cores

MIB = 2**20


def limit(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str = "0::/") -> None:
    """Lay out the files of control groups as Linux does."""
    for name, content in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n", encoding="ascii")
    (tmp_path / "own").write_text(own + "\n", encoding="utf-8")
    monkeypatch.setattr(container_limits, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(container_limits, "_OWN", tmp_path / "own")


@pytest.mark.parametrize(
    ("files", "own", "cores"),
    [
        ({"cpu.max": "150000 100000"}, "0::/", 2),
        ({"cpu.max": "max 100000"}, "0::/", None),
        ({"cpu.max": "5000 100000"}, "0::/", 1),
        ({"a/cpu.max": "max 100000", "a/b/cpu.max": "300000 100000"}, "4:cpu:/\n0::/a/b", 3),
        ({"a/cpu.max": "100000 100000", "a/b/cpu.max": "300000 100000"}, "0::/a/b", 1),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/", 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/", None),
        ({}, "", None),
    ],
)
def test_cores_are_those_of_the_quota(
    files: dict[str, str], own: str, cores: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit({}, tmp_path, monkeypatch, own="")
    unlimited = usable_cores()
    limit(files, tmp_path, monkeypatch, own)
    assert container_limits.granted_cores() == cores
    assert usable_cores() == min(unlimited, cores or unlimited)


@pytest.mark.parametrize(
    ("files", "own", "free"),
    [
        (
            {
                "memory.max": f"{64 * MIB}",
                "memory.current": f"{48 * MIB}",
                "memory.stat": f"anon 5\ninactive_file {MIB}\nactive_file {MIB}",
            },
            "0::/é",
            18 * MIB,
        ),
        ({"memory.max": "max", "memory.current": "5"}, "0::/", None),
        ({"memory/memory.limit_in_bytes": f"{9 * MIB}", "memory/memory.usage_in_bytes": f"{MIB}"}, "", 8 * MIB),
        ({"memory/memory.limit_in_bytes": "5", "memory/memory.usage_in_bytes": "6"}, "", 0),
    ],
)
def test_memory_is_what_the_container_has_left(
    files: dict[str, str], own: str, free: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(files, tmp_path, monkeypatch, own)
    assert container_limits.granted_memory() == free
    memory = memory_of(Device("cpu"))
    assert memory is not None
    if free is None:
        assert memory.free > psutil.virtual_memory().available / 2
    else:
        assert memory.free == free
