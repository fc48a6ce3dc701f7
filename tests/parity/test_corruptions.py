"""Images of imagecorruptions-imaug 1.1.5 and TensorFlow Datasets 4.9.10, at 224 pixels.

What they do otherwise:

- TensorFlow Datasets rounds, where ImageNet-C and imagecorruptions truncate. Its pixelation
  enlarges with another filter, its fog is made on 512 pixels, and its motion blur and snow need
  ImageMagick.
- The elastic transform of imagecorruptions is another function.
- Motion blur and snow of imagecorruptions repeat ImageMagick's kernel in NumPy, as ours do.
- Both have photographs of frost; imagecorruptions draws from six of them, ImageNet-C from five.
"""

import os

import numpy as np
import pytest
from PIL import Image

from keras_supcon.evaluation.corruptions import corrupt
from tests.parity.exchange import run_peer

pytestmark = [
    pytest.mark.skipif(
        "CORRUPTIONS_PYTHON" not in os.environ,
        reason="needs an environment with imagecorruptions-imaug: run `make test-parity`",
    ),
    pytest.mark.slow,
]

SEVERITIES = (1, 3, 5)
# The largest mean difference in levels, where float32 truncates otherwise than float64.
EQUAL = {
    "defocus_blur": 0.05,
    "brightness": 0.05,
    "contrast": 0,
    "pixelate": 0,
    "jpeg_compression": 0,
    "saturate": 0.2,
    "zoom_blur": 0.01,
    "gaussian_blur": 0.01,
}
# Images of each photograph: more where a few numbers make a whole image.
NOISE = dict.fromkeys(("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"), 2)
RANDOM = {
    "imagecorruptions": NOISE
    | {"glass_blur": 3, "motion_blur": 8, "snow": 4, "fog": 8, "spatter": 8},
    "tfds": NOISE | {"glass_blur": 3, "spatter": 8, "elastic_transform": 12},
}
FROST = {"frost": 12}
EQUAL_TO_TFDS = [name for name in EQUAL if name != "pixelate"]


@pytest.fixture(scope="module")
def images(photographs):
    squares = [photo[:, 100:527] for photo in photographs]
    return np.stack([np.asarray(Image.fromarray(one).resize((224, 224))) for one in squares])


@pytest.fixture(scope="module")
def theirs(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corruptions")
    repeats = {
        "imagecorruptions": dict.fromkeys(EQUAL, 1) | RANDOM["imagecorruptions"] | FROST,
        "tfds": dict.fromkeys(EQUAL_TO_TFDS, 1) | RANDOM["tfds"],
    }
    questions = {
        peer: [(name, s, number) for name, number in of_peer.items() for s in SEVERITIES]
        for peer, of_peer in repeats.items()
    }
    questions["images"] = images
    return run_peer(
        os.environ["CORRUPTIONS_PYTHON"], "peer_corruptions", questions, folder, timeout=600
    )


@pytest.mark.parametrize("name", EQUAL)
def test_equals_imagecorruptions_within_a_level(name, images, theirs):
    for severity in SEVERITIES:
        ours = corrupt(images, name, severity).astype(int)
        difference = np.abs(ours - theirs[f"imagecorruptions/{name}/{severity}"])
        assert difference.max() <= (1 if EQUAL[name] else 0)
        assert difference.mean() <= EQUAL[name]


@pytest.mark.parametrize("name", EQUAL_TO_TFDS)
def test_equals_tfds_within_the_level_that_it_rounds(name, images, theirs):
    for severity in SEVERITIES:
        ours = corrupt(images, name, severity).astype(int)
        assert np.abs(ours - theirs[f"tfds/{name}/{severity}"]).max() <= 1


def statistics(corrupted, images):
    """Returns for each image the mean absolute change, the mean and the deviation, in levels."""
    clean = np.tile(images, (len(corrupted) // len(images), 1, 1, 1)).astype(int)
    corrupted = corrupted.astype("float32")
    change = np.abs(corrupted - clean).mean(axis=(1, 2, 3))
    scores = [change, corrupted.mean(axis=(1, 2, 3)), corrupted.std(axis=(1, 2, 3))]
    # Of one photograph and another: what differs between repetitions is left.
    return np.stack(scores, axis=1).reshape(-1, len(images), 3)


def assert_alike(name, severity, peer, theirs, images, tolerance):
    of_peer = statistics(theirs[f"{peer}/{name}/{severity}"], images)
    repeats = np.tile(images, (max(len(of_peer), 16), 1, 1, 1))
    of_ours = statistics(corrupt(repeats, name, severity), images)
    error = np.sqrt(sum(one.var(axis=0, ddof=1) / len(one) for one in (of_peer, of_ours)))
    difference = np.abs(of_ours.mean(axis=0) - of_peer.mean(axis=0))
    # Half a level is what rounding adds to a mean.
    assert (difference <= tolerance * of_peer.mean(axis=0) + 0.6 + 4 * error).all(), (
        severity,
        difference,
        error,
        of_peer.mean(axis=0),
    )


@pytest.mark.parametrize(
    ("peer", "name"), [(peer, name) for peer, names in RANDOM.items() for name in names]
)
def test_random_images_have_the_distribution_of_the_peer(peer, name, images, theirs):
    for severity in SEVERITIES:
        assert_alike(name, severity, peer, theirs, images, tolerance=0.02)


def test_frost_changes_images_about_as_much_as_the_photographs(images, theirs):
    for severity in SEVERITIES:
        assert_alike("frost", severity, "imagecorruptions", theirs, images, tolerance=0.15)
