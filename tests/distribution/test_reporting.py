"""A loss tells Keras' trainer from other callers by a name that is private to Keras. These laws
fail if Keras changes it.
"""

import keras
import numpy as np
import pytest

from keras_supcon.distribution.reporting import is_in_compiled_loss


class Asked(keras.losses.Loss):
    """Notes whether it is called by what `compile` made of it."""

    def __init__(self):
        super().__init__(name="asked")
        self.answers = []

    def __call__(self, y_true, y_pred, sample_weight=None):  # where our losses ask
        self.answers.append(is_in_compiled_loss())
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        self.answers.append(is_in_compiled_loss())
        return keras.ops.mean(y_pred, axis=-1)


ROWS, ANSWERS = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
STEPS = {
    "fit": lambda model: model.fit(ROWS, ANSWERS, verbose=0),
    "evaluate": lambda model: model.evaluate(ROWS, ANSWERS, verbose=0),
    "train_on_batch": lambda model: model.train_on_batch(ROWS, ANSWERS),
    "test_on_batch": lambda model: model.test_on_batch(ROWS, ANSWERS),
}


def compiled(make_loss, run_eagerly):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    loss = Asked()
    model.compile(optimizer="sgd", loss=make_loss(loss), run_eagerly=run_eagerly, jit_compile=False)
    return model, loss


@pytest.mark.neutral
@pytest.mark.parametrize("step", STEPS)
def test_a_loss_knows_that_it_is_called_by_what_compile_made_of_it(step):
    for make_loss, run_eagerly in ((lambda loss: loss, False), (lambda loss: [loss], True)):
        model, loss = compiled(make_loss, run_eagerly)
        STEPS[step](model)
        assert loss.answers, "the loss was not called"
        assert all(loss.answers), (
            "Keras no longer names the scope of its compiled loss: see "
            "keras_supcon/distribution/reporting.py"
        )


@pytest.mark.neutral
def test_a_loss_that_is_called_directly_is_in_no_compiled_loss():
    model, loss = compiled(lambda loss: loss, True)
    model.train_on_batch(ROWS, ANSWERS)
    loss.answers.clear()
    loss(ANSWERS, model(ROWS))
    with keras.name_scope("training"):
        loss(ANSWERS, model(ROWS))
    assert loss.answers == [False] * 4


@pytest.mark.parametrize("traced", [False, True])
def test_each_replica_knows_who_calls_its_loss(strategy, traced):
    """Replicas are traced in threads of their own, and a name scope belongs to a thread."""
    import tensorflow as tf

    with strategy.scope():
        model, loss = compiled(lambda loss: loss, not traced)
        model.build((None, 3))
    model.fit(ROWS, ANSWERS, batch_size=4, verbose=0)
    assert len(loss.answers) >= 2 * strategy.num_replicas_in_sync
    assert all(loss.answers)
    loss.answers.clear()
    run = (tf.function if traced else lambda step: step)(
        lambda: strategy.run(loss, (ANSWERS, ROWS))
    )
    run()
    assert loss.answers == [False] * 2 * strategy.num_replicas_in_sync
