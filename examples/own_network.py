"""Fits your own Keras network and exports it under the same contract, so that hpa_sdk runs it.

    python -m training simulate fields --count 64
    python examples/own_network.py fields own.onnx

The contract: input 299 x 299 x 3, a layer `embedding` of 512, and 28 sigmoid units named `probabilities` at the end.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
from keras import layers

from export.onnx.export import export_onnx
from hpa_sdk.labels import Label
from hpa_sdk.models.contract import EMBEDDING_SIZE, RUN_CARD, RUN_NETWORK, RUN_RECORD
from hpa_sdk.models.model_card import STUDY_THRESHOLD, ModelCard, Training
from training.data.batches import FieldBatches
from training.data.dataset import Dataset, read_dataset
from training.data.prepared import DecodedImages
from training.fit.run_folder import code_revision, versions
from training.judge.metrics import batch_f1

BATCH_SIZE = 8


def main() -> None:
    """Fit, describe, export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    dataset = read_dataset(options.data)
    network = build()
    network.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=[batch_f1])
    images = DecodedImages(dataset.samples)
    network.fit(
        FieldBatches(
            images,
            dataset.targets,
            batch_size=BATCH_SIZE,
            steps=options.steps,
            augmentation="dihedral_and_intensity",
            seed=0,
        ),
        verbose=2,
    )
    with TemporaryDirectory() as folder:
        run = Path(folder)
        keras.Model(network.input, network.output).save(run / RUN_NETWORK)
        (run / RUN_CARD).write_text(describe(dataset, options.steps).to_json(), encoding="utf-8")
        (run / RUN_RECORD).write_text(json.dumps({"data": [str(options.data)]}), encoding="utf-8")
        card = export_onnx(run, options.model, count=len(dataset.samples))
    print(f"{options.model}: {card.name}, as Keras to {card.parity.max_difference:.0e}" if card.parity else card.name)


def build() -> keras.Model:
    """Build a network with a hundredth of the study's weights."""
    image = keras.Input((299, 299, 3), name="image")
    x = image
    for filters in (16, 32, 64, 96):
        x = layers.Conv2D(filters, 5, strides=3, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dense(EMBEDDING_SIZE, activation="relu", name="embedding")(layers.Flatten()(x))
    probabilities = layers.Dense(len(Label), activation="sigmoid", name="probabilities")(x)
    return keras.Model(image, probabilities, name="four_convolutions")


def describe(dataset: Dataset, steps: int) -> ModelCard:
    """Describe the network for its users."""
    return ModelCard(
        name=f"four convolutions on {dataset.name}",
        architecture="four_convolutions",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        thresholds=(STUDY_THRESHOLD,) * len(Label),
        training=Training(
            recipe="Adam 1e-3, dihedral views",
            backend=keras.backend.backend(),
            versions=versions(),
            seed=0,
            steps=steps,
            fields_seen=steps * BATCH_SIZE,
            initial_weights="none",
            data=dataset.name,
            data_fingerprint=dataset.fingerprint,
            code_revision=code_revision(),
        ),
    )


if __name__ == "__main__":
    main()
