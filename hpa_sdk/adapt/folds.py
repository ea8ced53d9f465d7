"""Divides few labelled fields into folds so that each class is in all of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from hpa_sdk.adapt.figures import Present

FOLDS = 5
"""Parts of a cross-validation."""

Rows = npt.NDArray[np.intp]


def folds_of(truth: Present, seed: int = 0) -> Iterator[tuple[Rows, Rows]]:
    """Yield the rows outside and inside each fold, by iterative stratification.

    Parameters
    ----------
    truth : numpy.ndarray
        bool of shape (fields, classes).
    seed : int
        Of the order.

    References
    ----------
    Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011.
    """
    splitter = MultilabelStratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    # Fields without any of the classes are divided evenly too.
    yield from splitter.split(np.zeros(len(truth)), np.column_stack([truth, ~truth.any(axis=1)]))
