"""Noise has the published distributions."""

import numpy as np
import pytest

from keras_supcon.evaluation.corruptions import corrupt, corruption_constants, noise
from keras_supcon.evaluation.corruptions.streams import Streams

SHAPE = (20, 32, 32, 3)


@pytest.fixture
def streams():
    return Streams(0, ("noise",), first=0, count=SHAPE[0])


def test_gaussian_noise_is_added_to_each_channel_by_itself():
    images = np.full(SHAPE, 128, "uint8")
    for severity in (1, 5):
        (deviation,) = corruption_constants("gaussian_noise", severity, 32, 32)
        added = corrupt(images, "gaussian_noise", severity).astype(float) - images
        assert added.std() == pytest.approx(255 * deviation, rel=0.02)
        assert added.mean() == pytest.approx(-0.5, abs=0.3)  # truncation
        assert np.abs(np.corrcoef(added.reshape(-1, 3).T) - np.eye(3)).max() < 0.03


def test_shot_noise_counts_photons(streams):
    images = np.linspace(0, 1, SHAPE[0], dtype="float32")[:, None, None, None] + np.zeros(SHAPE)
    noisy = noise.shot_noise(images.astype("float32"), streams, 25)
    assert np.abs(noisy * 25 - np.rint(noisy * 25)).max() < 1e-4
    means, variances = noisy.mean(axis=(1, 2, 3)), noisy.var(axis=(1, 2, 3))
    np.testing.assert_allclose(means, images[:, 0, 0, 0], atol=0.02)
    np.testing.assert_allclose(variances, images[:, 0, 0, 0] / 25, atol=0.004)
    assert (noisy[0] == 0).all()


def test_impulses_are_half_black_and_half_white(streams):
    images = np.full(SHAPE, 0.4, "float32")
    noisy = noise.impulse_noise(images, streams, 0.2)
    assert np.mean(noisy == 0) == pytest.approx(0.1, abs=0.01)
    assert np.mean(noisy == 1) == pytest.approx(0.1, abs=0.01)
    assert np.isin(noisy, np.array([0, 1, 0.4], "float32")).all()
    hit = (noisy != images).reshape(-1, 3)
    assert np.mean(hit.all(axis=1)) == pytest.approx(0.2**3, abs=0.005)


def test_speckle_grows_with_the_value(streams):
    images = np.broadcast_to(np.array([0, 0.25, 0.5], "float32"), SHAPE)
    deviations = noise.speckle_noise(images, streams, 0.2).std(axis=(0, 1, 2))
    np.testing.assert_allclose(deviations, [0, 0.05, 0.1], rtol=0.03)
