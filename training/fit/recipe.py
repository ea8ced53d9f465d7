"""Reads a recipe: the settings by which a network is fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from training.data.augmentation import AugmentationName
from training.errors import RecipeError
from training.network_forms import NetworkName

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

_Count = Annotated[int, msgspec.Meta(ge=1)]
_SUFFIX = ".toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a fit; each has a new optimizer.

    Attributes
    ----------
    networks : tuple of str
        The networks that go through this stage.
    backbone : str
        ``"frozen"`` or ``"trained"``.
    learning_rate : float
        Of Adam; the highest of the stage.
    schedule : str
        ``"constant"``, or ``"warmup_cosine"``: linear increase over a twentieth of the steps, then half a cosine to 0.
    epochs : int
        Number of epochs.
    augmentation : str
        A key of `training.data.augmentation.AUGMENTATIONS`.
    """

    networks: tuple[NetworkName, ...]
    backbone: Literal["frozen", "trained"]
    learning_rate: Annotated[float, msgspec.Meta(gt=0)]
    schedule: Literal["constant", "warmup_cosine"]
    epochs: _Count
    augmentation: AugmentationName


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings by which a network is fitted.

    Attributes
    ----------
    name : str
        Its name in cards.
    initial_weights : str
        ``"imagenet"`` or ``"none"``.
    batch_size, steps_per_epoch : int
        Fields a step, and steps an epoch.
    validation_fields : int
        Fields drawn once, with replacement, from the validation part; the result of the fit is the weights with the
        lowest loss on them.
    statistics_fields : int
        Training fields from which means and variances of batch normalization are computed before each validation
        (`training.fit.batch_statistics`); 0 for Keras' running averages, as in the study.
    sampling : str
        ``"even"``: all fields equally often; ``"repeat_factor"``: fields with rare classes more often.
    loss : str
        ``"binary_crossentropy"`` or ``"asymmetric"``.
    precision : str
        Keras' dtype policy while fitting; weights are always float32.
    weight_average : float
        Momentum of an exponential moving average of the weights, which is then judged and saved; 0 for none.
    views : int
        Views averaged in evaluations that may take longer, such as those of the evidence: 1 or 8. The card is for one
        view, as in serving.
    thresholds : str
        ``"study"``: 0.2 for every class; ``"tuned"``: tuned on the validation part.
    stages : tuple of Stage
        The stages, in order.
    """

    name: str
    initial_weights: Literal["imagenet", "none"]
    batch_size: _Count
    steps_per_epoch: _Count
    validation_fields: _Count
    statistics_fields: Annotated[int, msgspec.Meta(ge=0)]
    sampling: Literal["even", "repeat_factor"]
    loss: Literal["binary_crossentropy", "asymmetric"]
    precision: Precision
    weight_average: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    views: Literal[1, 8]
    thresholds: Literal["study", "tuned"]
    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        """Number of optimizer steps in all stages."""
        return self.steps_per_epoch * sum(stage.epochs for stage in self.stages)

    def adjusted(self, network: NetworkName, *, epochs: int | None = None, **changes: Any) -> Recipe:  # noqa: ANN401
        """Return the recipe for one network, with the given changes.

        Parameters
        ----------
        network : str
            Stages of other networks are left out.
        epochs : int, optional
            Epochs of each stage.
        **changes : optional
            New values of other attributes; None leaves the recipe's own.

        Raises
        ------
        RecipeError
            No stage of the recipe is for this network.
        """
        stages = tuple(
            replace(stage, networks=(network,), epochs=epochs or stage.epochs)
            for stage in self.stages
            if network in stage.networks
        )
        if not stages:
            raise RecipeError(
                f"the recipe {self.name!r} has no stage for {network}", remedy="Add the network to one of its stages."
            )
        return replace(self, stages=stages, **{name: value for name, value in changes.items() if value is not None})


def read_recipe(name: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name : str
        One of those in ``training/fit/recipes``, or the path of a file that ends in ``.toml``.

    Raises
    ------
    RecipeError
        There is no such recipe, or it can't be read.
    """
    folder = resources.files("training.fit") / "recipes"
    file = Path(name) if name.endswith(_SUFFIX) else folder / f"{name}{_SUFFIX}"
    if not file.is_file():
        names = sorted(entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))
        raise RecipeError(
            f"there is no recipe {name!r}", remedy=f"Name one of: {', '.join(names)}; or a file that ends in {_SUFFIX}."
        )
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Recipe)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise RecipeError(f"the recipe can't be read ({error})", where=str(file), remedy="Correct the file.") from error
