"""A process that is killed at any moment of a download leaves the right file, or none; HPA_KILLS says how often."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import onnx
from onnx import numpy_helper

from hpa_sdk.models.model_store import ModelStore
from tests.hpa_sdk.models.conftest import FILE, Lab
from tests.small import build_model
from tests.training.plane_server import Answer, Handler

KILLS = int(os.environ.get("HPA_KILLS", "6"))
COMMAND = [sys.executable, "-m", "hpa_sdk.cli", "models", "get", "small"]
MEGABYTES, SECONDS = 24, 0.4


def slowly(handler: Handler, content: bytes) -> None:
    """Give the file, or the rest of it, in `SECONDS` for the whole file."""
    start = int((handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    size = len(content)
    ranged = {"Content_Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
    handler.start(206 if start else 200, Content_Length=size - start, ETag='"v1"', **ranged)
    for at in range(start, size, size // 50):
        handler.wfile.write(content[at : at + size // 50])
        time.sleep(SECONDS / 50)


def large_model() -> bytes:
    model = build_model()
    padding = np.random.default_rng(1).integers(0, 256, MEGABYTES << 20, np.uint8)
    model.graph.initializer.append(numpy_helper.from_array(padding, "padding"))
    content: bytes = model.SerializeToString()
    return content


def test_kills_at_any_moment_leave_the_file_or_none(lab: Lab) -> None:
    content = large_model()
    onnx.checker.check_model(onnx.load_from_string(content))
    lab.site.content = lambda _: content
    answer: Answer = slowly
    lab.site.answers[FILE] = [answer] * 10 * KILLS
    moments = np.random.default_rng(KILLS)
    seen: Counter[str] = Counter()
    for _ in range(KILLS):
        asked = len(lab.site.requests[FILE])
        process = subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(lab.site.requests[FILE]) == asked and process.poll() is None:  # Python needs its time to start
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1.3 * SECONDS))
        ended = process.poll() is not None
        process.kill()
        process.wait()
        store = ModelStore()
        file = store.file("small")
        if file is not None:
            assert file.read_bytes() == content
            store.verify("small")
            store.remove("small", forget=moments.random() < 0.5)
        part = lab.file.with_name("small.onnx.part")
        seen["ended" if ended else "file" if file else "part" if part.exists() else "nothing"] += 1
    assert subprocess.run(COMMAND, check=True, capture_output=True, text=True).stdout == f"{lab.file}\n"
    assert lab.file.read_bytes() == content
    resumed = sum("Range" in request for request in lab.site.requests[FILE])
    print(f"{KILLS} kills: {dict(seen)}, {resumed} of {len(lab.site.requests[FILE])} transfers resumed")  # noqa: T201
    assert seen["part"]
    # Nothing else is left.
    assert sorted(path.name for path in lab.file.parent.iterdir()) == [
        *(".lock", "LICENCE.txt", "catalogue.toml", "small.onnx")
    ]
