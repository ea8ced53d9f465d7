"""Starts object stores on this machine, where the environment says that they are, each with an empty bucket."""

from __future__ import annotations

import contextlib
import os
import urllib.request
from collections.abc import Iterator
from typing import Literal

import fsspec
import pytest

from hpa_sdk.fields.remote import archive

# What zonal buckets need speaks gRPC, which the emulator does not; gcsfs asks once, when whoever is first imports it.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

Protocol = Literal["s3", "gs"]
"""Whose protocol a store speaks: Amazon's, by moto, or Google's, by gcp-storage-emulator."""


@contextlib.contextmanager
def bucket(protocol: Protocol) -> Iterator[str]:
    """Yield the address of an empty bucket; processes that are started meanwhile find it too."""
    start = {"s3": _start_s3, "gs": _start_gs}[protocol]
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        start(patch, stack)
        stack.callback(_forget, protocol)
        _forget(protocol)
        fsspec.filesystem(protocol).mkdir("plates")
        yield f"{protocol}://plates"


def _start_s3(patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> None:
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    stack.callback(server.stop)
    host, port = server.get_host_and_port()
    # All servers of moto in one process share their buckets.
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    for name, value in {
        "ACCESS_KEY_ID": "x",
        "SECRET_ACCESS_KEY": "x",
        "DEFAULT_REGION": "us-east-1",
        "ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        patch.setenv(f"AWS_{name}", value)


def _start_gs(patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> None:
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    server = stack.enter_context(emulator.create_server("127.0.0.1", 0, in_memory=True))
    port = server._api._httpd.server_port
    for name, value in {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
        "FSSPEC_GS_TOKEN": "anon",
    }.items():
        patch.setenv(name, value)
    # fsspec reads its part of the environment once, when it is imported.
    patch.setitem(fsspec.config.conf, "gs", {"token": "anon"})


def _forget(protocol: Protocol) -> None:
    """Clear the cached file systems of a store that has ended."""
    archive._filesystem.cache_clear()
    fsspec.get_filesystem_class(protocol).clear_instance_cache()
