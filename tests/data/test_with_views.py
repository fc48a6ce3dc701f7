import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, SupConLoss, data
from keras_supcon.augmentation import MultiView, RandomColorJitter, RandomResizedCrop, SimAugment
from tests.covering import every_value
from tests.public_classes import same_images

SIZE = (6, 5)
NUMBER = 24


def augmenter(**options) -> RandomResizedCrop:
    return RandomResizedCrop(SIZE, **options)


def numbered(batch_size=2, **options):
    """The same image many times, so that differences come from the layer, numbered by its label."""
    import tensorflow as tf

    images = same_images(size=8, number=NUMBER)
    dataset = tf.data.Dataset.from_tensor_slices(
        (images, np.arange(NUMBER), np.linspace(0, 1, NUMBER)), **options
    )
    return dataset.batch(batch_size) if batch_size else dataset


def epoch(dataset) -> np.ndarray:
    """The views of one pass in the order of their labels, whatever the order of the data set."""
    views, labels, _ = (
        np.concatenate(part) for part in zip(*dataset.as_numpy_iterator(), strict=True)
    )
    return views[np.argsort(labels)]


@pytest.mark.slow
def test_views_depend_on_the_seed_and_the_place_and_not_on_timing():
    import tensorflow as tf

    hurried = tf.data.Options()
    hurried.deterministic = False  # elements come as they get ready
    dataset = numbered()
    # The layers' own seeds have no say.
    runs = [
        data.with_views(dataset, SimAugment(SIZE, seed=i), seed=7).with_options(hurried)
        for i in range(3)
    ]
    epochs = [[epoch(run) for _ in range(2)] for run in runs]
    for other in epochs[1:]:
        np.testing.assert_array_equal(other, epochs[0])


@pytest.mark.slow
def test_epochs_views_elements_and_seeds_differ():
    dataset = data.with_views(numbered(), augmenter(), 3, seed=7)
    first, second = epoch(dataset), epoch(dataset)
    other = epoch(data.with_views(numbered(), augmenter(), 3, seed=8))
    everything = np.concatenate([first, second, other]).reshape(-1, *SIZE, 3)
    assert len({view.tobytes() for view in everything}) == 3 * 3 * NUMBER
    unseeded = [epoch(data.with_views(numbered(), augmenter())) for _ in range(2)]
    assert not np.array_equal(*unseeded)


def test_repeating_equals_iterating_again():
    dataset = numbered(NUMBER)
    iterated, repeated = (data.with_views(dataset, augmenter(), seed=7) for _ in range(2))
    expected = [next(iterated.as_numpy_iterator())[0] for _ in range(3)]
    repeated = [views for views, _, _ in repeated.repeat(3).as_numpy_iterator()]
    np.testing.assert_array_equal(repeated, expected)


@pytest.mark.slow
def test_fit_sees_new_views_in_each_epoch_and_a_seed_repeats_the_run():
    model = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(1, kernel_initializer="ones")]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse", jit_compile=False)
    dataset = numbered(8)
    first, again = (
        model.fit(
            data.with_views(dataset, augmenter(), seed=7), epochs=3, shuffle=False, verbose=0
        ).history["loss"]
        for _ in range(2)
    )
    assert len(set(first)) == 3
    np.testing.assert_allclose(again, first, rtol=1e-6)


@pytest.mark.slow
def test_a_contrastive_model_trains_on_them():
    encoder = keras.Sequential(
        [keras.Input((*SIZE, 1)), keras.layers.Flatten(), keras.layers.Dense(8)]
    )
    model = ContrastiveModel(encoder, ProjectionHead(4, ()))
    model.compile(optimizer="sgd", loss=SupConLoss())
    dataset = data.with_views(data.load("digits", "test", batch_size=100), augmenter(), 3)
    model.fit(dataset, verbose=0)
    assert model.predict(dataset, verbose=0).shape == (355, 3, 4)


