"""The study's recipe is what its notebook did."""

from pathlib import Path

import pytest

import training
from training.errors import RecipeError
from training.fit.recipe import read_recipe


def test_the_study_s_stages() -> None:
    recipe = read_recipe("study")
    assert (recipe.initial_weights, recipe.batch_size, recipe.steps_per_epoch) == ("imagenet", 10, 100)
    assert recipe.validation_fields == 256
    assert (recipe.sampling, recipe.loss, recipe.precision) == ("even", "binary_crossentropy", "float32")
    assert (recipe.weight_average, recipe.views, recipe.thresholds) == (0, 1, "study")
    assert {stage.schedule for stage in recipe.stages} == {"constant"}
    resnet, vgg = recipe.adjusted("inception_resnet_v2"), recipe.adjusted("vgg16")
    stages = [(stage.backbone, stage.learning_rate, stage.epochs, stage.augmentation) for stage in resnet.stages]
    assert stages == [("frozen", 1e-3, 20, "none"), ("trained", 1e-4, 150, "study")]
    stages = [(stage.backbone, stage.learning_rate, stage.epochs, stage.augmentation) for stage in vgg.stages]
    assert stages == [("trained", 1e-4, 150, "study")]


def test_numbers_can_be_adjusted() -> None:
    recipe = read_recipe("study").adjusted("vgg16", epochs=2, steps_per_epoch=3, batch_size=4, validation_fields=5)
    assert [stage.epochs for stage in recipe.stages] == [2]
    assert (recipe.steps_per_epoch, recipe.batch_size, recipe.validation_fields) == (3, 4, 5)


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe 'soup'.*study"):
        read_recipe("soup")


def test_a_recipe_of_one_s_own_is_a_file(tmp_path: Path) -> None:
    text = (Path(training.__file__).parent / "fit" / "recipes" / "study.toml").read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text(text.replace('"study"', '"own"', 1).replace("batch_size = 10", "batch_size = 3"), encoding="utf-8")
    assert (read_recipe(str(own)).name, read_recipe(str(own)).batch_size) == ("own", 3)
    with pytest.raises(RecipeError, match=r"there is no recipe '.*gone\.toml'.*study; or a file that ends in \.toml"):
        read_recipe(str(tmp_path / "gone.toml"))
    for broken in (text.replace("batch_size = 10", "batch_size = 0"), "name = ", "name = 'own'"):
        own.write_text(broken, encoding="utf-8")
        with pytest.raises(RecipeError, match=r"own\.toml: the recipe can't be read"):
            read_recipe(str(own))
    own.write_bytes(b"name = '\xff'")
    with pytest.raises(RecipeError, match="the recipe can't be read"):
        read_recipe(str(own))


def test_the_strong_recipe_has_the_study_s_budget() -> None:
    strong, study = (read_recipe(name).adjusted("inception_resnet_v2") for name in ("strong", "study"))
    assert strong.steps * strong.batch_size == study.steps * study.batch_size == 170_000
    assert (strong.loss, strong.sampling, strong.views, strong.thresholds) == (
        "binary_crossentropy",
        "repeat_factor",
        8,
        "tuned",
    )


def test_fine_tuning_begins_where_the_study_s_fit_ends() -> None:
    for network in ("inception_resnet_v2", "vgg16"):
        (stage,) = read_recipe("fine_tune").adjusted(network).stages
        assert stage.backbone == "trained"
        assert stage.learning_rate <= read_recipe("study").adjusted(network).stages[-1].learning_rate
