import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import MultiView, RandomColorJitter, RandomResizedCrop, SimAugment
from tests.public_classes import same_images

pytestmark = pytest.mark.neutral


def as_array(views) -> np.ndarray:
    return ops.convert_to_numpy(views)


def two_ranges() -> MultiView:
    """Returns two augmenters, whose views are in the range of the input and in [0, 1]."""
    return MultiView([RandomResizedCrop((12, 10), seed=1), SimAugment((12, 10), seed=2)])


@keras.saving.register_keras_serializable(package="tests")
class WithoutTraining(keras.layers.Layer):
    """An augmenter of another package, without a `training` argument."""

    def call(self, images):
        return images + 1.0

    def compute_output_shape(self, input_shape):
        return input_shape


def test_view_v_is_draw_v_of_the_augmenter():
    images = same_images()
    views = as_array(MultiView(SimAugment((12, 10), seed=3), num_views=3)(images, training=True))
    augmenter = SimAugment((12, 10), seed=3)
    assert views.shape == (8, 3, 12, 10, 3)
    for v in range(3):
        np.testing.assert_array_equal(views[:, v], as_array(augmenter(images, training=True)))
        assert not np.array_equal(views[:, v], views[:, v - 1])


def test_each_view_has_the_augmenter_of_its_place():
    views = as_array(two_ranges()(same_images(), training=True))
    assert views.shape == (8, 2, 12, 10, 3)
    assert np.all(views[:, 0].max(axis=(1, 2, 3)) > 100)
    assert np.all(views[:, 1] <= 1.0001)


def test_when_not_training_every_view_is_the_inference_form():
    images = same_images()
    layer = two_ranges()
    views = as_array(layer(images, training=False))
    for v, augmenter in enumerate(layer.augmenters):
        np.testing.assert_array_equal(views[:, v], as_array(augmenter(images, training=False)))
    np.testing.assert_array_equal(as_array(layer(images)), views)
    assert not np.array_equal(as_array(layer(images, training=True)), views)
    np.testing.assert_allclose(
        keras.Sequential([layer]).predict(images, verbose=0), views, rtol=1e-5
    )


def test_a_layer_without_a_training_argument_augments_only_when_training(rng):
    images = rng.uniform(size=(2, 4, 4, 1)).astype("float32")
    layer = MultiView(WithoutTraining())
    for training, expected in ((True, images + 1), (None, images), (False, images)):
        np.testing.assert_array_equal(
            as_array(layer(images, training=training)), np.stack([expected] * 2, axis=1)
        )


def test_one_image_gives_its_views():
    image = same_images()[0]
    assert tuple(
        MultiView(RandomResizedCrop((12, 10)), num_views=3)(image, training=True).shape
    ) == (
        3,
        12,
        10,
        3,
    )
    np.testing.assert_allclose(
        as_array(MultiView(RandomColorJitter())(image, training=False)), np.stack([image] * 2)
    )


def test_dictionaries_keep_their_other_entries_once():
    data = {"images": same_images(), "labels": np.arange(8), "weights": np.ones(8)}
    images, labels = data["images"], data["labels"]
    out = MultiView(SimAugment((12, 10)))(data, training=True)
    assert tuple(out["images"].shape) == (8, 2, 12, 10, 3)
    assert out["labels"] is labels
    assert set(out) == set(data)
    assert data["images"] is images


@pytest.mark.parametrize("shape", [(4, 16, 16, 3), (None, None, None, 1), (16, 16, 3)])
def test_declares_the_shape_of_its_views(shape):
    views = (3, 12, 10, shape[-1])
    layer = MultiView(RandomResizedCrop((12, 10)), num_views=3)
    assert layer.compute_output_shape(shape) == ((shape[0], *views) if len(shape) == 4 else views)
    assert layer.compute_output_shape({"images": shape, "labels": (4,)})["labels"] == (4,)


def test_mixed_precision():
    layer = MultiView(SimAugment((12, 10), dtype="mixed_bfloat16"))
    assert keras.backend.standardize_dtype(layer(same_images()).dtype) == "bfloat16"
    symbolic = layer(keras.KerasTensor((None, 16, 16, 3), "uint8"))
    assert symbolic.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("augmenter", "num_views", "message"),
    [
        (
            SimAugment(),
            0,
            "`num_views` should be a whole number of at least 1. Received: num_views=0",
        ),
        (
            SimAugment(),
            1.5,
            "`num_views` should be a whole number of at least 1. Received: num_views=1.5",
        ),
        (
            [SimAugment(), SimAugment()],
            3,
            "`num_views` should be None or 2, .* Received: num_views=3",
        ),
        (
            [],
            None,
            r"`augmenter` should be a Keras layer or a list of them, one for each view. "
            r"Received: augmenter=\[\]",
        ),
        (
            "simaugment",
            None,
            "`augmenter` should be a Keras layer or a list of them.* Received: "
            "augmenter='simaugment'",
        ),
        ([SimAugment(), None], None, "`augmenter` should be a Keras layer or a list of them"),
        (
            [SimAugment()] * 2,
            None,
            "`augmenter` should be one layer, with `num_views` for its repetition",
        ),
        (
            [SimAugment(seed=4), SimAugment(seed=4)],
            None,
            r"`augmenter` should be layers of different seeds.*seeds=\[4, 4\]",
        ),
    ],
)
def test_refuses_impossible_arguments(augmenter, num_views, message):
    with pytest.raises(ValueError, match=message):
        MultiView(augmenter, num_views=num_views)


@pytest.mark.parametrize(
    "augmenters",
    [
        [SimAugment((8, 8)), SimAugment((8, 6))],
        [SimAugment((8, 8)), SimAugment((8, 8), dtype="float16")],
        [MultiView(SimAugment((8, 8)))],
    ],
    ids=["sizes", "dtypes", "views of views"],
)
def test_refuses_views_that_do_not_fit_into_one_tensor(augmenters):
    layer = MultiView(augmenters)
    with pytest.raises(
        ValueError,
        match="`augmenter` should give images of one shape and dtype in every view. Received: ",
    ):
        layer(same_images())


def test_refuses_to_declare_views_of_several_sizes():
    layer = MultiView([SimAugment((8, 8)), SimAugment((8, 6))])
    with pytest.raises(
        ValueError, match=r"Received: views of \(None, 8, 8, 3\) and \(None, 8, 6, 3\)"
    ):
        layer.compute_output_shape((None, 16, 16, 3))


@pytest.mark.parametrize("shape", [(8, 8), (2, 2, 8, 8, 3)])
def test_refuses_other_ranks(shape):
    with pytest.raises(
        ValueError,
        match=r"`MultiView` should be called on images of shape .*Received: images.shape=",
    ):
        MultiView(SimAugment((8, 8)))(np.zeros(shape, "uint8"))
