"""The names of the corruptions and their published constants for five severities."""

from __future__ import annotations

from typing import Any

from keras_supcon.arguments import check_choice, check_whole_number, is_whole

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""The 15 corruptions over which the mean corruption error is taken."""

EXTRA_CORRUPTIONS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""The 4 corruptions on which choices may be made before a test on the 15."""

# From a name to the arguments of its operation, for severity 1 to 5. The operations say what the
# numbers mean.
_IMAGENET = {
    "gaussian_noise": ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
    "shot_noise": ((60,), (25,), (12,), (5,), (3,)),
    "impulse_noise": ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
    "speckle_noise": ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,)),
    "gaussian_blur": ((1,), (2,), (3,), (4,), (6,)),
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    "snow": (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    "frost": ((1, 0.4, 1), (0.8, 0.6, 1), (0.7, 0.7, 1), (0.65, 0.7, 1), (0.6, 0.75, 1)),
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    "spatter": (
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    "brightness": ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
    "contrast": ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
    # The authors took 244 for the size of images of 224 pixels.
    "elastic_transform": (
        (244 / 224, 2, 0.7, 0.1),
        (244 / 224, 2, 0.08, 0.2),
        (244 / 224, 0.05, 0.01, 0.02),
        (244 / 224, 0.07, 0.01, 0.02),
        (244 / 224, 0.12, 0.01, 0.02),
    ),
    "pixelate": ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
    "jpeg_compression": ((25,), (18,), (15,), (10,), (7,)),
    "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
}
_CIFAR = {
    "gaussian_noise": ((0.04,), (0.06,), (0.08,), (0.09,), (0.1,)),
    "shot_noise": ((500,), (250,), (100,), (75,), (50,)),
    "impulse_noise": ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
    "speckle_noise": ((0.06,), (0.1,), (0.12,), (0.16,), (0.2,)),
    "gaussian_blur": ((0.4,), (0.6,), (0.7,), (0.8,), (1,)),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    "snow": (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2, 5), (1, 0.3, 5), (0.9, 0.4, 5), (0.85, 0.4, 5), (0.75, 0.45, 5)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "spatter": (
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
    "brightness": ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
    "contrast": ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
    "elastic_transform": (
        (1, 0, 0, 0.08),
        (1, 0.05, 0.2, 0.07),
        (1, 0.08, 0.06, 0.06),
        (1, 0.1, 0.04, 0.05),
        (1, 0.1, 0.03, 0.03),
    ),
    "pixelate": ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
    "jpeg_compression": ((80,), (65,), (58,), (50,), (40,)),
    "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
}
_TABLES = {"cifar": _CIFAR, "imagenet": _IMAGENET}
# The geometric mean of 32 and 224 is 84.7.
_LARGEST_FOR_CIFAR = 84
_LARGEST_SEVERITY = 5


def constants_table(height: int, width: int) -> str:
    """Returns the name of the table of constants that `corrupt` chooses for a size.

    Args:
        height: Height of the images in pixels, at least 1.
        width: Width of the images in pixels, at least 1.

    Returns:
        `"cifar"`, made for 32 pixels, if the shorter side has up to 84 pixels: these are nearer to
        32 than to 224 by their ratios. Else `"imagenet"`, made for 224 pixels.

    Raises:
        ValueError: If a side is no whole number of at least 1.

    Example:

    >>> from keras_supcon.evaluation.corruptions import constants_table
    >>> constants_table(28, 28), constants_table(224, 160)
    ('cifar', 'imagenet')
    """
    height = check_whole_number("height", height, at_least=1)
    width = check_whole_number("width", width, at_least=1)
    return "cifar" if min(height, width) <= _LARGEST_FOR_CIFAR else "imagenet"


def corruption_constants(
    name: str, severity: int, height: int, width: int, constants: str | None = None
) -> tuple[float, ...]:
    """Returns the constants with which images are corrupted, in the order of the published code.

    Args:
        name: Name of a corruption, of `CORRUPTIONS` or `EXTRA_CORRUPTIONS`.
        severity: 1 (weakest) to 5.
        height: Height of the images in pixels, at least 1.
        width: Width of the images in pixels, at least 1.
        constants: `"cifar"` for those of CIFAR-10-C, `"imagenet"` for those of ImageNet-C; None
            chooses by `constants_table`.

    Returns:
        Numbers. The first one of elastic transform, and the last one of frost, are factors for the
        size of the images and the pictures that the published code holds elsewhere.

    Raises:
        ValueError: If an argument is none of the above.

    Reference:
        Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
        Perturbations, ICLR 2019, and the authors' code for ImageNet-C and CIFAR-10-C.

    Example:

    >>> from keras_supcon.evaluation.corruptions import corruption_constants
    >>> corruption_constants("jpeg_compression", 3, 28, 28)
    (58,)
    """
    check_choice("name", name, (*CORRUPTIONS, *EXTRA_CORRUPTIONS))
    severity = check_severity(severity)
    table = constants_table(height, width)
    if constants is not None:
        table = check_choice("constants", constants, tuple(_TABLES))
    return _TABLES[table][name][severity - 1]


def check_severity(severity: Any) -> int:
    """Checks that a severity is a whole number from 1 to 5.

    Raises:
        ValueError: If it is not.
    """
    if not (is_whole(severity, 1) and severity <= _LARGEST_SEVERITY):
        raise ValueError(
            "`severity` should be a whole number from 1 (weakest) to 5. Received: "
            f"severity={severity!r}"
        )
    return int(severity)