def test_the_state_of_the_layers_has_no_part_in_it():
    layer = augmenter(seed=1)
    before = keras.ops.convert_to_numpy(layer.generator.state)
    epoch(data.with_views(numbered(), layer))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.generator.state), before)


@pytest.mark.slow
@every_value(form=["images", "pair", "triple", "dictionary"], batch_size=[None, 5])
def test_keeps_the_structure_around_the_images(form, batch_size):
    change = {
        "images": lambda images, labels, weights: images,
        "pair": lambda images, labels, weights: (images, labels),
        "triple": lambda images, labels, weights: (images, labels, weights),
        "dictionary": lambda images, labels, weights: {"images": images, "labels": labels},
    }[form]
    dataset = numbered(batch_size).map(change)
    viewed = data.with_views(dataset, augmenter(dtype="mixed_bfloat16"), 3)
    assert len(viewed) == len(dataset)
    views, rest = split(viewed.element_spec)
    assert views.shape == ((3, *SIZE, 3) if batch_size is None else (None, 3, *SIZE, 3))
    assert rest == split(dataset.element_spec)[1]
    for before, after in zip(dataset.as_numpy_iterator(), viewed.as_numpy_iterator(), strict=True):
        np.testing.assert_equal(split(after)[1], split(before)[1])


def split(element):
    """The images of an element, and the rest."""
    if isinstance(element, tuple):
        return element[0], element[1:]
    if isinstance(element, dict):
        return element["images"], {
            name: value for name, value in element.items() if name != "images"
        }
    return element, ()


def test_each_view_has_the_recipe_of_its_place():
    recipes = [augmenter(), SimAugment(SIZE)]
    for form in (recipes, tuple(recipes), MultiView(recipes)):
        views = epoch(data.with_views(numbered(), form))
        assert np.all(views[:, 0].max(axis=(1, 2, 3)) > 100)
        assert np.all(views[:, 1] <= 1.0001)


def test_keeps_the_class_names():
    digits = data.load("digits", "test", batch_size=100)
    assert data.with_views(digits, augmenter()).class_names == list("0123456789")


def test_workers_of_a_distributed_run_share_the_elements(tmp_path):
    """Auto-sharding tries files first, and must find them whole when it turns to elements."""
    import tensorflow as tf
    from tensorflow.python.data.experimental.ops.distribute import _AutoShardDataset

    for i in range(4):
        (tmp_path / f"{i}.txt").write_text(f"{10 * i}\n{10 * i + 1}")
    files = tf.data.Dataset.list_files(str(tmp_path / "*.txt"), shuffle=False)
    lines = files.interleave(tf.data.TextLineDataset, cycle_length=2)
    dataset = lines.map(lambda line: (tf.zeros((4, 4, 1)), tf.strings.to_number(line)))
    viewed = data.with_views(dataset, RandomColorJitter())
    read = [
        float(label) for worker in range(2) for _, label in _AutoShardDataset(viewed, 2, worker)
    ]
    assert sorted(read) == [0, 1, 10, 11, 20, 21, 30, 31]


def test_layers_of_keras_and_keras_cv_make_views_too():
    import keras_cv

    for layer in (
        keras.layers.RandomBrightness(0.5),
        keras_cv.layers.RandomBrightness(0.5, value_range=(0, 255)),
    ):
        views = epoch(data.with_views(numbered(), layer))
        assert views.shape == (NUMBER, 2, 8, 8, 3)
        assert not np.array_equal(views[:, 0], views[:, 1])
    mixed = [
        augmenter(),
        keras.layers.Pipeline([keras_cv.layers.RandomFlip(), keras.layers.Resizing(*SIZE)]),
    ]
    assert epoch(data.with_views(numbered(), mixed)).shape == (NUMBER, 2, *SIZE, 3)


