"""The study's recipe is what its notebook did."""

import pytest

from training.errors import RecipeError
from training.recipe import read_recipe


def test_the_study_s_stages() -> None:
    recipe = read_recipe("study")
    assert (recipe.initial_weights, recipe.batch_size, recipe.steps_per_epoch) == ("imagenet", 10, 100)
    assert recipe.validation_fields == 256
    assert (recipe.sampling, recipe.loss, recipe.precision) == ("even", "binary_crossentropy", "float32")
    assert (recipe.weight_average, recipe.views, recipe.thresholds) == (0, 1, "study")
    assert {stage.schedule for stage in recipe.stages} == {"constant"}
    resnet, vgg = recipe.adjusted("inception_resnet_v2"), recipe.adjusted("vgg16")
    told = [(stage.backbone, stage.learning_rate, stage.epochs, stage.augmentation) for stage in resnet.stages]
    assert told == [("frozen", 1e-3, 20, "none"), ("trained", 1e-4, 150, "study")]
    told = [(stage.backbone, stage.learning_rate, stage.epochs, stage.augmentation) for stage in vgg.stages]
    assert told == [("trained", 1e-4, 150, "study")]


def test_numbers_can_be_adjusted() -> None:
    recipe = read_recipe("study").adjusted("vgg16", epochs=2, steps_per_epoch=3, batch_size=4, validation_fields=5)
    assert [stage.epochs for stage in recipe.stages] == [2]
    assert (recipe.steps_per_epoch, recipe.batch_size, recipe.validation_fields) == (3, 4, 5)


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe 'soup'.*study"):
        read_recipe("soup")


def test_the_strong_recipe_has_the_study_s_budget() -> None:
    strong, study = (read_recipe(name).adjusted("inception_resnet_v2") for name in ("strong", "study"))
    assert strong.steps * strong.batch_size == study.steps * study.batch_size == 170_000
    assert (strong.loss, strong.sampling, strong.views, strong.thresholds) == (
        "asymmetric",
        "repeat_factor",
        8,
        "tuned",
    )


def test_fine_tuning_begins_where_the_study_s_fit_ends() -> None:
    for network in ("inception_resnet_v2", "vgg16"):
        (stage,) = read_recipe("fine_tune").adjusted(network).stages
        assert stage.backbone == "trained"
        assert stage.learning_rate <= read_recipe("study").adjusted(network).stages[-1].learning_rate
