"""Splits of files that are stable when files are added."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence

SPLITS = ("train", "validation", "test", "all")


def assign_splits(
    names: Sequence[str], test_fraction: float, validation_fraction: float, seed: int
) -> list[str]:
    """Assigns each file of a class to a split by a hash of its name.

    The hash is a number from 0 to 1. Below `test_fraction` the file is a test file, whatever
    `validation_fraction`. Among the others, below `test_fraction + validation_fraction` it is a
    validation file. So a file keeps its split when others are added or removed, and the fractions
    hold on average.

    A split that would have no file of the class takes the one with the nearest hash; "train"
    chooses first, then "test", then "validation". That file moves back when files are added whose
    hashes are of that split.

    Args:
        names: Names of the files of one class, all different.
        test_fraction: Fraction of "test", in [0, 1).
        validation_fraction: Fraction of "validation".
        seed: Whole number; another one gives another assignment.

    Returns:
        The split of each file.
    """
    key = hashlib.blake2b(str(seed).encode(), digest_size=32).digest()
    places = [_place(name, key) for name in names]
    by_place = sorted(range(len(names)), key=places.__getitem__)
    tests = _first(by_place, places, test_fraction)
    others = by_place[len(tests) :]
    validations = _first(
        others, places, validation_fraction and test_fraction + validation_fraction
    )
    splits = (
        dict.fromkeys(by_place, "train")
        | dict.fromkeys(tests, "test")
        | dict.fromkeys(validations, "validation")
    )
    return [splits[i] for i in range(len(names))]


def _first(by_place: list[int], places: list[float], bound: float) -> list[int]:
    """Returns the files below a bound: at least one for a positive bound, and never all."""
    number = sum(places[i] < bound for i in by_place)
    return by_place[: max(min(max(number, 1 if bound else 0), len(by_place) - 1), 0)]


def _place(name: str, key: bytes) -> float:
    """Returns a number in [0, 1) that depends on the name and the key alone, on any system."""
    name = unicodedata.normalize("NFC", name)  # macOS writes accents as characters of their own
    return (
        int.from_bytes(hashlib.blake2b(os.fsencode(name), key=key, digest_size=7).digest(), "big")
        / 2**56
    )
