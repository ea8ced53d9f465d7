"""Splits labelled fields into a training and a validation part."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit
from sklearn.model_selection import train_test_split

from hpa_sdk.labels import Label
from training.data.dataset import Targets
from training.errors import RunError

SplitName = Literal["study", "stratified"]

STUDY_SHARE = 0.2
"""Share of the fields that the study uses for validation."""

STUDY_STATE = 101
"""The study's random state, so that the same fields can be drawn again."""

_FEWEST = 2

Rows = npt.NDArray[np.intp]
"""Row numbers into a data set."""

_log = logging.getLogger(__name__)


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


def stratified_split(targets: Targets) -> tuple[Rows, Rows]:
    """Split rows so that each class has its share in both parts, as far as it has enough fields.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD
    2011), by the package iterative-stratification; share and random state are the study's.

    Parameters
    ----------
    targets : numpy.ndarray
        float32 of shape (fields, 28).

    Returns
    -------
    training, validation : numpy.ndarray
        Row numbers, ascending.
    """
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=STUDY_SHARE, random_state=STUDY_STATE)
    ((training, validation),) = splitter.split(np.zeros(len(targets)), targets)
    return cast("Rows", np.sort(training)), cast("Rows", np.sort(validation))


def check_splittable(count: int) -> None:
    """Make sure that there is a field for each part.

    Raises
    ------
    RunError
        There are fewer than two fields.
    """
    if count < _FEWEST:
        raise RunError(
            f"{count} labelled field{'' if count == 1 else 's'} can't be split into training and validation",
            remedy=f"Label at least {_FEWEST}.",
        )


def split(targets: Targets, name: SplitName, sizes: Sequence[int] = ()) -> tuple[Rows, Rows]:
    """Split rows by the split of that name, and warn about classes that one part lacks.

    Parameters
    ----------
    targets : numpy.ndarray
        float32 of shape (fields, 28).
    name : str
        ``"study"`` or ``"stratified"``.
    sizes : sequence of int
        Numbers of new and of old fields, which are split apart: so the old ones have the same parts as in an earlier
        fit on them alone. Default: all fields are split together.

    Returns
    -------
    training, validation : numpy.ndarray
        Row numbers.

    Raises
    ------
    RunError
        There are fewer than two fields.
    """
    starts = np.cumsum(sizes[:-1], dtype=np.intp)
    pairs = []
    for start, group in zip((0, *starts), np.split(targets, starts), strict=True):
        check_splittable(len(group))
        training, validation = study_split(len(group)) if name == "study" else stratified_split(group)
        pairs.append((training + start, validation + start))
    parts = np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])
    for part, taken in zip(("training", "validation"), parts, strict=True):
        lacking = [label for label in Label if targets[:, label].any() and not targets[taken, label].any()]
        if lacking:
            _log.warning("The %s part has no field of: %s.", part, "; ".join(map(str, lacking)))
    return parts
