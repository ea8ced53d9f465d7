"""Compares forms of a light network: parameters, time of an answer, and accuracy after the same processor time.

    python -m benchmarks.starter.forms --data FOLDER --initial efficientnet-lite0-57934424.pth

Each form is fitted on the starter's views for the same processor seconds, and judged on the validation fields. Answers
are timed in onnxruntime, one field at a time on one thread, beside `--beside`, such as an export of
Inception-ResNet-V2.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx
from keras import layers

from benchmarks.starter.__main__ import SHARES, add_data_options, gather, sources_of
from benchmarks.starter.answers import answering, probabilities
from benchmarks.starter.fitting import Budget, at_side, batches_of, compile_fit, some_images, start
from benchmarks.starter.judging import class_aucs
from benchmarks.starter.views import Source
from hpa_sdk.labels import Label
from hpa_sdk.models.contract import OPSET, image_shape
from training.fit.batch_statistics import take_statistics
from training.network_forms import LIGHT_PREPROCESSING
from training.networks import build_network

_FEWEST = 5
_TURNS = 20


def main() -> None:
    """Fit, judge and time each form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_options(parser)
    parser.add_argument("--seconds", type=float, default=120, help="processor time of each fit")
    parser.add_argument("--beside", type=Path, help="ONNX file to time beside the forms")
    options = parser.parse_args()
    data = gather(options)
    sources = sources_of(data, tuple(SHARES))
    forms: dict[str, Callable[[], keras.Model]] = {
        "residual": _residual,
        "MobileNetV3-small without squeeze": _mobile,
        "light": lambda: build_network("light"),
        "light from ImageNet": lambda: build_network("light"),
    }
    with TemporaryDirectory() as folder:
        files = {} if options.beside is None else {options.beside.stem: options.beside}
        for name, build in forms.items():
            network = build()
            views = _fit(network, sources, options.seconds, options.initial if "ImageNet" in name else None)
            answers = probabilities(answering(network), data.validation)
            present = data.validation.targets.astype(bool)
            auc = np.mean(class_aucs(present, answers)[present.sum(axis=0) >= _FEWEST])
            click.echo(f"{name}: {network.count_params():,} parameters, {views:,} views, macro AUC {auc:.3f}")
            if "ImageNet" not in name:
                files[name] = _export(network, Path(folder) / f"{len(files)}.onnx")
        for name, milliseconds in _time(files).items():
            click.echo(f"{name}: {milliseconds:.1f} ms a field")


def _fit(network: keras.Model, sources: tuple[Source, ...], seconds: float, initial: Path | None) -> int:
    """Fit for some processor time; give the number of views."""
    budget = Budget(presentations=10**9)
    if initial is not None:
        start(network, sources, budget, initial)
    fitted = at_side(network, budget.side)
    compile_fit(fitted, budget)
    views, began = 0, time.process_time()
    for images, targets in batches_of(sources, budget, 0):
        fitted.train_on_batch(images, targets)
        views += len(images)
        if time.process_time() - began > seconds:
            break
    take_statistics(fitted, some_images(sources, budget, 256))
    return views


def _head(image: Any, features: Any, name: str) -> keras.Model:  # noqa: ANN401 - Keras tensors
    x = layers.Dense(512, activation="relu")(layers.GlobalAveragePooling2D()(features))
    return keras.Model(image, layers.Dense(len(Label), activation="sigmoid")(x), name=name)


def _mobile() -> keras.Model:
    shape = image_shape(LIGHT_PREPROCESSING)
    image = keras.Input(shape)
    backbone = keras.applications.MobileNetV3Small(
        (None, None, shape[-1]), minimalistic=True, include_top=False, weights=None, include_preprocessing=False
    )
    return _head(image, backbone(image), "mobile")


def _residual() -> keras.Model:
    """Build a stem and four residual blocks of two 3x3 convolutions, each of half the side of the one before."""
    shape = image_shape(LIGHT_PREPROCESSING)
    planes = keras.Input((None, None, shape[-1]))
    x = _convolved(planes, 24, 3, 2)
    for width in (32, 64, 128, 256):
        branch = _convolved(layers.ReLU()(_convolved(x, width, 3, 2)), width, 3, 1)
        x = layers.ReLU()(
            layers.Add()([branch, _convolved(layers.AveragePooling2D(2, padding="same")(x), width, 1, 1)])
        )
    image = keras.Input(shape)
    return _head(image, keras.Model(planes, x)(image), "residual")


def _convolved(x: Any, width: int, kernel: int, stride: int) -> Any:  # noqa: ANN401 - Keras tensors
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def _export(network: keras.Model, file: Path) -> Path:
    form = tf.TensorSpec((None, *image_shape(LIGHT_PREPROCESSING)), tf.float32, name="image")
    tf2onnx.convert.from_function(tf.function(network), input_signature=[form], opset=OPSET, output_path=str(file))
    return file


def _time(files: dict[str, Path]) -> dict[str, float]:
    """Give the median processor time of an answer on one thread, in milliseconds: other programs hardly change it."""
    one_thread = onnxruntime.SessionOptions()
    one_thread.intra_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(file, one_thread, providers=["CPUExecutionProvider"])
        for name, file in files.items()
    }
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(_TURNS):
        for name, session in sessions.items():
            (form,) = session.get_inputs()
            image = np.zeros((1, *form.shape[1:]), np.float32)
            began = time.thread_time()
            session.run(None, {form.name: image})
            times[name].append(time.thread_time() - began)
    return {name: float(np.median(found) * 1e3) for name, found in times.items()}


if __name__ == "__main__":
    main()
