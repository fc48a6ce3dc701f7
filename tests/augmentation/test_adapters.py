"""Layers of packages with rules of their own are called, saved and loaded by an adapter."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_supcon.augmentation import Invert, MultiView, RandomApply, SimAugment, adapters
from keras_supcon.augmentation.adapters import LayerAdapter
from keras_supcon.augmentation.any_layer import (
    as_augmenter,
    call_augmenter,
    deserialize_augmenter,
    draws_outside_keras,
    keras_layers_within,
)
from keras_supcon.augmentation.pixel_range import check_pixel_range, layer_of_other_range

pytestmark = pytest.mark.neutral


@keras.saving.register_keras_serializable(package="foreign")
class Add(keras.layers.Layer):
    """A layer of another package, which is never called without its adapter."""

    __module__ = "foreign.layers"

    def __init__(self, amount=1.0, layer=None, **kwargs):
        super().__init__(**kwargs)
        self.amount, self.layer = amount, layer

    def call(self, images):
        raise AssertionError("called without its adapter")

    def get_config(self):
        return {**super().get_config(), "amount": self.amount}


class Doubled(Add):
    """A class of a user that extends the package's."""


class Adapter(LayerAdapter):
    always_augments = True
    range_keeping = frozenset({"Add"})
    rescaling = frozenset({"Doubled"})

    def call(self, layer, images, training):
        added = sum(part.amount for part in adapters.layers_within(layer) if isinstance(part, Add))
        return images + (added if training else 0.0)

    def restore_config(self, config, custom_objects):
        config["config"]["amount"] *= 10
        return config

    def optional_layers(self, layer):
        return [layer.layer]


@pytest.fixture(autouse=True)
def _adapter(monkeypatch):
    monkeypatch.setitem(adapters._ADAPTERS, "foreign", Adapter())


@pytest.fixture
def images():
    return ops.zeros((2, 4, 4, 3))


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (Add, 1.0),
        (lambda: Doubled(2.0), 2.0),
        (lambda: keras.layers.Pipeline([Add(), keras.layers.Rescaling(1.0), Add(3.0)]), 4.0),
        (lambda: RandomApply(Add(), probability=1.0), 1.0),
    ],
    ids=["layer", "layer of a user", "pipeline", "layer of ours around it"],
)
def test_the_adapter_calls_its_layers_wherever_they_are(images, make, change):
    augmenter = as_augmenter(make())
    assert draws_outside_keras(augmenter)
    assert not augmenter.supports_jit
    for training, expected in ((True, change), (False, 0.0)):
        out = ops.convert_to_numpy(call_augmenter(augmenter, images, training))
        np.testing.assert_array_equal(out, np.full((2, 4, 4, 3), expected))


def test_layers_without_an_adapter_are_left_to_keras(images):
    augmenter = as_augmenter(MultiView(Invert()))
    assert not draws_outside_keras(augmenter)
    assert augmenter.supports_jit
    assert keras_layers_within(augmenter) == []


def test_the_adapter_restores_configs_within_containers():
    pipeline = keras.layers.Pipeline([keras.layers.Rescaling(2.0), Add(3.0)])
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(pipeline)))
    assert deserialize_augmenter(config).layers[1].amount == 30.0


def test_the_adapter_tells_what_happens_to_the_range_of_pixels():
    policy = SimAugment((4, 4))
    assert layer_of_other_range(keras.layers.Pipeline([policy, Add()])) is None
    with pytest.raises(ValueError, match="a policy in a layer that chooses whether to apply it"):
        check_pixel_range(Add(layer=policy))
