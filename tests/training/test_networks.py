"""The networks are the study's, layer for layer."""

from pathlib import Path

import keras
import numpy as np
import pytest

from training.errors import WeightsError
from training.network_forms import NetworkName
from training.networks import build_network

pytestmark = pytest.mark.slow

# The rows of the study's two printed summaries: output shape and parameters.
STUDY_ROWS = {
    "inception_resnet_v2": {
        "image": ((299, 299, 3), 0),
        "input_normalization": ((299, 299, 3), 12),
        "backbone": ((8, 8, 1536), 54_336_736),
        "extra_convolution": ((8, 8, 128), 196_736),
        "flatten": ((8192,), 0),
        "dropout_before_embedding": ((8192,), 0),
        "embedding": ((512,), 4_194_816),
        "dropout_after_embedding": ((512,), 0),
        "probabilities": ((28,), 14_364),
    },
    "vgg16": {
        "image": ((299, 299, 3), 0),
        "input_normalization": ((299, 299, 3), 12),
        "backbone": ((9, 9, 512), 14_714_688),
        "extra_convolution": ((9, 9, 128), 65_664),
        "flatten": ((10_368,), 0),
        "dropout_before_embedding": ((10_368,), 0),
        "embedding": ((512,), 5_308_928),
        "dropout_after_embedding": ((512,), 0),
        "probabilities": ((28,), 14_364),
    },
}
STUDY_TOTALS = {"inception_resnet_v2": (58_742_664, 58_682_114, 60_550), "vgg16": (20_103_656, 20_103_650, 6)}


@pytest.fixture(scope="module", params=STUDY_ROWS)
def network(request: pytest.FixtureRequest) -> keras.Model:
    name: NetworkName = request.param
    return build_network(name)


def count(weights: list[keras.Variable]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def test_each_layer_is_a_row_of_the_study_s_summary(network: keras.Model) -> None:
    rows = {layer.name: (tuple(layer.output.shape[1:]), layer.count_params()) for layer in network.layers}
    assert rows == STUDY_ROWS[network.name]
    assert list(rows) == list(STUDY_ROWS[network.name])


def test_parameters_are_the_study_s(network: keras.Model) -> None:
    counts = network.count_params(), count(network.trainable_weights), count(network.non_trainable_weights)
    assert counts == STUDY_TOTALS[network.name]


def test_layers_do_what_the_study_says(network: keras.Model) -> None:
    assert network.get_layer("probabilities").activation is keras.activations.sigmoid
    assert network.get_layer("embedding").activation is keras.activations.relu
    assert network.get_layer("extra_convolution").activation is keras.activations.relu
    rates = [network.get_layer(f"dropout_{place}_embedding").rate for place in ("before", "after")]
    assert rates == [0.5, 0.5]


def test_the_code_cell_s_wider_convolution_is_an_option() -> None:
    wide = build_network("vgg16", extra_kernel=3).get_layer("extra_convolution")
    assert wide.count_params() == 3 * 3 * 512 * 128 + 128
    assert tuple(wide.output.shape[1:]) == (9, 9, 128)


def test_weights_of_a_file_reach_the_backbone(tmp_path: Path) -> None:
    backbone = build_network("vgg16").get_layer("backbone")
    path = tmp_path / "vgg.weights.h5"
    backbone.save_weights(path)
    loaded = build_network("vgg16", weights=path).get_layer("backbone")
    for found, expected in zip(loaded.get_weights(), backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_fitted_network_is_the_start_of_the_whole(tmp_path: Path) -> None:
    fitted = build_network("vgg16")
    path = tmp_path / "network.keras"
    fitted.save(path)
    for found, expected in zip(build_network("vgg16", weights=path).get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(WeightsError, match=r"can't be used for inception_resnet_v2.*a run of inception_resnet_v2"):
        build_network("inception_resnet_v2", weights=path)
    with pytest.raises(WeightsError, match="can't be used for vgg16"):
        build_network("vgg16", weights=tmp_path / "gone.keras")


def test_unavailable_weights_say_where_to_put_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=r"gone\.h5 weights of vgg16 can't be loaded.*without its top"):
        build_network("vgg16", weights=tmp_path / "gone.h5")
    asked: list[str] = []

    def no_network(address: str, *_: object, **__: object) -> None:
        asked.append(address.rpartition("/")[2])
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", no_network)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in STUDY_ROWS:
        with pytest.raises(WeightsError, match=f"imagenet weights of {name} can't be loaded") as caught:
            build_network(name, weights="imagenet")  # type: ignore[arg-type]
        # The file that Keras looks for, in the folder where it looks first.
        assert f"get {asked[-1]} on another machine" in caught.value.remedy
        assert f"put it into {tmp_path / 'models'}, or name it by --weights FILE" in caught.value.remedy
