"""Measures how far a converted network is from the trained one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import onnxruntime

from export.errors import ParityError
from hpa_sdk.errors import TableError
from hpa_sdk.model_card import ModelCard, Parity
from hpa_sdk.planes import read_planes
from hpa_sdk.samples import find_samples

LEAST_SAMPLES = 64
"""Fewest fields that a parity figure rests on."""

LARGEST_DIFFERENCE = 1e-5
"""Largest difference of two probabilities that still is rounding."""

_BATCH_SIZE = 16


def read_images(data: Path, card: ModelCard, count: int) -> npt.NDArray[np.float32]:
    """Read the first fields of a folder or table as the network sees them.

    Parameters
    ----------
    data : pathlib.Path
        A folder or table as `find_samples` takes it.
    card : ModelCard
        Says the preprocessing.
    count : int
        Number of fields.

    Returns
    -------
    numpy.ndarray
        float32 of shape (count, 299, 299, 3), 0 to 1.

    Raises
    ------
    TableError
        There are fewer fields.
    """
    table = data / "train.csv"
    samples = islice(find_samples(table if table.is_file() else data), count)
    images = [card.preprocessing(read_planes(sample), where=sample.files[0]) for sample in samples]
    if len(images) < count:
        raise TableError(
            f"there are {len(images)} fields, and the comparison needs {count}",
            where=data,
            remedy="Name other fields with --samples FOLDER.",
        )
    return np.stack(images)


def measure_parity(network: keras.Model, model: bytes, images: npt.NDArray[np.float32], card: ModelCard) -> Parity:
    """Compare the answers of a trained network and of the model converted from it, on the CPU.

    Parameters
    ----------
    network : keras.Model
        With the outputs probabilities and embedding.
    model : bytes
        The serialized ONNX model.
    images : numpy.ndarray
        float32 of shape (N, 299, 299, 3), 0 to 1.
    card : ModelCard
        Says the thresholds.

    Raises
    ------
    ParityError
        A probability differs by more than `LARGEST_DIFFERENCE`, or a label set differs.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    batches = np.array_split(images, -(-len(images) // _BATCH_SIZE))
    found = np.concatenate([session.run(["probabilities"], {"image": batch})[0] for batch in batches])
    expected = network.predict(images, batch_size=_BATCH_SIZE, verbose=0)["probabilities"]
    differences = np.abs(found - expected)
    thresholds = np.asarray(card.thresholds, np.float32)
    same = ((found >= thresholds) == (expected >= thresholds)).all(axis=1)
    parity = Parity(
        samples=len(images),
        max_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        same_label_sets=float(same.mean()),
    )
    # Written so that a NaN fails too.
    if not (parity.max_difference <= LARGEST_DIFFERENCE and same.all()):
        raise ParityError(
            f"the converted network differs by up to {parity.max_difference:.1e} (allowed: {LARGEST_DIFFERENCE:.0e})"
            f" and gives the same label set for {parity.same_label_sets:.2%} of {parity.samples} fields",
            remedy="Nothing was written. Compare the versions in constraints.txt with those installed.",
        )
    return parity
