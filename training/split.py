"""Parts labelled fields into those to fit on and those to judge by."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

STUDY_SHARE = 0.2
"""Share of the fields that the study keeps for validation."""

STUDY_STATE = 101
"""The study's random state, so that anyone can take the same fields."""

Rows = npt.NDArray[np.intp]
"""Row numbers into a data set."""


def study_split(count: int) -> tuple[Rows, Rows]:
    """Split rows as the study does: scikit-learn's ``train_test_split``, 20 %, random state 101.

    Parameters
    ----------
    count : int
        Number of fields in the table.

    Returns
    -------
    training, validation : numpy.ndarray
        Row numbers, in the order in which scikit-learn gives them.
    """
    training, validation = train_test_split(
        np.arange(count), test_size=STUDY_SHARE, random_state=STUDY_STATE, shuffle=True
    )
    return cast("Rows", training), cast("Rows", validation)
