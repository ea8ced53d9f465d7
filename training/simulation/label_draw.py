"""Draws the labels of a field so that their frequencies are those of the real label table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from hpa_sdk.labels import Label

FIELDS_IN_TABLE = 31_072

FIELDS_BY_LABEL = {
    Label.NUCLEOPLASM: 12_885,
    Label.NUCLEAR_MEMBRANE: 1_254,
    Label.NUCLEOLI: 3_621,
    Label.NUCLEOLI_FIBRILLAR_CENTER: 1_561,
    Label.NUCLEAR_SPECKLES: 1_858,
    Label.NUCLEAR_BODIES: 2_513,
    Label.ENDOPLASMIC_RETICULUM: 1_008,
    Label.GOLGI_APPARATUS: 2_822,
    Label.PEROXISOMES: 53,
    Label.ENDOSOMES: 45,
    Label.LYSOSOMES: 28,
    Label.INTERMEDIATE_FILAMENTS: 1_093,
    Label.ACTIN_FILAMENTS: 688,
    Label.FOCAL_ADHESION_SITES: 537,
    Label.MICROTUBULES: 1_066,
    Label.MICROTUBULE_ENDS: 21,
    Label.CYTOKINETIC_BRIDGE: 530,
    Label.MITOTIC_SPINDLE: 210,
    Label.MICROTUBULE_ORGANIZING_CENTER: 902,
    Label.CENTROSOME: 1_482,
    Label.LIPID_DROPLETS: 172,
    Label.PLASMA_MEMBRANE: 3_777,
    Label.CELL_JUNCTIONS: 802,
    Label.MITOCHONDRIA: 2_965,
    Label.AGGRESOME: 322,
    Label.CYTOSOL: 8_228,
    Label.CYTOPLASMIC_BODIES: 328,
    Label.RODS_AND_RINGS: 11,
}

# The two fields of five labels count as four: no separate pattern of mixing can be learnt from two examples.
FIELDS_BY_LABEL_COUNT = {1: 15_126, 2: 12_485, 3: 3_160, 4: 301}

_TOLERANCE = 1e-10
_MOST_ROUNDS = 10_000


@dataclass(frozen=True)
class ConditionalPoisson:
    """A law over label sets in which every set of k labels has a chance proportional to the product of its weights.

    Given k, the chance of a set S of k labels is

        P(S | k) = prod(w[i] for i in S) / e_k(w)

    where e_k, the elementary symmetric polynomial, sums that product over all sets of k labels. Among all laws with
    the same marginal frequencies this one has the largest entropy: it adds no co-occurrence of its own beyond what
    the number of labels forces. A label's frequency given k is

        P(i in S | k) = w[i] * e_{k-1}(w without w[i]) / e_k(w)

    and its frequency over all fields is the mean of that over the law of k. The weights that give the wanted
    frequencies have no closed form; `fitted_law` finds them by fixed-point iteration.

    Source: X.-H. Chen, A. P. Dempster and J. S. Liu, "Weighted finite population sampling to maximize entropy",
    Biometrika 81 (1994), 457-469.

    Parameters
    ----------
    weights : ndarray, float64, shape (28,)
        Weight of each label, positive; a common factor changes nothing.
    count_chances : ndarray, float64, shape (k_max + 1,)
        Chance of each number of labels; its first entry, for none, is 0.
    """

    weights: NDArray[np.float64]
    count_chances: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[Label, ...]:
        """Draw one label set, in class order.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        tuple of Label
            The labels.
        """
        wanted = int(rng.choice(len(self.count_chances), p=self.count_chances))
        drawn: list[Label] = []
        # Label after label, the chance to take it is the share of the still possible sets that hold it.
        for label in Label:
            missing = wanted - len(drawn)
            if missing == 0:
                break
            with_label = self.weights[label] * self._tails[label + 1, missing - 1]
            if rng.random() * self._tails[label, missing] < with_label:
                drawn.append(label)
        return tuple(drawn)

    def frequencies(self) -> NDArray[np.float64]:
        """Compute the share of fields that carry each label.

        Returns
        -------
        ndarray, float64, shape (28,)
            Shares between 0 and 1.
        """
        most = len(self.count_chances) - 1
        whole = self._tails[0]
        shares = np.zeros(len(self.weights))
        for label, weight in enumerate(self.weights):
            others = _tail_polynomials(np.delete(self.weights, label), most)[0]
            shares[label] = np.sum(self.count_chances[1:] * weight * others[:-1] / whole[1:])
        return shares

    @cached_property
    def _tails(self) -> NDArray[np.float64]:
        return _tail_polynomials(self.weights, len(self.count_chances) - 1)


def _tail_polynomials(weights: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Elementary symmetric polynomials of degree 0 to `most` of `weights[i:]`, for each i from 0 to len(weights)."""
    table = np.zeros((len(weights) + 1, most + 1))
    table[-1, 0] = 1.0
    for place in range(len(weights) - 1, -1, -1):
        table[place] = table[place + 1]
        table[place, 1:] += weights[place] * table[place + 1, :-1]
    return table


@cache
def fitted_law() -> ConditionalPoisson:
    """Fit the law whose label frequencies and label numbers are those of the real label table.

    Each round multiplies a label's weight by the ratio of its wanted frequency to the one that the weights give.

    Returns
    -------
    ConditionalPoisson
        The law; the same object at every call.
    """
    count_chances = np.zeros(max(FIELDS_BY_LABEL_COUNT) + 1)
    for count, fields in FIELDS_BY_LABEL_COUNT.items():
        count_chances[count] = fields / FIELDS_IN_TABLE
    wanted = np.array([FIELDS_BY_LABEL[label] for label in Label]) / FIELDS_IN_TABLE
    # Folding five labels into four leaves the labels a few too many for the label numbers: no weights fit both.
    wanted *= np.sum(count_chances * np.arange(len(count_chances))) / wanted.sum()
    weights = wanted / wanted.sum()
    for _ in range(_MOST_ROUNDS):
        given = ConditionalPoisson(weights, count_chances).frequencies()
        if np.max(np.abs(given / wanted - 1)) < _TOLERANCE:
            break
        weights = weights * wanted / given
        weights /= weights.sum()
    return ConditionalPoisson(weights, count_chances)


def draw_labels(rng: np.random.Generator) -> tuple[Label, ...]:
    """Draw the 1 to 4 labels of one field with the frequencies of the real label table.

    The number of labels and each label's marginal frequency match the table; labels keep company as the
    conditional-Poisson law has it (see `ConditionalPoisson`), not as organelles do in cells. Whoever wants other
    company hands `simulate` label sets of their own.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of Label
        The labels, in class order.
    """
    return fitted_law().draw(rng)
