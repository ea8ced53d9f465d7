"""Writes the README of a bioimage.io package from the model's card."""

from __future__ import annotations

from export.bioimageio.description import COUNTS, classes, colours, image_range
from hpa_sdk.models.model_card import NOT_STATED, ModelCard
from hpa_sdk.models.variant import Variant
from hpa_sdk.preprocessing import Preprocessing

_BY = {"colour": "each colour", "image": "the image"}
_NO_BLEND = "the format has no word for the blend, so `rdf.yaml` lists no"
_STAINS = {
    "red": "red microtubules",
    "green": "green the protein",
    "blue": "blue nucleus",
    "yellow": "yellow endoplasmic reticulum",
}


def write_readme(card: ModelCard) -> str:
    """Write the documentation of a model for its users, in Markdown."""
    channels, training = card.preprocessing.channels, card.training
    stains = ", ".join(stain for channel, stain in _STAINS.items() if channel in channels)
    count, scores = COUNTS[len(channels)], card.tensors.scores
    return f"""# {card.name}

Says in which of {classes(card)} a protein sits, from {count}-channel fluorescence microscopy in the form of
the Human Protein Atlas: {stains}.
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

`{scores}`, one for each class, independent of each other. A class counts as present from its threshold on; the
same numbers are in `rdf.yaml` under `config`.{_logits(card)}

| index | class | threshold |
| --- | --- | --- |
{_thresholds(card)}

{_embedding(card)}## Validation

{_variant(card.variant)}{_validation(card)}

## Training

Recipe {training.recipe}, {_number(training.steps)} steps, {_number(training.fields_seen)} fields seen, from
{training.initial_weights} weights, on {training.data}. Made {card.created}.

## Terms

Licence: {card.licence}. To cite: {card.citation}.
"""


def _logits(card: ModelCard) -> str:
    if card.tensors.scores_are == "probabilities":
        return ""
    return " The weights file gives logits: a sigmoid, which `rdf.yaml` lists, makes probabilities of them."


def _embedding(card: ModelCard) -> str:
    if card.tensors.embedding is None:
        return ""
    return (
        f"The weights file has a second output, `{card.tensors.embedding}`, which `rdf.yaml` leaves out: the dense"
        " layer before the last.\n\n"
    )


def _number(count: int | None) -> str:
    return NOT_STATED if count is None else f"{count:,}"


def _input(card: ModelCard) -> str:
    preprocessing = card.preprocessing
    if preprocessing.place == "graph":
        return (
            f"`{card.input_name}`: the {COUNTS[len(preprocessing.channels)]} 8-bit planes of a field in the order"
            f" {', '.join(preprocessing.channels)}, of any size."
            " Blend, resize and scale are part of the model."
        )
    blend = "\n".join(
        f"- {colour} = " + " + ".join(f"{share:g} {channel}" for share, channel in _shares(weights, card))
        for colour, weights in zip(colours(preprocessing), preprocessing.blend, strict=True)
    )
    names, count = colours(preprocessing), len(preprocessing.channels)
    size = f"{preprocessing.size} x {preprocessing.size} pixels" if preprocessing.size else "any size"
    low, high = image_range(preprocessing)
    ends = ("of any range" if low is None else f"{low:g} to {high:g}") + (
        "" if preprocessing.layout == "nhwc" else ", colours first"
    )
    taken, given = COUNTS[count], COUNTS.get(len(names), len(names))
    return f"""`{card.input_name}`: a picture of {size} and {given} colours, {ends}. **The
package does not make it from the {taken} planes of a field**: {_NO_BLEND}
preprocessing, and a program that runs the package must be given the finished picture. Of the planes it is made so:

{blend}

then {_resized(preprocessing)}divided by the white level:
{preprocessing.scale:g} for 8-bit planes.{_normalized(preprocessing)}"""


def _resized(form: Preprocessing) -> str:
    return f"resized with {form.interpolation} interpolation without smoothing, then " if form.size else ""


def _normalized(form: Preprocessing) -> str:
    normalized = form.normalization
    own = (
        "" if normalized is None else f" Then {_BY[normalized.by]} is normalized by its own values ({normalized.kind})."
    )
    steps = (
        (" Then the mean {} is subtracted.", form.mean),
        (" Then it is divided by the deviation {}.", form.deviation),
    )
    return own + "".join(
        text.format(" ".join(f"{each:g}" for each in given)) for text, given in steps if given is not None
    )


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
