"""Triton's own message parses every configuration and contains the requested settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

text_format: Any = pytest.importorskip("google.protobuf.text_format")
messages: Any = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="run by make test-triton, in an environment of its own"
)
REPOSITORY = Path(os.environ["HPA_TRITON_REPOSITORY"])


def read(name: str) -> Any:
    text = (REPOSITORY / name / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, messages.ModelConfig())


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("usual", ("image", "TYPE_FP32", [299, 299, 3])),
        ("cpu", ("image", "TYPE_FP32", [299, 299, 3])),
        ("tensorrt", ("image", "TYPE_FP32", [299, 299, 3])),
        ("planes", ("planes", "TYPE_UINT8", [4, -1, -1])),
    ],
)
def test_names_types_and_shapes_are_the_model_s(name: str, taken: tuple[str, str, list[int]]) -> None:
    config = read(name)
    assert (config.name, config.platform) == (name, "onnxruntime_onnx")
    described = [
        (item.name, messages.DataType.Name(item.data_type), list(item.dims)) for item in (*config.input, *config.output)
    ]
    assert described == [taken, ("probabilities", "TYPE_FP32", [28]), ("embedding", "TYPE_FP32", [512])]
    assert [item.label_filename for item in config.output] == ["labels.txt", ""]


def test_the_configuration_says_how_to_run_the_model() -> None:
    usual, cpu = read("usual"), read("cpu")
    assert usual.max_batch_size == 64
    assert list(usual.dynamic_batching.preferred_batch_size) == [16, 32, 64]
    assert usual.dynamic_batching.max_queue_delay_microseconds == 2000
    (group,) = usual.instance_group
    assert (group.count, group.kind) == (1, group.KIND_GPU)
    assert not usual.HasField("optimization")
    assert cpu.max_batch_size == 3
    assert list(cpu.dynamic_batching.preferred_batch_size) == [1, 3]
    (group,) = cpu.instance_group
    assert (group.count, group.kind) == (2, group.KIND_CPU)


def test_tensorrt_has_its_precision_and_its_cache() -> None:
    (accelerator,) = read("tensorrt").optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert dict(accelerator.parameters) == {
        "precision_mode": "FP16",
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": 'D:\\engines "of Zoë"',
    }
