"""Learns what the training fields of a fit look like, so that predictions can warn of fields that are unlike them."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from hpa_sdk.fields.reading import read_planes
from hpa_sdk.inference.threads import usable_cores
from hpa_sdk.models.network_form import Tensors
from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.quality.limits import LEAST_FIELDS, defaults, learn_limits
from hpa_sdk.quality.measures import measure
from hpa_sdk.quality.reference import Reference, learn_spread
from training.data.dataset import Dataset
from training.data.prepared import ImageSource
from training.data.split import Rows

REFERENCE_FIELDS = 300
"""As many training fields are described by default: they take seconds to read, and as many predictions."""

_AT_ONCE = 16
_log = logging.getLogger("training")


def learn_reference(
    network: keras.Model,
    preprocessing: Preprocessing,
    dataset: Dataset,
    images: ImageSource,
    training: Rows,
    *,
    fields: int,
    seed: int,
) -> Reference | None:
    """Learn the limits of the quality measures and the spread of the embeddings of training fields.

    Parameters
    ----------
    network : keras.Model
        The fitted network, with a layer ``embedding``.
    preprocessing : Preprocessing
        The network's own.
    dataset : Dataset
        All fields of the fit.
    images : ImageSource
        Their images.
    training : numpy.ndarray
        Rows of the training part.
    fields : int
        The number of fields to draw from it.
    seed : int
        Of the draw.

    Returns
    -------
    Reference or None
        None if there are fewer than `hpa_sdk.quality.limits.LEAST_FIELDS`, or it can't be used, which is logged.

    Raises
    ------
    PlaneError
        A field can't be read.
    """
    count = min(fields, len(training))
    if count < LEAST_FIELDS:
        return None
    rows = np.sort(np.random.default_rng(seed).choice(training, count, replace=False))

    def measured(row: int) -> dict[str, float]:
        sample = dataset.samples[row]
        planes = read_planes(sample, preprocessing.channels)
        levels = preprocessing.white_levels(planes, white=dataset.white, where=sample.files[0])
        white = None if planes.dtype == np.uint8 else levels
        return measure(preprocessing.taken(planes), preprocessing.channels, defaults().weights, white).values

    with ThreadPoolExecutor(usable_cores()) as pool:
        measures = list(pool.map(measured, rows.tolist()))
    embed = keras.Model(network.input, network.get_layer(Tensors().embedding).output)
    batches = [embed.predict_on_batch(images[rows[at : at + _AT_ONCE]]) for at in range(0, count, _AT_ONCE)]
    name = f"{dataset.name}, training part"
    learned = Reference(
        data=name, fields=count, limits=learn_limits(measures, name), spread=learn_spread(np.concatenate(batches))
    )
    problem = learned.problem()
    if problem is not None:  # such as embeddings beyond what its numbers hold
        _log.warning("The card has no reference: %s.", problem)
        return None
    return learned
