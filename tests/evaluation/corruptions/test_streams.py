"""Random numbers of images."""

import numpy as np

from keras_supcon.evaluation.corruptions.streams import Streams


def draw(streams, count):
    return [
        streams.normal((3, 5)),
        streams.integers((7,), -2, 2),
        streams.uniform((4,), -1, 3),
        streams.poisson(np.full((count, 6), 4.0)),
        streams.normal((5,)),
    ]


def test_the_draws_of_an_image_do_not_depend_on_the_batch():
    together = draw(Streams(3, ("fog", 2), first=10, count=4), 4)
    for i in range(4):
        alone = draw(Streams(3, ("fog", 2), first=10 + i, count=1), 1)
        for of_all, of_one in zip(together, alone, strict=True):
            assert (of_all[i] == of_one[0]).all()


def test_images_draws_seeds_and_places_have_other_numbers():
    streams = Streams(0, ("fog", 1), first=0, count=2)
    rows = [*streams.normal((100,)), *streams.normal((100,))]
    for seed, place, first in ((1, ("fog", 1), 0), (0, ("fog", 2), 0), (0, ("snow", 1), 0)):
        rows += [*Streams(seed, place, first, 1).normal((100,))]
    rows += [*Streams(0, ("fog", 1), 2**40, 1).normal((100,))]
    correlations = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlations).max() < 0.45


def test_draws_have_their_distributions():
    streams = Streams(5, ("snow", 1), first=0, count=8)
    normal = streams.normal((10_000,))
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    uniform = streams.uniform((10_000,), -1, 3)
    assert -1 <= uniform.min() < -0.99
    assert 2.99 < uniform.max() < 3
    integers = streams.integers((10_000,), -2, 2)
    values, counts = np.unique(integers, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1]
    assert np.abs(counts / integers.size - 0.25).max() < 0.01
    poisson = streams.poisson(np.full((8, 10_000), 5.0))
    assert abs(poisson.mean() - 5) < 0.05
    assert abs(poisson.var() - 5) < 0.15
