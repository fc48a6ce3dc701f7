"""Derived seeds do not change between versions, so that a seed repeats earlier views."""

import pytest

from keras_supcon.augmentation import seeds

pytestmark = pytest.mark.neutral


def test_derived_seeds_are_fixed_numbers():
    assert seeds.seed_of_class(5, "Invert") == 1_975_413_750
    assert seeds.seed_of_part(5, 2) == 30_971_731
    assert seeds.seed_of_part(2**31 - 1, 1) == 15_485_862
    assert seeds.seed_of_keras_cv_part(5, 2) == 7
    assert seeds.seed_of_trace(5, 3) == 4_000_017


def test_no_seed_gives_no_seed():
    assert seeds.seed_of_class(None, "Invert") is None
    assert seeds.seed_of_part(None, 1) is None
    assert seeds.seed_of_keras_cv_part(None, 1) is None