def test_keras_cv_layers_of_a_multi_view_are_left_out_at_inference():
    import keras_cv

    images = same_images().astype("float32")
    for layer in (
        keras_cv.layers.RandomHue(0.5, (0, 255)),
        keras.Sequential([keras_cv.layers.RandomHue(0.5, (0, 255))]),
    ):
        np.testing.assert_array_equal(MultiView(layer, 1)(images, training=False)[:, 0], images)


@pytest.mark.parametrize(
    ("num_views", "views_given", "message"),
    [
        (0, None, "`num_views` should be a whole number of at least 1. Received: num_views=0"),
        (
            3,
            2,
            "`num_views` should be None or 2, the number of augmenters, one for each view. "
            "Received: num_views=3",
        ),
    ],
)
def test_refuses_numbers_of_views_that_cannot_be(num_views, views_given, message):
    layer = MultiView(augmenter(), views_given) if views_given else augmenter()
    with pytest.raises(ValueError, match=message):
        data.with_views(numbered(), layer, num_views)


@pytest.mark.parametrize("layer", [[], "simaugment", None])
def test_refuses_what_is_no_layer(layer):
    with pytest.raises(ValueError, match="`augmenter` should be a Keras layer or a list of them"):
        data.with_views(numbered(), layer)


def test_refuses_what_is_no_data_set_of_images():
    import tensorflow as tf

    with pytest.raises(
        ValueError, match="`dataset` should be a `tf.data.Dataset`. Received: dataset="
    ):
        data.with_views(np.zeros((4, 8, 8, 3)), augmenter())
    views = data.with_views(numbered(), augmenter())
    for dataset in (views, tf.data.Dataset.range(4), views.map(lambda views, *_: {"views": views})):
        with pytest.raises(
            ValueError,
            match="`dataset` should give images of shape .* Received: dataset.element_spec=",
        ):
            data.with_views(dataset, augmenter())
    with pytest.raises(
        ValueError, match="`augmenter` should give images of one shape and dtype in every view"
    ):
        data.with_views(numbered(), [augmenter(), RandomResizedCrop((9, 9))])


@pytest.mark.slow
def test_with_a_start_views_depend_on_the_number_of_the_element_alone():
    import tensorflow as tf

    images = tf.data.Dataset.from_tensors(same_images(size=8, number=1)).repeat(6)
    layer = SimAugment(image_size=(6, 6))
    whole = np.stack(list(data.with_views(images, layer, seed=3, start=0).as_numpy_iterator()))
    assert len(np.unique(whole.reshape(12, -1), axis=0)) == 12
    tf.random.set_seed(99)
    rest = data.with_views(images.skip(4), layer, seed=3, start=4)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(rest.as_numpy_iterator())), whole[4:])
    other = np.stack(list(data.with_views(images, layer, seed=4, start=0).as_numpy_iterator()))
    assert not np.array_equal(other, whole)


@pytest.mark.parametrize("seed", [0.5, "7", True])
def test_refuses_a_seed_that_is_no_whole_number(seed):
    with pytest.raises(
        ValueError, match=f"`seed` should be a whole number, or None .* Received: seed={seed!r}"
    ):
        data.with_views(numbered(), augmenter(), seed=seed)


def test_takes_seeds_of_any_size():
    one, again = (
        epoch(data.with_views(numbered(), augmenter(), 1, seed=-(2**70) - 1)) for _ in range(2)
    )
    np.testing.assert_array_equal(one, again)


def test_refuses_a_start_that_cannot_be_repeated():
    import tensorflow as tf

    images = tf.data.Dataset.from_tensors(np.zeros((2, 8, 8, 1), "uint8"))
    layer = SimAugment(image_size=(8, 8))
    with pytest.raises(
        ValueError, match="`start` should be a whole number of at least 0. Received: start=-1"
    ):
        data.with_views(images, layer, seed=1, start=-1)
    with pytest.raises(ValueError, match="`seed` should be given with `start`"):
        data.with_views(images, layer, start=4)
