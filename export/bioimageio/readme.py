"""Writes the README of a bioimage.io package from the model's card."""

from __future__ import annotations

from hpa_sdk.models.model_card import ModelCard, Variant


def write_readme(card: ModelCard) -> str:
    """Write the documentation of a model for its users, in Markdown."""
    return f"""# {card.name}

Says in which of {len(card.labels)} organelles a protein sits, from four-channel fluorescence microscopy in the form of
the Human Protein Atlas: red microtubules, green the protein, blue nucleus, yellow endoplasmic reticulum.
Network: {card.architecture}, {card.computation}.

## Input

{_input(card)}

With hpa-sdk no step is left to you, and the package need not be unpacked:

```python
from hpa_sdk import Predictor

for prediction in Predictor.load("package.zip").predict("folder with <id>_red.png, <id>_green.png, ..."):
    print(prediction.id, *prediction)
```

## Output

`probabilities`, one for each class, independent of each other. A class counts as present from its threshold on; the
same numbers are in `rdf.yaml` under `config`.

| index | class | threshold |
| --- | --- | --- |
{_thresholds(card)}

The weights file has a second output, `embedding`, which `rdf.yaml` leaves out: the dense layer before the last.

## Validation

{_variant(card.variant)}{_validation(card)}

## Training

Recipe {card.training.recipe}, {card.training.steps:,} steps, {card.training.fields_seen:,} fields seen, from
{card.training.initial_weights} weights, on {card.training.data}. Made {card.created}.

## Terms

Licence: {card.licence}. To cite: {card.citation}.
"""


def _input(card: ModelCard) -> str:
    preprocessing = card.preprocessing
    if preprocessing.place == "graph":
        return (
            f"`planes`: the four 8-bit planes of a field in the order {', '.join(preprocessing.channels)}, of any size."
            " Blend, resize and scale are part of the model."
        )
    blend = "\n".join(
        f"- {colour} = " + " + ".join(f"{share:g} {channel}" for share, channel in _shares(weights, card))
        for colour, weights in zip(("red", "green", "blue"), preprocessing.blend, strict=True)
    )
    return f"""`image`: a picture of {preprocessing.size} x {preprocessing.size} pixels and three colours, 0 to 1. **The
package does not make it from the four planes of a field**: the format has no word for the blend, so `rdf.yaml` lists no
preprocessing, and a program that runs the package must be given the finished picture. Of the planes it is made so:

{blend}

then resized with {preprocessing.interpolation} interpolation without smoothing, then divided by the white level:
{preprocessing.scale:g} for 8-bit planes."""


def _shares(weights: tuple[float, ...], card: ModelCard) -> list[tuple[float, str]]:
    return [(share, channel) for share, channel in zip(weights, card.preprocessing.channels, strict=True) if share]


def _thresholds(card: ModelCard) -> str:
    return "\n".join(
        f"| {index} | {label} | {threshold:g} |"
        for index, (label, threshold) in enumerate(zip(card.labels, card.thresholds, strict=True))
    )


def _validation(card: ModelCard) -> str:
    advice = (
        "To validate on your own fields: label some by hand, predict them, and compare the label sets class by class."
    )
    if card.metrics is None:
        return f"The model states no figures. {advice}"
    metrics = card.metrics
    whose = "" if card.variant is None else " the fp32 file that this one was made of reached"
    return (
        f"On {metrics.fields} held-out fields of {metrics.data}, at the thresholds above:{whose} micro F1"
        f" {metrics.micro_f1:.4f}, macro F1 {metrics.macro_f1:.4f}. {advice}"
    )


def _variant(variant: Variant | None) -> str:
    if variant is None:
        return ""
    text = (
        f"This file was made of an fp32 file. On {variant.fields} fields of {variant.data} both give the same label set"
        f" for {variant.same_label_sets:.2%} of the fields, and a probability differs by up to"
        f" {variant.max_difference:.1e}."
    )
    if variant.macro_f1 is not None and variant.parent_macro_f1 is not None:
        text += f" Macro F1 there: {variant.macro_f1:.4f}, and {variant.parent_macro_f1:.4f} of the fp32 file."
    if variant.shortfalls:
        text += f"\n\n**It does not pass: {'; '.join(variant.shortfalls)}.**"
    return f"{text}\n\n"
