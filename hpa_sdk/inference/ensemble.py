"""Opens the models of an ensemble, and runs each of them on several views of a field."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import SettingError
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.trained_scale import stack_rules_of
from hpa_sdk.inference.decision import Decision
from hpa_sdk.inference.device_choice import open_session
from hpa_sdk.inference.prepared_field import ModelField, PreparedField
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelContent, ModelIdentity
from hpa_sdk.models.model_names import resolve_model
from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.quality.reference import Reference

Models = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One model or several, each a file or a name."""

Views = Literal[1, 4, 8]
"""How many views of each field a model runs on: the field; its four rotations by 90 degrees; or these and their mirror
images, the dihedral group of the square."""

_ROTATIONS = 4
_log = logging.getLogger("hpa_sdk")


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model that is ready to run.

    Attributes
    ----------
    card : ModelCard
        Its model card.
    identity : ModelIdentity
        Its path and its SHA-256.
    session : Session
        Runs it.
    given_reference : Reference or None
        The reference that was given in place of the card's own.
    """

    card: ModelCard
    identity: ModelIdentity
    session: Session
    given_reference: Reference | None = None


class MemberScores(NamedTuple):
    """What the members of an ensemble answer for one field.

    Attributes
    ----------
    probabilities : list of numpy.ndarray
        Of each member, float32 of shape (classes,): the views of the first model, those of the second, and so on.
    embedding : numpy.ndarray
        float32 of shape (E,): that of the first model, of the field as it is.
    """

    probabilities: list[npt.NDArray[np.float32]]
    embedding: npt.NDArray[np.float32]


def check_views(views: int) -> None:
    """Refuse a number of views that is none of `Views`.

    Raises
    ------
    SettingError
        It is another number.
    """
    if views not in {1, _ROTATIONS, 2 * _ROTATIONS}:
        raise SettingError(
            f"views={views!r} is none of 1, 4 and 8", remedy="Give 8 for rotations and mirror images, or leave it out."
        )


def open_models(
    models: Models,
    device: str,
    settings: SessionSettings,
    decide: Callable[[Sequence[ModelCard]], Decision],
    *,
    card: ModelCard | None,
    verify: bool,
    sha256: str | Sequence[str] | None,
    reference: Reference | None,
) -> tuple[list[OpenModel], Decision]:
    """Read and check all models, decide how they answer, and only then open them.

    Parameters
    ----------
    models, device, card, verify, sha256, reference
        As for `hpa_sdk.Predictor.load`.
    settings : SessionSettings
        How to use the device; what depends on a model is taken from its card.
    decide : callable
        Called with the cards.

    Raises
    ------
    HpaError
        As for `hpa_sdk.Predictor.load`.
    """
    names = [models] if isinstance(models, (str, os.PathLike)) else list(models)
    hashes = [sha256] * len(names) if sha256 is None or isinstance(sha256, str) else list(sha256)
    if not names or len(hashes) != len(names) or (len(names) > 1 and isinstance(sha256, str)):
        raise SettingError(
            f"{len(names)} models and {0 if sha256 is None else len(hashes)} SHA-256 do not fit each other",
            remedy="Give at least one model, and one SHA-256 for each model or none.",
        )
    contents: list[ModelContent] = []
    cards: list[ModelCard] = []
    for name, expected in zip(names, hashes, strict=True):
        named = resolve_model(name)
        content = ModelContent.read(named.path, sha256=expected)
        named.check(content.identity)
        first = not cards
        cards.append(
            check_model(content, card if first else None, verify=verify, reference=reference if first else None)
        )
        contents.append(content)
        check_same_task(cards[0], cards[-1], named.path)
    decision = decide(cards)
    opened: list[OpenModel] = []
    try:
        for each, content in zip(cards, contents, strict=True):
            session = open_session(content, device, _settings_of(each, settings))
            opened.append(OpenModel(each, content.identity, session, None if opened else reference))
    except BaseException:
        for model in opened:
            model.session.close()
        raise
    for each in cards:
        if each.warning:
            _warn_once(f"The model {each.name}: {each.warning}")
    return opened, decision


def _settings_of(card: ModelCard, settings: SessionSettings) -> SessionSettings:
    return replace(settings, precision=card.precision, winograd=card.winograd, tensors=card.tensors)


@lru_cache(maxsize=64)
def _warn_once(line: str) -> None:
    _log.warning("%s", line)


def check_same_task(first: ModelCard, other: ModelCard, where: object) -> None:
    """Refuse a model whose answers can't be averaged with those of another one.

    Parameters
    ----------
    first, other : ModelCard
        The cards of both.
    where : object
        Names the other one in the error.

    Raises
    ------
    SettingError
        It has other classes, another unit, other channels, or another scale of training.
    """
    ours, theirs = first.label_scheme, other.label_scheme
    if ours != theirs:
        problem = f"this model answers with the classes of {theirs.name}, and {first.name} with those of {ours.name}"
    elif first.unit != other.unit:
        problem = f"this model answers for a {other.unit}, and {first.name} for a {first.unit}"
    elif not _same_channels(first.preprocessing.channels, other.preprocessing.channels):
        problem = (
            f"this model takes {', '.join(other.preprocessing.channels)}, and {first.name} takes"
            f" {', '.join(first.preprocessing.channels)}"
        )
    elif stack_rules_of(first).trained != stack_rules_of(other).trained:
        problem = f"this model was trained on fields of another pixel size or extent than {first.name}"
    else:
        return
    raise SettingError(
        f"{problem}: their answers can't be averaged", where=str(where), remedy="Combine models of one kind only."
    )


def _same_channels(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    # Fewer planes than four come in the order of the card.
    return ours == theirs or len(ours) == len(theirs) == len(Channel)


def run_members(
    models: Sequence[OpenModel], views: int, prepared: list[PreparedField], turn: int | None
) -> list[MemberScores]:
    """Run each model on each view of some fields.

    One view of all fields is made at a time, so that memory does not grow with the number of members.

    Parameters
    ----------
    models : sequence of OpenModel
        The models.
    views : int
        One of `Views`.
    prepared : list of PreparedField
        The fields, with the input of each model.
    turn : int or None
        The number of runs before this one of a stream, None for a run that belongs to no stream: see `Session.after`.
    """
    scores: list[list[npt.NDArray[np.float32]]] = [[] for _ in prepared]
    embeddings: list[npt.NDArray[np.float32]] = []
    for at, model in enumerate(models):
        session = model.session if turn is None else model.session.after(turn)
        for view in views_of(model.card.preprocessing, views):
            answers = _run(session, [view(field.inputs[at]) for field in prepared])
            for row, (probabilities, _) in zip(scores, answers, strict=True):
                row.append(probabilities)
            embeddings = embeddings or [embedding for _, embedding in answers]
    return [MemberScores(*each) for each in zip(scores, embeddings, strict=True)]


def _run(session: Session, fields: list[ModelField]) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Run fields of any shapes; those of the same shape together."""
    by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, field in enumerate(fields):
        by_shape[field.shape].append(at)
    answers: dict[int, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]] = {}
    for places in by_shape.values():
        outputs = session.run([fields[at] for at in places])
        answers |= zip(places, zip(*outputs, strict=True), strict=True)
    return [answers[at] for at in range(len(fields))]


def views_of(form: Preprocessing, count: int) -> Iterator[Callable[[ModelField], ModelField]]:
    """Yield functions that turn the input of a model into one of its views; the first leaves it as it is."""
    axes = (0, 1) if form.place == "host" and form.layout == "nhwc" else (1, 2)
    for at in range(count):
        yield partial(_view, turns=at % _ROTATIONS, mirrored=at >= _ROTATIONS, axes=axes)


def _view(field: ModelField, *, turns: int, mirrored: bool, axes: tuple[int, int]) -> ModelField:
    turned = np.rot90(np.flip(field, axes[1]) if mirrored else field, turns, axes)
    return cast("ModelField", np.ascontiguousarray(turned))
