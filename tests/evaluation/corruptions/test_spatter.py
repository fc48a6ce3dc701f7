"""Drops of water and mud."""

import numpy as np
import pytest

from keras_supcon.evaluation.corruptions import corrupt
from keras_supcon.evaluation.corruptions.spatter import canny, equalize, spatter, water_drops
from keras_supcon.evaluation.corruptions.streams import Streams


def test_the_edge_of_a_step_is_one_pixel_wide():
    levels = np.zeros((12, 16), "uint8")
    levels[:, 8:] = 100
    for turned in (levels, levels[:, ::-1], levels.T):
        edges = canny(turned, 50, 150)
        across = edges.sum(axis=1 if turned.shape == levels.shape else 0)
        assert (across == 1).all()
    assert not canny(np.full((12, 16), 70, "uint8"), 50, 150).any()


def test_weak_edges_count_where_they_touch_strong_ones():
    levels = np.zeros((20, 20), "uint8")
    levels[:10, 10:] = 100  # the gradient is 400
    levels[10:, 10:] = 20  # and 80 here
    assert canny(levels, 50, 150)[3:17].any(axis=1).all()
    assert not canny(levels[12:], 50, 150).any()
    assert not canny(levels, 500, 600).any()


def test_equalized_levels_are_shares_of_the_pixels(rng):
    levels = rng.integers(10, 60, (30, 30)).astype("uint8")
    levels[0, 0] = 5
    lowest = (levels == 5).sum()
    expected = [
        np.rint(255 * ((levels <= level).sum() - lowest) / (levels.size - lowest))
        for level in levels.ravel()
    ]
    assert (equalize(levels).ravel() == expected).all()
    constant = np.full((4, 4), 9, "uint8")
    assert (equalize(constant) == constant).all()


def test_no_liquid_has_no_drops():
    assert (water_drops(np.zeros((16, 16), "uint8")) == 0).all()


def test_water_adds_light_and_mud_covers(photographs):
    images = np.repeat(photographs[0][None, :96, :96], 4, axis=0)
    wet = corrupt(images, "spatter", 2).astype(int)
    assert (wet >= images).all()
    assert 0.005 < (wet > images).any(axis=3).mean() < 0.6
    muddy = corrupt(images, "spatter", 5).astype(int)
    is_between = (muddy >= np.minimum(images, [63, 42, 20]) - 1) & (
        muddy <= np.maximum(images, [63, 42, 20]) + 1
    )
    assert is_between.all()
    changed = (muddy != images).any(axis=3)
    assert 0.05 < changed.mean() < 0.5


def test_mud_is_where_smooth_noise_is_above_the_threshold():
    images = np.ones((20, 32, 32, 3), "float32")
    streams = Streams(0, ("mud",), 0, 20)
    # Without smoothing: two deviations above the mean.
    muddy = spatter(images, streams, 0.5, 0.1, 0, 0.7, 0, 1)
    is_mud = muddy[..., 0] < 0.5
    assert is_mud.mean() == pytest.approx(0.0228, abs=0.004)
    assert np.abs(muddy[is_mud] * 255 - [63, 42, 20]).max() < 1e-3
    assert (muddy[~is_mud] == 1).all()
