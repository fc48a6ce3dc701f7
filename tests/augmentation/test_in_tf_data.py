"""The layers inside `tf.data.Dataset.map`."""

import numpy as np
import pytest

from tests.augmentation.test_every_layer import batch, every_layer


@every_layer
@pytest.mark.parametrize("form", ["batch", "single", "dictionary"])
def test_maps_batches_single_images_and_dictionaries(rng, layer_class, arguments, form):
    import tensorflow as tf

    images = batch(rng)
    layer = layer_class(**arguments, seed=1)
    if form == "dictionary":
        dataset = tf.data.Dataset.from_tensor_slices({"images": images, "labels": np.arange(8)}).batch(4)
    else:
        dataset = tf.data.Dataset.from_tensor_slices(images)
        dataset = dataset.batch(4) if form == "batch" else dataset
    views = [view["images"] if form == "dictionary" else view for view in dataset.map(layer)]
    assert views[0].dtype == tf.float32
    views = np.stack(views) if form == "single" else np.concatenate(views)
    assert views.shape == tuple(layer.compute_output_shape(images.shape))
    assert len({view.tobytes() for view in views}) > 1


@every_layer
def test_labels_beside_the_images_keep_their_type_and_value(rng, layer_class, arguments):
    import tensorflow as tf

    labels = np.array([257, 2049, 2**24 + 1, 2**30 + 1] * 2)  # what bfloat16, float16 and float32 cannot hold
    dataset = tf.data.Dataset.from_tensor_slices({"images": batch(rng), "labels": labels}).batch(8)
    out = next(iter(dataset.map(layer_class(**arguments, dtype="mixed_bfloat16"))))
    assert out["labels"].dtype == tf.int64
    np.testing.assert_array_equal(out["labels"], labels)


@every_layer
def test_batches_of_unknown_size(rng, layer_class, arguments):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(batch(rng)).batch(3)
    layer = layer_class(**arguments)
    assert [len(views) for views in dataset.map(lambda images: layer(images, training=True))] == [3, 3, 2]
