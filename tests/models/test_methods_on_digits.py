"""Every method learns: neighbors of its features are better than those of the untrained encoder."""

import keras
import pytest

from keras_supcon import data, evaluation, experiments, losses, recipes
from tests.covering import representatives

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="one backend is enough for an experiment"
    ),
]
BATCH_SIZE, EPOCHS = 64, 8


@representatives("method", ["byol"], ["simclr", "supcon", "moco", "moco_supcon", "nnclr"])
def test_neighbors_are_better_than_of_the_untrained_encoder(method):
    """FIGURES"""
    keras.utils.set_random_seed(0)
    recipe = recipes.get(f"{method}_digits_small")
    train, test = (data.load_arrays("digits", split) for split in ("train", "test"))
    steps = len(train[0]) // BATCH_SIZE
    model = experiments.make_pretraining_model(recipe, total_steps=EPOCHS * steps)
    stage = experiments.rescale_stage(recipe.training, EPOCHS, BATCH_SIZE)
    model.compile(
        optimizer=experiments.make_optimizer(stage, steps),
        loss=experiments.make_component(losses, recipe.training.loss),
    )

    def accuracy():
        return evaluation.knn_accuracy(
            *evaluation.embed(model, train), *evaluation.embed(model, test)
        )

    model.build((None, 8, 8, 1))
    before = accuracy()
    model.fit(*train, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    assert accuracy() > before + 0.2
