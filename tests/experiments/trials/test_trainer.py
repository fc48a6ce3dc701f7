"""The trainer of trials: what a seed decides, and what arms share."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.experiments import CROSS_ENTROPY, Images, Training
from keras_supcon.experiments.trials.images import ImageReader
from keras_supcon.experiments.trials.trainer import Trainer, _Batches
from keras_supcon.recipes import Component
from keras_supcon.seeds import derive_seed

pytestmark = [pytest.mark.neutral, pytest.mark.slow]

TRAINING = Training(
    images=Images(dataset="digits", train_images=100),
    encoder=Component("ResNet", {"depth": 10, "width": 0.0625, "stem": "cifar"}),
    epochs=1,
    batch_size=32,
)


@pytest.fixture
def reader(tmp_path):
    return ImageReader(tmp_path)


def weights(trained) -> list[np.ndarray]:
    return [ops.convert_to_numpy(weight).copy() for weight in trained.encoder.weights]


METHODS = {
    "supcon": {},
    "memory": {"model": Component("MoCo", {"queue_size": 64, "momentum": 0.9})},
    "cross_entropy": {"model": CROSS_ENTROPY, "head": None},
    "momentum": {"optimizer": Component("SGD", {"momentum": 0.9})},
}


@pytest.mark.parametrize("fields", METHODS.values(), ids=METHODS)
def test_a_later_seed_trains_as_it_would_alone(fields, reader):
    """The compiled model begins each seed with the state of a new one."""
    training = dataclasses.replace(TRAINING, **fields)
    trainer = Trainer(training, reader)
    first, second = (weights(trainer.train(seed)) for seed in (0, 1))
    alone = weights(Trainer(training, reader).train(1))
    for one, other in zip(second, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(first, second, strict=True))


def test_arms_of_a_seed_begin_with_one_encoder(reader):
    begins = []
    for fields in METHODS.values():
        training = dataclasses.replace(TRAINING, **fields)
        trainer = Trainer(training, reader)
        keras.utils.set_random_seed(3)
        _, encoder = trainer._make(3)
        begins.append([ops.convert_to_numpy(weight) for weight in encoder.weights])
    for other in begins[1:]:
        for one, same in zip(begins[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.quickest
def test_arms_of_a_seed_see_the_same_batches_in_the_same_order(reader, monkeypatch):
    taken = _Batches.__getitem__
    seen, epochs = [], {}
    begin = _Batches.shuffle

    def record(batches, number):
        images, labels = taken(batches, number)
        if epochs[batches] > 0:  # Keras reads a batch or two before, for their shapes
            seen[-1][epochs[batches], number] = images.tobytes()
        return images, labels

    def shuffle(batches, epoch):
        epochs[batches] = epoch
        begin(batches, epoch)

    monkeypatch.setattr(_Batches, "shuffle", shuffle)

    monkeypatch.setattr(_Batches, "__getitem__", record)
    for fields in METHODS.values():
        seen.append({})
        Trainer(dataclasses.replace(TRAINING, epochs=2, **fields), reader).train(3)
    assert list(seen[0]) == [(epoch, number) for epoch in (1, 2) for number in range(3)]
    assert len(set(seen[0].values())) == 6
    assert all(one == seen[0] for one in seen[1:])


def test_a_batch_beyond_the_images_is_refused(reader):
    with pytest.raises(ValueError, match="at most the number of training images, 100"):
        Trainer(dataclasses.replace(TRAINING, batch_size=101), reader)


def test_a_training_of_one_step_is_refused(reader):
    """Its only step would have the learning rate 0, and train nothing."""
    one = dataclasses.replace(TRAINING, batch_size=100)
    with pytest.raises(ValueError, match="`epochs` should give two batches or more"):
        Trainer(one, reader)
    trainer = Trainer(dataclasses.replace(one, epochs=2), reader)
    keras.utils.set_random_seed(derive_seed(0, "weights"))
    _, encoder = trainer._make(0)
    begin = [ops.convert_to_numpy(weight) for weight in encoder.trainable_weights]
    end = [ops.convert_to_numpy(one) for one in trainer.train(0).encoder.trainable_weights]
    assert any((one != other).any() for one, other in zip(begin, end, strict=True))


@pytest.mark.parametrize(
    ("images", "message"),
    [(5, "an image of each class. Received: train_images=5"), (10, "two images of a class")],
)
def test_too_few_images_are_refused(images, message, reader):
    images = Images(dataset="digits", train_images=images)
    with pytest.raises(ValueError, match=f"`train_images` should be enough for {message}"):
        Trainer(dataclasses.replace(TRAINING, images=images, batch_size=2), reader)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": Component("Foo")}, "should be a class in `keras_supcon.losses`"),
        (
            {"loss": Component("SupConLoss", {"positives_cap": 1})},
            "multiple of the number of views",
        ),
        ({"loss": Component("SupConLoss", {"temperature": -1})}, "`temperature` should be"),
        ({"loss": Component("supcon_loss")}, "should be a class in `keras_supcon.losses`"),
        ({"optimizer": Component("get")}, "should be a class in `keras.optimizers`"),
        ({"optimizer": Component("Optimizer")}, "`optimizer` should be a class that trains"),
        (
            {"loss": Component("SupConLoss", {"tau": 0.1})},
            "those of `SupConLoss`. Received: \\['tau'\\]",
        ),
        ({"model": Component("MoCo", {"size": 64})}, "keyword arguments passed to MoCo"),
        ({"model": Component("MoCo", {"queue_size": 0})}, "`queue_size` should be"),
        ({"model": Component("Mocha")}, "should be a class in `keras_supcon.models`"),
        (
            {"head": Component("ProjectionHead", {"width": 2})},
            "keyword arguments passed to ProjectionHead",
        ),
    ],
    ids=[
        "name",
        "together",
        "range",
        "function",
        "other_function",
        "base",
        "argument",
        "argument_of_model",
        "range_of_model",
        "name_of_model",
        "argument_of_head",
    ],
)
def test_what_does_not_go_together_is_found_before_training(fields, message, reader):
    with pytest.raises(ValueError, match=message):
        Trainer(dataclasses.replace(TRAINING, **fields), reader).check()
