"""What only a compiled TensorFlow step shows."""

import keras
import numpy as np
import pytest

from keras_supcon import SupConLoss
from keras_supcon.losses import supcon_loss


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.array([[1.0, 1.0], [1.0, 0.0]] * 4, "float32"), "should hold one-hot rows"),
        (np.array([0.5, 1.0] * 4, "float32"), "should hold whole class ids"),
    ],
)
def test_fit_stops_at_wrong_labels_with_our_sentence(labels, sentence):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer="sgd", loss=SupConLoss())
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        model.fit(np.ones((8, 3), "float32"), labels, verbose=0)


def test_batches_of_unknown_and_changing_size_share_one_trace(rng):
    import tensorflow as tf

    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, 2, 5), tf.float32)])
    def step(class_ids, projections):
        traces.append(1)
        return supcon_loss(class_ids, projections)

    for batch in (1, 3, 8):
        class_ids = rng.integers(0, 2, batch).astype("int32")
        projections = rng.normal(size=(batch, 2, 5)).astype("float32")
        np.testing.assert_allclose(step(class_ids, projections), supcon_loss(class_ids, projections), rtol=1e-5)
    assert len(traces) == 1
