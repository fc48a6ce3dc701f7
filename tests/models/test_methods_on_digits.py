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
    """Of the untrained encoder 20 % of the digits have neighbors of their class.

    `python benchmarks/methods.py --dataset=digits`, three seeds of 30 epochs, the mean accuracy of
    kNN and of a linear probe: untrained 20.8 and 26.8, SupCon 98.3 and 98.3, momentum SupCon 97.6
    and 98.1, SimCLR 96.2 and 96.4, MoCo v2 91.0 and 93.4, BYOL 87.5 and 91.8, SimSiam 88.7 and
    93.4, NNCLR 91.4 and 94.2.
    """
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
