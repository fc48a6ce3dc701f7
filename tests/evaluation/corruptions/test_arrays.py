"""What holds for all corruptions of arrays."""

import numpy as np
import pytest
from PIL import Image

from keras_supcon.evaluation.corruptions import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    arrays,
    constants_table,
    corrupt,
    corruption_constants,
)

NAMES = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
DETERMINISTIC = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "saturate",
)
# Drawn for each channel, so that gray pixels become colored.
NOISE = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")
COLORED = ("frost", "spatter", "saturate")
# The published constants do not grow with the severity, or one grows while another one shrinks.
NOT_MONOTONE = {
    "cifar": ("glass_blur", "motion_blur", "frost", "elastic_transform", "spatter", "saturate"),
    "imagenet": ("glass_blur", "snow", "frost", "elastic_transform", "saturate"),
}


@pytest.fixture(scope="module")
def squares(photographs):
    """Returns a function from a side to six squares of the photographs, uint8."""

    def cut(side):
        crops = [photo[:, left : left + 427] for photo in photographs for left in (0, 106, 213)]
        return np.stack([np.asarray(Image.fromarray(one).resize((side, side))) for one in crops])

    return cut


@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_its_index_alone(name, squares, monkeypatch):
    images = squares(16)
    before = images.copy()
    at_once = corrupt(images, name, 5, seed=7)
    assert at_once.shape == images.shape
    assert at_once.dtype == "uint8"
    assert (images == before).all()
    one_by_one = [corrupt(images[i : i + 1], name, 5, seed=7, first=i)[0] for i in range(6)]
    assert (at_once == one_by_one).all()
    monkeypatch.setattr(arrays, "_VALUES_AT_ONCE", 2 * images[0].size)
    assert (at_once == corrupt(images, name, 5, seed=7)).all()
    assert (at_once == corrupt(images, name, 5, seed=7, threads=3)).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_random_differs_between_images_seeds_and_names(name, squares):
    images = np.repeat(squares(24)[:1], 2, axis=0)
    first, second = corrupt(images, name, 5, seed=1)
    other = corrupt(images[:1], name, 5, seed=2)[0]
    assert (first == second).all() == (first == other).all() == (name in DETERMINISTIC)


def test_numbers_of_numpy_are_numbers(squares):
    images = squares(16)
    ours = corrupt(images, "fog", np.int64(3), np.int32(4), first=np.int64(5))
    assert (ours == corrupt(images, "fog", 3, 4, first=5)).all()


def test_severities_draw_from_streams_of_their_own():
    gray = np.full((1, 16, 16, 1), 128, "uint8")
    one, two = (corrupt(gray, "gaussian_noise", severity).astype(float) for severity in (1, 2))
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 3), (28, 28, 1), (9, 13, 3), (96, 90, 3)])
def test_images_of_any_size(name, shape, rng):
    images = rng.integers(0, 256, (2, *shape)).astype("uint8")
    for severity in (1, 5):
        assert corrupt(images, name, severity).shape == (2, *shape)
    for level in (0, 255):
        assert corrupt(np.full((1, *shape), level, "uint8"), name, 3).shape == (1, *shape)


@pytest.mark.parametrize("name", sorted({*NAMES} - {*NOISE}))
@pytest.mark.parametrize("severity", [1, 4])
def test_gray_images_give_what_gray_rgb_images_give(name, severity, squares):
    gray = squares(20)[..., :1]
    colored = corrupt(np.repeat(gray, 3, axis=3), name, severity).astype(int)
    if name not in COLORED:
        assert (np.ptp(colored, axis=3) == 0).all()
    luminance = colored @ [0.299, 0.587, 0.114]
    assert np.abs(corrupt(gray, name, severity)[..., 0] - luminance).max() <= 1.001


@pytest.mark.parametrize(("side", "repeats"), [(32, 8), (224, 1)])
def test_severity_raises_the_difference(side, repeats, squares):
    images = np.repeat(squares(side), repeats, axis=0)
    for name in sorted({*NAMES} - {*NOT_MONOTONE[constants_table(side, side)]}):
        differences = [
            np.abs(corrupt(images, name, severity).astype("int16") - images).mean()
            for severity in range(1, 6)
        ]
        assert (np.diff(differences) > 0).all(), (name, differences)


def test_size_or_caller_chooses_the_constants(squares):
    small, large = squares(32), squares(96)
    for images, table, other in ((small, "cifar", "imagenet"), (large, "imagenet", "cifar")):
        chosen = corrupt(images, "contrast", 3)
        assert (chosen == corrupt(images, "contrast", 3, constants=table)).all()
        assert (chosen != corrupt(images, "contrast", 3, constants=other)).any()
    assert corruption_constants("contrast", 3, 32, 300) == (0.4,)
    assert corruption_constants("contrast", 3, 96, 300) == (0.2,)
    assert corruption_constants("contrast", 3, 96, 300, "cifar") == (0.4,)
    assert [constants_table(side, 500) for side in (8, 84, 85, 224)] == [
        "cifar",
        "cifar",
        "imagenet",
        "imagenet",
    ]


def test_every_name_has_five_constants_of_one_length_in_both_tables():
    assert len(CORRUPTIONS) == 15
    assert len(set(NAMES)) == 19
    for table in ("cifar", "imagenet"):
        for name in NAMES:
            rows = [corruption_constants(name, severity, 8, 8, table) for severity in range(1, 6)]
            assert len({len(row) for row in rows}) == 1
            assert len(set(rows)) == 5


GOOD = np.zeros((1, 8, 8, 1), "uint8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "blur"}, "`name` should be one of .* Received: name='blur'"),
        ({"severity": 0}, "`severity` should be a whole number from 1 .* Received: severity=0"),
        ({"severity": 6}, "Received: severity=6"),
        ({"severity": 2.5}, "Received: severity=2.5"),
        ({"severity": True}, "Received: severity=True"),
        ({"seed": 0.5}, "`seed` should be a whole number"),
        ({"first": -1}, "`first` should be a whole number of at least 0"),
        ({"first": 2**63}, r"`first` should be at most 2\^62"),
        ({"threads": 0}, "`threads` should be a whole number of at least 1"),
        ({"constants": "mnist"}, "`constants` should be one of"),
        ({"images": GOOD.astype("float32")}, "should be uint8.*images.dtype=float32"),
        ({"images": GOOD * np.nan}, "should be uint8.*images.dtype=float64"),
        ({"images": GOOD.astype("int64")}, "should be uint8.*images.dtype=int64"),
        ({"images": GOOD[0]}, r"should have shape .*images.shape=\(8, 8, 1\)"),
        ({"images": GOOD[:0]}, r"at least one image.*images.shape=\(0, 8, 8, 1\)"),
        ({"images": GOOD[:, 1:]}, r"8 pixels.*images.shape=\(1, 7, 8, 1\)"),
        ({"images": np.zeros((1, 8, 8, 2), "uint8")}, "1 or 3 channels"),
        ({"images": "photo.jpg"}, "should be uint8"),
    ],
)
def test_refuses_what_it_cannot_corrupt(arguments, message):
    with pytest.raises(ValueError, match=message):
        corrupt(**{"images": GOOD, "name": "fog", "severity": 1, **arguments})
