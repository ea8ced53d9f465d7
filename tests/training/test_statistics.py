"""Statistics of batch normalization that belong to the weights that are judged."""

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import layers

from tests.training.small_fit import build_small_network
from training.fit.batch_statistics import RecomputeStatistics, take_statistics
from training.networks import build_network

pytestmark = pytest.mark.slow

FIELDS = 64


@pytest.fixture
def images() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(3)
    return (rng.random((FIELDS, 299, 299, 3)) * [0.2, 0.5, 1.0]).astype(np.float32)


def normalizations(network: keras.Model) -> tuple[layers.BatchNormalization, layers.BatchNormalization]:
    backbone = next(layer for layer in network.layers if layer.name == "backbone")
    return network.get_layer("input_normalization"), backbone.layers[-2]


def test_means_and_variances_are_those_of_the_images(images: npt.NDArray[np.float32]) -> None:
    network = build_small_network("small")
    first, second = normalizations(network)
    take_statistics(network, images)
    np.testing.assert_allclose(first.moving_mean, images.mean((0, 1, 2), np.float64), rtol=2e-3)
    np.testing.assert_allclose(first.moving_variance, images.var((0, 1, 2), np.float64), rtol=2e-3)
    backbone = network.get_layer("backbone")
    handed_on = keras.Sequential(backbone.layers[:-2]).predict(first(images), verbose=0)
    np.testing.assert_allclose(second.moving_mean, handed_on.mean((0, 1, 2), np.float64), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(second.moving_variance, handed_on.var((0, 1, 2), np.float64), rtol=1e-2)
    assert first.momentum == second.momentum == 0.99


def test_a_frozen_backbone_keeps_the_statistics_it_came_with(images: npt.NDArray[np.float32]) -> None:
    network = build_small_network("small")
    network.get_layer("backbone").trainable = False
    first, second = normalizations(network)
    take_statistics(network, images)
    np.testing.assert_allclose(first.moving_mean, images.mean((0, 1, 2), np.float64), rtol=2e-3)
    assert not np.any(second.moving_mean)
    np.testing.assert_array_equal(second.moving_variance, 1)


def test_a_short_fit_is_judged_by_what_its_weights_can_do(images: npt.NDArray[np.float32]) -> None:
    truth = np.zeros((FIELDS, 28), np.float32)
    truth[::2, 0] = 1
    images[::2] *= 0.8

    def judged_after_a_short_fit(*callbacks: keras.callbacks.Callback) -> tuple[float, float]:
        keras.utils.set_random_seed(1)
        network = build_small_network("small")
        network.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
        history = network.fit(
            images, truth, batch_size=8, epochs=6, validation_data=(images, truth), verbose=0, callbacks=callbacks
        ).history
        by_batch = np.concatenate([network(part, training=True) for part in np.array_split(images, 8)])
        return history["val_loss"][-1], float(np.mean(keras.losses.binary_crossentropy(truth, by_batch)))

    lagging, _ = judged_after_a_short_fit()
    fresh, by_batch_and_dropped_out = judged_after_a_short_fit(RecomputeStatistics(images))
    assert fresh < by_batch_and_dropped_out < lagging


def test_random_weights_of_vgg16_hand_on_what_they_see() -> None:
    keras.utils.set_random_seed(0)
    image = np.random.default_rng(0).standard_normal((1, 299, 299, 3)).astype(np.float32)
    seen_at_the_end = build_network("vgg16").get_layer("backbone").predict(image, verbose=0)
    assert 0.1 < seen_at_the_end.std() < 10


def test_the_real_backbone_is_gone_through(images: npt.NDArray[np.float32]) -> None:
    network = build_network("inception_resnet_v2")
    deepest = network.get_layer("backbone").get_layer("conv_7b_bn")
    take_statistics(network, images[:2])
    assert np.any(deepest.moving_mean)
    assert not np.allclose(deepest.moving_variance, 1)
