"""Derived seeds stay what they are, since runs resume with them, and are unrelated to one another."""

import itertools

import keras
import numpy as np
import pytest

from keras_supcon import seeds

BACKEND = keras.backend.backend()
of_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
SEEDS = (0, 7, 2**40 + 3, -5)


@pytest.mark.neutral
def test_values_of_layers_and_their_parts_stay():
    of_class = [seeds.seed_of_class(seed, "SimAugment") for seed in SEEDS]
    assert of_class == [859851603, 859851610, 859851606, 859851598]
    of_part = [seeds.seed_of_part(seed, 1) for seed in SEEDS]
    assert of_part == [15485863, 15485870, 15485866, 15485858]
    assert seeds.seed_of_part(7, 3) == 46457596
    assert seeds.seed_of_keras_cv_part(7, 3) == 10
    assert seeds.seed_of_trace(7, 0) == 1000010
    assert seeds.seed_of_trace(7, 2) == 3000016
    assert seeds.seed_of_evaluation(2).tolist() == [20200425, 0]
    none = (seeds.seed_of_class(None, "A"), seeds.seed_of_part(None, 1), seeds.derive_seed(None, 1))
    assert none == (None, None, None)
    assert seeds.seed_of_keras_cv_part(None, 1) is None


@pytest.mark.neutral
def test_values_of_elements_stay():
    assert [seeds.nth_seed(np.array([3, 4]), n).tolist() for n in range(2)] == [[3, 4], [3, 5]]
    large = (None, 5, -(2**63), 2**63, 10**30, -(10**30))
    expected = [None, 5, -(2**63), 0, 5076944270305263616, 4146427766549512192]
    assert [*map(seeds.as_int64, large)] == expected


@of_tensorflow
def test_values_of_replicas_and_places_stay():
    import tensorflow as tf

    drawn = tf.constant([3, 4], "int64")
    assert [seeds.seed_of_replica(drawn, n).numpy().tolist() for n in (0, 2)] == [
        [3, 4],
        [2000009, 4],
    ]
    places = {
        (0, 0): [-1440281295, -332387009],
        (7, 3, -1): [464815268, -867112716],
        (2**40 + 3, 5): [775912150, 1417501015],
        (-5, 2, 2**40): [-1852933303, 1798677689],
        (10**30,): [-539342791, 2070374550],
    }
    assert {path: seeds.fold_in(*path).numpy().tolist() for path in places} == places


@pytest.mark.neutral
def test_derived_seeds_stay_and_differ():
    assert seeds.derive_seed(1, "encoder") == 1243223716
    paths = [(), (0,), (1,), ("0",), ("view", 1), ("view1",), ("view", "1"), (1, 0), (0, 1)]
    derived = [seeds.derive_seed(seed, *path) for seed, path in itertools.product(SEEDS, paths)]
    assert len({*derived}) == len(derived)
    assert all(0 <= seed < 2**31 for seed in derived)


@pytest.mark.neutral
def test_the_states_outside_a_model_are_those_of_torch():
    states = seeds.random_states()
    assert bool(states) == (BACKEND == "torch")
    if states:
        import torch

        first = torch.rand(3)
        seeds.set_random_states(states)
        assert torch.equal(torch.rand(3), first)


@pytest.mark.neutral
@pytest.mark.parametrize("seed", [0.5, True, "1", None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match=r"`seed` should be a whole number. Received: seed="):
        seeds.check_seed(seed)
    assert seeds.check_seed(None, or_none=True) is None
    assert type(seeds.check_seed(np.int64(3))) is int
