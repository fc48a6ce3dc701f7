"""Splits of files that do not move when files are added."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Sequence

SPLITS = ("train", "validation", "test", "all")


def assign_splits(names: Sequence[str], test_fraction: float, validation_fraction: float, seed: int) -> list[str]:
    """Assigns each file of a class to a split by a hash of its name.

    A file keeps its split when others are added or removed, and a test file stays one when `validation_fraction` changes. The
    fractions hold on the average. Only where a split would be left without a file of the class, the file nearest to it goes
    there: first to "train", then to "test", then to "validation".

    Args:
        names: Names of the files of one class, each different.
        test_fraction: Share of "test", in [0, 1).
        validation_fraction: Share of "validation".
        seed: Whole number; another one gives another assignment.

    Returns:
        The split of each file.
    """
    key = hashlib.blake2b(str(seed).encode(), digest_size=32).digest()
    places = [_place(name, key) for name in names]
    bound = test_fraction + validation_fraction
    splits = ["test" if place < test_fraction else "validation" if place < bound else "train" for place in places]
    by_place = sorted(range(len(names)), key=places.__getitem__)
    wanted = ["train", *(["test"] if test_fraction else []), *(["validation"] if validation_fraction else [])]
    for split in wanted[: len(names)]:
        if split not in splits:
            # From a split that has files to spare, beginning with the nearest end.
            nearest = by_place[::-1] if split == "train" else by_place
            spare = [i for i in nearest if splits.count(splits[i]) > 1 or splits[i] not in wanted[: len(names)]]
            splits[spare[0]] = split
    return splits


def _place(name: str, key: bytes) -> float:
    """A number in [0, 1) that depends on the name and the key alone, whatever the system."""
    name = unicodedata.normalize("NFC", name)  # macOS writes accents as characters of their own
    return int.from_bytes(hashlib.blake2b(os.fsencode(name), key=key, digest_size=7).digest(), "big") / 2**56
