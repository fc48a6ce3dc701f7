"""Recipes as objects of Keras."""

import dataclasses

import keras
import pytest

import keras_supcon
from keras_supcon import experiments, losses, optimizers, recipes
from keras_supcon.experiments.from_recipe import add_weight_decay

pytestmark = pytest.mark.neutral


@pytest.mark.parametrize("name", recipes.names())
def test_every_stage_has_an_optimizer_and_a_schedule_that_peaks_after_the_warm_up(name):
    recipe = recipes.get(name)
    for published in filter(None, (recipe.training, recipe.linear_classifier)):
        stage = experiments.rescale_stage(published, epochs=10, batch_size=64)
        assert stage.warmup_epochs == pytest.approx(published.warmup_epochs * 10 / published.epochs)
        schedule = experiments.make_schedule(stage, steps_per_epoch=100)
        peak = experiments.peak_learning_rate(stage)
        assert float(schedule(schedule.warmup_steps)) == pytest.approx(peak, rel=1e-6)
        assert float(schedule(1000)) < peak
        optimizer = experiments.make_optimizer(stage, steps_per_epoch=100)
        kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
        assert isinstance(optimizer, kinds.get(stage.optimizer, optimizers.LARS))
        if isinstance(optimizer, optimizers.LARS):
            assert optimizer.coupled_weight_decay == stage.weight_decay
            assert optimizer.trust_coefficient == stage.trust_coefficient


def test_rescaling_without_numbers_changes_nothing():
    for name in recipes.names():
        stage = recipes.get(name).training
        assert experiments.rescale_stage(stage) == stage


def test_a_component_takes_further_arguments_before_its_own():
    component = recipes.get("supcon_imagenet_resnet50").training.loss
    assert experiments.make_component(losses, component, temperature=0.5).temperature == 0.5
    assert experiments.make_component(losses, component).temperature == 0.1


def test_a_recipe_without_a_head_has_no_contrastive_model():
    recipe = recipes.get("cross_entropy_imagenet_resnet50")
    with pytest.raises(ValueError, match="`recipe` should be of SupCon or SimCLR. Received: recip"):
        experiments.make_contrastive_model(recipe)


def test_momentum_supcon_has_no_contrastive_model():
    recipe = recipes.get("moco_supcon_imagenet_resnet50")
    with pytest.raises(ValueError, match="`recipe` should be of SupCon or SimCLR. Received: recip"):
        experiments.make_contrastive_model(recipe)


def test_a_recipe_of_cross_entropy_has_no_pretraining():
    with pytest.raises(ValueError, match="`recipe` should have pre-training. Received: recipe='cr"):
        experiments.make_pretraining_model(recipes.get("cross_entropy_small"))


PRETRAINING = [name for name in recipes.names() if recipes.get(name).head is not None]


@pytest.mark.parametrize("name", PRETRAINING)
def test_every_method_becomes_its_model_with_the_numbers_of_the_recipe(name):
    recipe = recipes.get(name)
    model = experiments.make_pretraining_model(
        recipe, image_size=(8, 8), total_steps=100, micro_batch_size=4, depth=10, width=0.125
    )
    assert type(model) is getattr(keras_supcon, recipe.model.name)
    config = model.get_config()
    assert config["micro_batch_size"] == 4
    arguments = dict(recipe.model.arguments)
    if arguments.pop("classifier", None) is not None:
        assert model.classifier.units == recipe.num_classes
    assert {argument: config[argument] for argument in arguments} == arguments
    if recipe.method == "byol":
        assert config["total_steps"] == 100
    for field in ("head", "prediction_head"):
        part = getattr(recipe, field)
        if part is not None:
            network = model.projection_head if field == "head" else model.prediction_head
            assert type(network).__name__ == part.name
            made = network.get_config()
            assert {argument: made[argument] for argument in part.arguments} == part.arguments
    assert model.encoder.width == 0.125
    loss = experiments.make_component(losses, recipe.training.loss)
    model.compile(experiments.make_optimizer(recipe.training, 10), loss)


@pytest.mark.parametrize(
    "name", [name for name in recipes.names() if recipes.get(name).method == "simclr"]
)
def test_simclr_is_a_contrastive_model_with_its_loss_and_its_views(name):
    recipe = recipes.get(name)
    assert (recipe.model.name, recipe.model.arguments) == ("ContrastiveModel", {})
    assert recipe.training.loss.name == "NTXentLoss"
    assert recipe.training.augmentation.name == "SimAugment"
    assert (recipe.num_views, recipe.prediction_head) == (2, None)


def test_weight_decay_is_added_to_the_loss_where_the_optimizer_has_none():
    stage = recipes.get("supcon_imagenet_resnet50").linear_classifier
    for optimizer, is_added in (("rmsprop", True), ("adam", True), ("lars", False), ("sgd", False)):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
        add_weight_decay(model, dataclasses.replace(stage, optimizer=optimizer))
        kernel = model.layers[0].kernel
        assert (kernel.regularizer is not None) == is_added
        if is_added:
            assert float(kernel.regularizer.l2) == pytest.approx(stage.weight_decay / 2)
