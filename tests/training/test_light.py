"""The light network is small, has only what optimizers fold, and starts from weights of EfficientNet-Lite0."""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from hpa_sdk import Predictor
from tests.conftest import run_command
from training.errors import WeightsError
from training.light import fixed_layers, light_backbone, start_from_imagenet
from training.network_forms import preprocessing_of
from training.networks import build_network
from training.torch_file import Weights, read_arrays

PARAMETERS = 3_000_000
SIMPLE = {"Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add", "InputLayer"}


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build_network("light")


def test_it_takes_four_planes_and_is_small(network: keras.Model) -> None:
    assert network.input_shape == (None, 256, 256, 4)
    assert network.output_shape == (None, 28)
    assert network.get_layer("embedding").output.shape == (None, 512)
    assert network.count_params() <= PARAMETERS


def test_its_backbone_has_only_layers_that_fold(network: keras.Model) -> None:
    assert {type(layer).__name__ for layer in network.get_layer("backbone").layers} == SIMPLE


def test_fixed_layers_are_the_first_of_the_backbone() -> None:
    backbone = light_backbone()
    fixed = fixed_layers(backbone)
    assert fixed == backbone.layers[1 : len(fixed) + 1]
    assert fixed[-1].name == "block2_add"


def test_fitted_weights_of_a_run_are_taken_whole(network: keras.Model, tmp_path: Path) -> None:
    network.save(tmp_path / "network.keras")
    again = build_network("light", weights=tmp_path / "network.keras")
    for one, other in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(1) * 3 + pickle.dumps(Path("x"))])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="can't be used for light"):
        build_network("light", weights=file)


class FloatStorage:
    """Stands for PyTorch's class of this name."""

    def __init__(self, key: str, values: Weights) -> None:
        self.key, self.values = key, values


def _rebuild_tensor_v2() -> None:
    """Stands for PyTorch's function of this name."""


class Tensor:
    """A tensor that pickles as PyTorch's do."""

    def __init__(self, key: str, values: Weights) -> None:
        self.storage, self.values = FloatStorage(key, values.ravel()), values

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        strides = tuple(step // self.values.itemsize for step in self.values.strides)
        return _rebuild_tensor_v2, (self.storage, 0, self.values.shape, strides, False, OrderedDict())


class Tensors(pickle.Pickler):
    """Writes storages by their names."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, FloatStorage):
            return "storage", FloatStorage, obj.key, "cpu", len(obj.values), None
        return None


@pytest.fixture
def write_torch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, dict[str, Weights]], None]:
    """Write a file as PyTorch did before 2020."""
    for name, stand_in in (("torch", FloatStorage), ("torch._utils", _rebuild_tensor_v2)):
        module = ModuleType(name)
        setattr(module, stand_in.__name__, stand_in)
        monkeypatch.setattr(stand_in, "__module__", name)
        monkeypatch.setitem(sys.modules, name, module)

    def write(path: Path, arrays: dict[str, Weights]) -> None:
        tensors = {name: Tensor(str(key), values) for key, (name, values) in enumerate(arrays.items())}
        with path.open("wb") as stream:
            facts: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {})
            for fact in facts:
                pickle.dump(fact, stream, protocol=2)
            Tensors(stream, protocol=2).dump(OrderedDict(tensors))
            pickle.dump([tensor.storage.key for tensor in tensors.values()], stream, protocol=2)
            for tensor in tensors.values():
                stream.write(len(tensor.storage.values).to_bytes(8, "little") + tensor.storage.values.tobytes())

    return write


def test_tensors_are_read_as_they_were_written(write_torch: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape, np.float32) for name, shape in (("a", (2, 3)), ("b", (4,)))}
    write_torch(tmp_path / "weights.pth", arrays)
    read = read_arrays(tmp_path / "weights.pth")
    assert list(read) == list(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(read[name], values)


def lite0(rng: np.random.Generator) -> dict[str, Weights]:
    """Random weights with the names and shapes of the first five groups of EfficientNet-Lite0."""
    shapes: dict[str, tuple[int, ...]] = {"_conv_stem": (32, 3, 3, 3)}
    widths = [(32, 16, 3), (16, 24, 3), (24, 24, 3), (24, 40, 5), (40, 40, 5), (40, 80, 3), (80, 80, 3), (80, 80, 3)]
    widths += [(80, 112, 5), (112, 112, 5), (112, 112, 5)]
    normalizations = {"_conv_stem": "_bn0"}
    for number, (before, after, kernel) in enumerate(widths):
        block, inner = f"_blocks.{number}", before * 6 if number else before
        parts = {
            "expand": (inner, before, 1, 1),
            "depthwise": (inner, 1, kernel, kernel),
            "project": (after, inner, 1, 1),
        }
        for place, (part, shape) in enumerate(parts.items()):
            if number or place:
                shapes[f"{block}._{part}_conv"] = shape
                normalizations[f"{block}._{part}_conv"] = f"{block}._bn{place}"
    arrays = {f"{name}.weight": rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    for convolution, name in normalizations.items():
        for part in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{name}.{part}"] = rng.uniform(0.5, 1.5, shapes[convolution][0]).astype(np.float32)
    return arrays


def test_it_starts_from_the_weights_of_lite0(write_torch: Any, tmp_path: Path) -> None:
    arrays = lite0(np.random.default_rng(0))
    write_torch(tmp_path / "lite0.pth", arrays)
    backbone = light_backbone()
    start_from_imagenet(backbone, tmp_path / "lite0.pth")
    depthwise = backbone.get_layer("block3_depthwise").get_weights()[0]
    np.testing.assert_array_equal(
        depthwise[..., 0].transpose(2, 0, 1), arrays["_blocks.3._depthwise_conv.weight"][:, 0]
    )
    # A grey image from 0 to 1 gives what three equal colours from -1 to 1 gave.
    grey = np.float32(0.3)
    stem = keras.Model(backbone.input, backbone.get_layer("stem_normalization").output)
    found = stem.predict_on_batch(np.full((1, 8, 8, 4), grey))[0, 1, 1]
    weight, bias, mean, variance = (
        arrays[f"_bn0.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    convolved = arrays["_conv_stem.weight"].sum(axis=(1, 2, 3)) * (2 * grey - 1)
    np.testing.assert_allclose(
        found, (convolved - mean) / np.sqrt(variance + 1e-3) * weight + bias, rtol=1e-4, atol=1e-4
    )


def test_it_is_fitted_exported_and_answers(simulated: Path, tmp_path: Path) -> None:
    sizes = "--weights none --recipe fine_tune --epochs 1 --steps 1 --batch-size 2 --validation-fields 3"
    run = tmp_path / "run"
    run_command(
        *("tests.eager_training", "fit", simulated, "--network", "light", "--out", run),
        *(*sizes.split(), "--statistics-fields", 2, "--precision", "float32"),
    )
    run_command("export", "onnx", run, "-o", tmp_path / "light.onnx", "--count", 4)
    card = Predictor.load(tmp_path / "light.onnx", device="cpu").card
    assert card.architecture == "light"
    assert card.preprocessing == preprocessing_of("light")
    assert card.parity is not None
    assert card.parity.max_difference < 1e-5
