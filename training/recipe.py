"""Reads a recipe: how a network is fitted, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from typing import Literal

import msgspec

from training.augmentation import AugmentationName
from training.errors import RecipeError
from training.networks import NetworkName


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a fit; the optimizer starts anew in each.

    Attributes
    ----------
    networks : tuple of str
        The networks that go through this stage.
    backbone : str
        ``"frozen"`` or ``"trained"``.
    learning_rate : float
        Of Adam.
    epochs : int
        Number of epochs.
    augmentation : str
        A key of `training.augmentation.AUGMENTATIONS`.
    """

    networks: tuple[NetworkName, ...]
    backbone: Literal["frozen", "trained"]
    learning_rate: float
    epochs: int
    augmentation: AugmentationName


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is fitted.

    Attributes
    ----------
    name : str
        What cards call it.
    initial_weights : str
        ``"imagenet"`` or ``"none"``.
    batch_size, steps_per_epoch : int
        Fields a step, and steps an epoch.
    validation_fields : int
        Fields drawn once, with replacement, from the validation part; the checkpoint with the lowest loss on them
        is kept.
    stages : tuple of Stage
        One after the other.
    """

    name: str
    initial_weights: Literal["imagenet", "none"]
    batch_size: int
    steps_per_epoch: int
    validation_fields: int
    stages: tuple[Stage, ...]

    def adjusted(
        self,
        network: NetworkName,
        *,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        batch_size: int | None = None,
        validation_fields: int | None = None,
    ) -> Recipe:
        """Give the recipe for one network, with other numbers where they are given.

        Parameters
        ----------
        network : str
            Stages of other networks are left out.
        epochs : int, optional
            Epochs of each stage.
        steps_per_epoch, batch_size, validation_fields : int, optional
            Steps an epoch, fields a step, and fields to judge on.

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
        return replace(
            self,
            stages=stages,
            steps_per_epoch=steps_per_epoch or self.steps_per_epoch,
            batch_size=batch_size or self.batch_size,
            validation_fields=validation_fields or self.validation_fields,
        )


def read_recipe(name: str) -> Recipe:
    """Read one of the recipes in ``training/recipes``.

    Raises
    ------
    RecipeError
        There is no such recipe, or it can't be read.
    """
    folder = resources.files("training") / "recipes"
    file = folder / f"{name}.toml"
    if not file.is_file():
        names = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
        raise RecipeError(f"there is no recipe {name!r}", remedy=f"Name one of: {', '.join(names)}.")
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Recipe)
    except msgspec.DecodeError as error:
        raise RecipeError(f"the recipe can't be read ({error})", where=str(file), remedy="Mend the file.") from error
