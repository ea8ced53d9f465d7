"""What the strong recipe adds is really done: warm-up and cosine, averaged weights, bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest

from tests.training.small_fit import answers_of, build_small_network, read_history
from training.fit import fit as fit_module
from training.fit.fit import fit
from training.fit.recipe import Recipe, read_recipe
from training.fit.run_folder import Plan
from training.fit.stage import compile_stage

pytestmark = pytest.mark.slow

Weights = list[npt.NDArray[np.float32]]

EPOCHS, STEPS = 3, 4


@pytest.mark.parametrize("recipe", ["strong", "fine_tune"])
def test_the_learning_rate_warms_up_and_follows_a_half_cosine(recipe: str) -> None:
    adjusted = read_recipe(recipe).adjusted("vgg16", epochs=10, steps_per_epoch=100)
    highest = adjusted.stages[0].learning_rate
    network = build_small_network("small")
    compile_stage(network, adjusted, adjusted.stages[0])

    def rate(step: int) -> float:
        network.optimizer.iterations.assign(step)
        return float(network.optimizer.learning_rate)

    assert rate(0) == 0
    assert rate(50) == pytest.approx(highest)
    assert rate(1000) == pytest.approx(0, abs=1e-10)
    for step in (1, 25, 49):
        assert rate(step) == pytest.approx(highest * step / 50, rel=1e-5)
    for step in (51, 200, 525, 999):
        along = (step - 50) / 950
        assert rate(step) == pytest.approx(highest * (1 + np.cos(np.pi * along)) / 2, abs=1e-6 * highest)


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Records the weights after each step, and the dtypes of the computation."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Weights] = []
        self.dtypes: set[tuple[str, str]] = set()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Record them before any other callback changes them."""
        del batch, logs
        self.weights.append(trainable_of(self.model))
        layer = self.model.get_layer("embedding")
        self.dtypes.add((layer.compute_dtype, str(layer.kernel.dtype)))


def trainable_of(network: keras.Model) -> Weights:
    return [keras.ops.convert_to_numpy(weight).copy() for weight in network.trainable_variables]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Let the small network be fitted in place of the real ones, and record its steps."""
    recorder = Recorder()

    def fit_recorded(network: keras.Model, *arguments: Any, **options: Any) -> Any:
        return plain_fit(network, *arguments, **options | {"callbacks": [recorder, *options["callbacks"]]})

    plain_fit = keras.Model.fit
    monkeypatch.setattr(keras.Model, "fit", fit_recorded)
    monkeypatch.setattr(fit_module, "build_network", build_small_network)
    yield recorder
    keras.mixed_precision.set_global_policy("float32")


def strong(**changes: Any) -> Recipe:
    """Return the recipe at a rate that leaves no two steps with the same weights."""
    sizes = {"steps_per_epoch": STEPS, "batch_size": 4, "validation_fields": 8, "statistics_fields": 8}
    recipe = read_recipe("strong").adjusted("vgg16", epochs=EPOCHS, **sizes, **changes)
    return replace(recipe, stages=(replace(recipe.stages[0], learning_rate=1e-2),))


def plan(data: Path, recipe: Recipe) -> Plan:
    return Plan(network="vgg16", recipe=recipe, data=(data,), weights="none", seed=2)


def test_the_kept_weights_are_the_moving_average(simulated: Path, tmp_path: Path, recorder: Recorder) -> None:
    run, momentum = tmp_path / "run", 0.6
    fit(plan(simulated, strong(weight_average=momentum, precision="float32")), run)
    assert len(recorder.weights) == EPOCHS * STEPS
    best = int(read_history(run)["val_loss"].argmin())
    fitted = recorder.weights[: (best + 1) * STEPS]
    average = fitted[0]
    for weights in fitted[1:]:
        average = [momentum * old + (1 - momentum) * new for old, new in zip(average, weights, strict=True)]
    kept = trainable_of(keras.saving.load_model(run / "network.keras"))
    for found, expected in zip(kept, average, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert max(np.abs(one - last).max() for one, last in zip(kept, fitted[-1], strict=True)) > 1e-3


def test_a_fit_in_bfloat16_leaves_a_network_in_float32(simulated: Path, tmp_path: Path, recorder: Recorder) -> None:
    recipe, run = strong(), tmp_path / "run"
    assert recipe.precision == "mixed_bfloat16"
    fit(plan(simulated, recipe), run)
    assert recorder.dtypes == {("bfloat16", "float32")}
    history = read_history(run)
    assert np.isfinite([history["loss"], history["val_loss"]]).all()
    network = keras.saving.load_model(run / "network.keras")
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    answers = answers_of(run, simulated)
    assert answers.dtype == np.float32
    assert np.isfinite(answers).all()
    assert keras.mixed_precision.global_policy().name == "float32"
