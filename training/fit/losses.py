"""The losses that recipes name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from keras import losses, ops

LossName = Literal["binary_crossentropy", "asymmetric"]

_FOCUS = 2.0
_EPSILON = 1e-7


def asymmetric(truth: Any, probabilities: Any) -> Any:  # noqa: ANN401 - tensors of any Keras backend
    """Compute the asymmetric loss: binary cross-entropy with small weights for easy negatives.

    A field has one or two of the 28 classes, so nearly all terms of the cross-entropy are negatives that the network
    learns early. Each negative is weighted by p^2; positives have full weight (Ridnik et al., "Asymmetric Loss for
    Multi-Label Classification", ICCV 2021, arXiv:2009.14119, equations 4 to 7, with gamma+ = 0, gamma- = 2 and m = 0).
    The paper's own gamma- = 4 and m = 0.05 are for networks that start from ImageNet's weights. With random weights
    they weaken the negatives so much that a fit learns more slowly than with the plain cross-entropy.

    Parameters
    ----------
    truth, probabilities : tensor
        Of shape (N, 28).

    Returns
    -------
    tensor
        The loss of each field, of shape (N,): the mean over the classes.
    """
    present = truth * ops.log(ops.maximum(probabilities, _EPSILON))
    absent = (1 - truth) * probabilities**_FOCUS * ops.log(ops.maximum(1 - probabilities, _EPSILON))
    return -ops.mean(present + absent, axis=-1)


LOSSES: dict[LossName, Callable[[Any, Any], Any]] = {
    "binary_crossentropy": losses.binary_crossentropy,
    "asymmetric": asymmetric,
}
"""The losses by the names that recipes give them."""
