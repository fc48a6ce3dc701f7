"""Chooses what of a data set without splits is for testing."""

import collections
import hashlib
from collections.abc import Hashable, Iterable, Sequence

TEST_FRACTION = 0.2


def choose_test(
    names: Sequence[str], classes: Sequence[str], marks: Sequence[Iterable[Hashable]]
) -> list[bool]:
    """Chooses about a fifth of each class for the test split.

    Items that have a mark in common are together in one split, also over several steps; the name
    and the class of the first of them count. They are chosen in the order of a hash of the name,
    so that the split depends on nothing but the arguments. A class has a test item unless all its
    items are together, or together with items of other classes.

    Args:
        names: Names of the items, all different.
        classes: The class of each.
        marks: What each has that no item of the other split should have.

    Returns:
        Whether each item is for testing.

    Raises:
        ValueError: If all items of a class would be for testing.
    """
    earlier_one: dict[int, int] = {}

    def first(item: int) -> int:
        while item in earlier_one:
            item = earlier_one[item]
        return item

    seen: dict[Hashable, int] = {}
    for item, of_item in enumerate(marks):
        for mark in of_item:
            earlier, later = sorted((first(seen.setdefault(mark, item)), first(item)))
            if earlier < later:
                earlier_one[later] = earlier
    sizes = collections.Counter(map(first, range(len(names))))
    by_class = collections.defaultdict(list)
    for item in sizes:
        by_class[classes[item]].append(item)
    chosen: set[int] = set()
    for items in by_class.values():
        items.sort(key=lambda item: hashlib.sha256(names[item].encode()).digest())
        left = TEST_FRACTION * sum(sizes[item] for item in items)
        of_class = set()
        for item in items:
            if sizes[item] / 2 <= left:
                of_class.add(item)
                left -= sizes[item]
        if not of_class and len(items) > 1:
            of_class.add(min(items, key=sizes.__getitem__))
        chosen |= of_class
    is_test = [first(item) in chosen for item in range(len(names))]
    trained = {one for one, tested in zip(classes, is_test, strict=True) if not tested}
    untrained = sorted({*classes} - trained)
    if untrained:
        raise ValueError(
            "`marks` should leave each class an item of training. Received: marks that join all "
            f"of {untrained[0]!r} with test items"
        )
    return is_test
