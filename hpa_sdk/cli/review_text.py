"""Puts the summary of reviews into lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from hpa_sdk.cli.model_text import printable
from hpa_sdk.errors import count_of
from hpa_sdk.review.figures import Estimate, ModelFigures
from hpa_sdk.review.summary import Figures, Summary

_FEW = 30  # fields; below, an interval says little


def status_lines(summary: Summary) -> Iterator[str]:
    """Yield the lines of ``hpa review status``."""
    yield f"{count_of(summary.reviews, 'review')} count, {summary.withdrawn:,} withdrawn"
    if summary.damaged:
        yield f"{count_of(summary.damaged, 'review')} damaged in the ledger, in no figure below"
    if summary.kept_withdrawals:
        kept = count_of(summary.kept_withdrawals, "withdrawal")
        yield f"  {kept} of these still named the review, which stays withdrawn"
    for unclear in summary.unclear_withdrawals:
        people = " or ".join(map(printable, unclear.people))
        yield f"  a withdrawal of these, on {printable(unclear.field)}, does not say any more of which review:"
        yield f"    a review of {people} that counts may have been withdrawn; withdraw it again"
    if summary.of_cells:
        yield f"{count_of(summary.of_cells, 'review')} of labels that cells show, in no figure of a model"
    if summary.verdicts:
        yield f"verdicts   {_counts(summary.verdicts)}"
        yield f"people     {_counts(summary.people)}"
    if summary.gone:
        yield f"{count_of(summary.gone, 'reviewed field')} without a result in this store any more"
    for scheme, count in summary.other_schemes.items():
        yield f"{count_of(count, 'field')} of the label scheme {scheme}, in no figure below"
    yield ""
    yield from _figures("All reviewed fields", summary.all, summary.names)
    share = f"Random share alone, which has {count_of(summary.random_share, 'field')} in this store"
    yield from _figures(share, summary.random, summary.names)
    for pair in summary.agreement:
        yield f"{pair.people[0]} and {pair.people[1]}: the same labels on {pair.same:,} of {pair.fields:,} fields"
        for label, kappa in pair.kappa.items():
            yield f"  {summary.names[label]:<32} kappa {kappa:.2f}"


def _figures(title: str, figures: Figures, names: tuple[str, ...]) -> Iterator[str]:
    states = f" ({_counts(figures.states)})" if figures.states else ""
    yield f"{title}: {count_of(figures.fields, 'field')}{states}"
    for model in figures.models:
        yield from _model(model, names)
    yield ""


def _model(model: ModelFigures, names: tuple[str, ...]) -> Iterator[str]:
    yield f"  model {model.model[:12] or 'unknown'}: {model.right:,} of {model.reviewed:,} fields right"
    if model.as_cells:
        pictures = count_of(model.as_cells, "whole picture")
        yield f"    answers for single cells, and took {pictures} as crops of one cell:"
        yield "    these figures do not say how good it is on cells"
    if model.judged < model.reviewed:
        only = model.reviewed - model.judged
        yield f"    {count_of(only, 'field')} wrong, and nobody named the right labels: not in F1, so F1 is too high"
    yield f"    {_f1(model)}"
    if model.adapted:
        yield f"    adapted to {model.adapted:,} of these {count_of(model.reviewed, 'field')}: its figures are too good"
        left, others = model.reviewed - model.adapted, model.others
        if others is not None:
            yield f"    on the {left:,} others: {others.right:,} right, {_f1(others)}"
        elif left:
            yield f"    {count_of(left, 'other field')}, too few for figures"
    if model.classes:
        yield f"    {'class':<32} {'TP':>5} {'FP':>5} {'FN':>5} {'TN':>5}  F1"
    for label, found in model.classes.items():
        counts = found.true_positives, found.false_positives, found.false_negatives, found.true_negatives
        instead = ", ".join(
            f"{names[other]} {count:,}" for other, count in sorted(found.instead.items(), key=lambda pair: -pair[1])
        )
        row = " ".join(f"{count:>5,}" for count in counts)
        yield f"    {names[label]:<32} {row}  {_estimate(found.f1)}{f'; instead of {instead}' if instead else ''}"


def _f1(model: ModelFigures) -> str:
    few = f", on {count_of(model.judged, 'field')} only" if model.judged < _FEW else ""
    return f"micro F1 {_estimate(model.micro_f1)}, macro F1 {_estimate(model.macro_f1)}{few}"


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
