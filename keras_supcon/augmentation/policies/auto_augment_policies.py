"""The learned policies of AutoAugment as tables."""

import difflib
from typing import Any

from keras_supcon.arguments import is_number
from keras_supcon.augmentation.operations.sequence import OPERATIONS

_WITHOUT_MAGNITUDE = ("AutoContrast", "Equalize", "Invert")

# An operation, its probability and its magnitude (0 to 1; None where it has none).
PolicyStep = tuple[str, float, float | None]
SubPolicy = tuple[PolicyStep, ...]

# A line is a sub-policy; an operation is followed by its probability and its level of 0 to 10, ten
# times the magnitude.
_POLICIES = {
    # The ImageNet policy of EfficientNet and of SupCon's published code, not the table printed in
    # the AutoAugment paper.
    "imagenet": """
        Equalize .8 1, ShearY .8 4
        Color .4 9, Equalize .6 3
        Color .4 1, Rotate .6 8
        Solarize .8 3, Equalize .4 7
        Solarize .4 2, Solarize .6 2
        Color .2 0, Equalize .8 8
        Equalize .4 8, SolarizeAdd .8 3
        ShearX .2 9, Rotate .6 8
        Color .6 1, Equalize 1 2
        Invert .4 9, Rotate .6 0
        Equalize 1 9, ShearY .6 3
        Color .4 7, Equalize .6 0
        Posterize .4 6, AutoContrast .4 7
        Solarize .6 8, Color .6 9
        Solarize .2 4, Rotate .8 9
        Rotate 1 7, TranslateY .8 9
        ShearX 0 0, Solarize .8 4
        ShearY .8 0, Color .6 4
        Color 1 0, Rotate .6 2
        Equalize .8 4, Equalize 0 8
        Equalize 1 4, AutoContrast .6 2
        ShearY .4 7, SolarizeAdd .6 7
        Posterize .8 2, Solarize .6 10
        Solarize .6 8, Equalize .6 1
        Color .8 6, Rotate .4 5
    """,
    # Table 7 of the paper.
    "cifar10": """
        Invert .1 7, Contrast .2 6
        Rotate .7 2, TranslateX .3 9
        Sharpness .8 1, Sharpness .9 3
        ShearY .5 8, TranslateY .7 9
        AutoContrast .5 8, Equalize .9 2
        ShearY .2 7, Posterize .3 7
        Color .4 3, Brightness .6 7
        Sharpness .3 9, Brightness .7 9
        Equalize .6 5, Equalize .5 1
        Contrast .6 7, Sharpness .6 5
        Color .7 7, TranslateX .5 8
        Equalize .3 7, AutoContrast .4 8
        TranslateY .4 3, Sharpness .2 6
        Brightness .9 6, Color .2 8
        Solarize .5 2, Invert 0 3
        Equalize .2 0, AutoContrast .6 0
        Equalize .2 8, Equalize .6 4
        Color .9 9, Equalize .6 6
        AutoContrast .8 4, Solarize .2 8
        Brightness .1 3, Color .7 0
        Solarize .4 5, AutoContrast .9 3
        TranslateY .9 9, TranslateY .7 9
        AutoContrast .9 2, Solarize .8 3
        Equalize .8 8, Invert .1 3
        TranslateY .7 9, AutoContrast .9 1
    """,
    # Table 8 of the paper.
    "svhn": """
        ShearX .9 4, Invert .2 3
        ShearY .9 8, Invert .7 5
        Equalize .6 5, Solarize .6 6
        Invert .9 3, Equalize .6 3
        Equalize .6 1, Rotate .9 3
        ShearX .9 4, AutoContrast .8 3
        ShearY .9 8, Invert .4 5
        ShearY .9 5, Solarize .2 6
        Invert .9 6, AutoContrast .8 1
        Equalize .6 3, Rotate .9 3
        ShearX .9 4, Solarize .3 3
        ShearY .8 8, Invert .7 4
        Equalize .9 5, TranslateY .6 6
        Invert .9 4, Equalize .6 7
        Contrast .3 3, Rotate .8 4
        Invert .8 5, TranslateY 0 2
        ShearY .7 6, Solarize .4 8
        Invert .6 4, Rotate .8 4
        ShearY .3 7, TranslateX .9 3
        ShearX .1 6, Invert .6 5
        Solarize .7 2, TranslateY .6 7
        ShearY .8 4, Invert .8 8
        ShearX .7 9, TranslateY .8 3
        ShearY .8 5, AutoContrast .7 3
        ShearX .7 2, Invert .1 5
    """,
}
POLICY_NAMES = tuple(_POLICIES)


def read_policy(policy: Any) -> tuple[SubPolicy, ...]:
    """Returns the sub-policies of a named policy or of a user's own list.

    Args:
        policy: `"imagenet"`, `"cifar10"`, `"svhn"`, or a list of sub-policies, each a list of
            `(operation, probability, magnitude)`; probability and magnitude are in [0, 1], and the
            magnitude is None for operations that have none.

    Raises:
        ValueError: For another name, an operation that does not exist, or a number out of its
            range.
    """
    if isinstance(policy, str):
        if policy not in _POLICIES:
            raise ValueError(
                f"`policy` should be one of {POLICY_NAMES}, or a list. Received: policy={policy!r}"
            )
        return _parse(_POLICIES[policy])
    if not isinstance(policy, (list, tuple)) or not policy:
        raise ValueError(
            f"`policy` should be one of {POLICY_NAMES}, or a list of at least one sub-policy. "
            f"Received: policy={policy!r}"
        )
    return tuple(_check_sub_policy(sub_policy) for sub_policy in policy)


def _parse(table: str) -> tuple[SubPolicy, ...]:
    def step(text: str) -> PolicyStep:
        name, probability, level = text.split()
        return (name, float(probability), float(level) / 10)

    return tuple(tuple(map(step, line.split(","))) for line in table.strip().splitlines())


def _check_sub_policy(sub_policy: Any) -> SubPolicy:
    if not isinstance(sub_policy, (list, tuple)) or not sub_policy:
        raise ValueError(
            "`policy` should hold lists of (operation, probability, magnitude). Received: "
            f"{sub_policy!r}"
        )
    return tuple(_check_step(step) for step in sub_policy)


def _check_step(step: Any) -> PolicyStep:
    if not isinstance(step, (list, tuple)) or len(step) != 3:
        raise ValueError(
            f"`policy` should hold lists of (operation, probability, magnitude). Received: {step!r}"
        )
    name, probability, magnitude = step
    if name not in OPERATIONS:
        close = difflib.get_close_matches(str(name), OPERATIONS, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"Operations in `policy` should be among {OPERATIONS}. Received: {name!r} in "
            f"{step!r}.{hint}"
        )
    for what, value in (("probability", probability), ("magnitude", magnitude)):
        if what == "magnitude" and value is None and name in _WITHOUT_MAGNITUDE:
            continue
        if not (is_number(value) and 0 <= value <= 1):
            raise ValueError(
                f"Every {what} in `policy` should be between 0 and 1. Received: {value!r} in "
                f"{step!r}"
            )
    return (name, float(probability), None if magnitude is None else float(magnitude))
