"""A split is a function of the names of the files."""

import collections

import pytest

from keras_supcon.data.splits import assign_splits

NAMES = [f"class/{i:05}.png" for i in range(5000)]


def splits(names=NAMES, test_fraction=0.2, validation_fraction=0.1, seed=0) -> dict[str, str]:
    return dict(
        zip(names, assign_splits(names, test_fraction, validation_fraction, seed), strict=True)
    )


def test_files_stay_where_they_are_when_others_come_and_go():
    all_files = splits()
    assert splits(NAMES[:2500]).items() <= all_files.items()
    assert splits(NAMES[::-1]) == all_files


def test_fractions_hold_on_the_average():
    counts = collections.Counter(splits().values())
    assert counts["test"] == pytest.approx(1000, abs=100)
    assert counts["validation"] == pytest.approx(500, abs=75)


@pytest.mark.parametrize("number", [2, 3, 5, 10, 30, 100, 5000])
def test_a_test_file_stays_one_whatever_the_validation_fraction(number):
    for seed in range(20 if number < 1000 else 1):
        for test_fraction in (0.01, 0.1, 0.5):
            tests = [
                {
                    name
                    for name, split in splits(NAMES[:number], test_fraction, fraction, seed).items()
                    if split == "test"
                }
                for fraction in (0, 0.01, 0.1, 0.4)
            ]
            assert tests[0] == tests[1] == tests[2] == tests[3]


@pytest.mark.parametrize("number", [2, 3, 5, 10, 30, 100])
def test_a_file_moves_only_to_or_from_a_split_that_had_none(number):
    for seed in range(20):
        old, new = (
            splits(NAMES[:number], 0.2, 0.1, seed),
            splits(NAMES[: 2 * number], 0.2, 0.1, seed),
        )
        moved = [(old[name], new[name]) for name in old if old[name] != new[name]]
        counts = collections.Counter(old.values())
        assert all(min(counts[before], counts[after]) <= 1 for before, after in moved)
        assert len(moved) <= 3


def test_seeds_and_classes_split_independently():
    chance = 0.2**2 + 0.1**2 + 0.7**2
    others = [name.replace("class", "other") for name in NAMES]
    for other in (splits(seed=1), splits(others)):
        alike = sum(one == two for one, two in zip(splits().values(), other.values(), strict=True))
        assert alike / len(NAMES) == pytest.approx(chance, abs=0.03)


@pytest.mark.parametrize("number", range(1, 8))
def test_few_files_are_shared_out(number):
    for seed in range(50):
        found = collections.Counter(splits(NAMES[:number], seed=seed).values())
        assert set(found) >= set(["train", "test"][:number])
        assert found["validation"] or number - found["test"] < 2
        found = collections.Counter(splits(NAMES[:number], 0.9, 0, seed).values())
        assert set(found) == set(["train", "test"][:number])
        assert set(splits(NAMES[:number], 0, 0, seed).values()) == {"train"}


def test_the_assignment_is_the_same_everywhere():
    """Files do not change splits with the system or the version.

    Accents come in two spellings.
    """
    assert [
        splits(["a/0.png", "a/1.png", "b/0.png", "b/1.png"], 0.5, 0, seed)["a/0.png"]
        for seed in range(6)
    ] == [*("train", "train", "train", "test", "train", "test")]
    composed, decomposed = "\u00e9", "e\u0301"
    for seed in range(8):
        pair = [
            splits([f"a/{accent}.png", *NAMES[:9]], seed=seed)[f"a/{accent}.png"]
            for accent in (composed, decomposed)
        ]
        assert pair[0] == pair[1]
