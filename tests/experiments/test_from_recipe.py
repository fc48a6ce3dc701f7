"""Recipes as objects of Keras."""

import keras
import pytest

from keras_supcon import experiments, losses, optimizers, recipes

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
        if stage.optimizer == "rmsprop":
            assert isinstance(optimizer, keras.optimizers.RMSprop)
        else:
            assert isinstance(optimizer, optimizers.LARS)
            assert optimizer.coupled_weight_decay == stage.weight_decay


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
