"""A buffer of earlier samples, for learning one task after the other."""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from typing import Any, Literal

import numpy as np

from keras_supcon.arguments import check_choice, check_whole_number
from keras_supcon.data.class_ids import check_labeled_images
from keras_supcon.files import whole_file
from keras_supcon.seeds import check_seed, derive_seed, random_generator

STRATEGIES = ("class_balanced", "reservoir")


class ReplayBuffer:
    """Keeps a few of the samples that it has seen.

    Both strategies see each sample once and need no later look at it.

    - `"class_balanced"` keeps the same number of each class that it has seen. The slots that remain
      go to one class each, in an order that the seed draws when a class is new. A class with fewer
      samples than that keeps all, and the other classes share the slots. Within a class, each
      sample seen so far is kept with the same probability: classes are thinned out at random as
      others come.
    - `"reservoir"` keeps each sample seen so far with the same probability, whatever its class.

    What is kept depends on the seed and on the samples in their order. It does not depend on how
    they are spread over the calls of `add`.

    Args:
        size: Largest number of samples, at least 1.
        strategy: `"class_balanced"` or `"reservoir"`.
        seed: Whole number that determines what is kept.

    Attributes:
        images: The kept samples `(kept, ...)`, in no order that matters.
        labels: Their class ids, int64 `(kept,)`.
        classes: Class ids that were seen, in ascending order.
        num_seen: Number of samples that were seen.

    Raises:
        ValueError: If an argument is of the wrong kind or out of its range.

    Reference:
        Cha et al., Co2L: Contrastive Continual Learning, ICCV 2021, section 5; Vitter, Random
        Sampling with a Reservoir, ACM Transactions on Mathematical Software, 1985, algorithm R.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.data import ReplayBuffer
    >>> buffer = ReplayBuffer(size=6)
    >>> buffer.add(np.zeros((100, 8, 8, 1), "uint8"), np.arange(100) % 2)
    >>> np.unique(buffer.labels, return_counts=True)[1].tolist()
    [3, 3]
    >>> buffer.add(np.ones((50, 8, 8, 1), "uint8"), np.full(50, 2))
    >>> np.unique(buffer.labels, return_counts=True)[1].tolist()
    [2, 2, 2]
    >>> buffer.images.shape, len(buffer), buffer.num_seen
    ((6, 8, 8, 1), 6, 150)
    """

    def __init__(
        self,
        size: int,
        strategy: Literal["class_balanced", "reservoir"] = "class_balanced",
        seed: int = 0,
    ) -> None:
        self.size = check_whole_number("size", size, at_least=1)
        self.strategy = check_choice("strategy", strategy, STRATEGIES)
        self.seed = check_seed(seed)
        self.num_seen, self.classes = 0, ()
        self._images: np.ndarray | None = None
        self._labels, self._keys = np.zeros(0, "int64"), np.zeros(0)
        self._generator = random_generator(self.seed)

    @property
    def images(self) -> np.ndarray:
        if self._images is None:
            raise ValueError("The buffer should have seen samples first. Received: none by `add`")
        return self._images

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return (
            f"<ReplayBuffer {self.strategy}, {len(self)} of {self.size} slots, "
            f"{len(self.classes)} classes>"
        )

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Shows the buffer new samples, of which it keeps some.

        Args:
            images: Samples `(n, ...)`, all of one shape and dtype.
            labels: Class ids `(n,)`, whole numbers of at least 0.

        Raises:
            ValueError: If lengths differ, labels are no such ids, samples are not of the shape and
                dtype of those before, or a class-balanced buffer has fewer slots than there are
                classes. Nothing is added then.
        """
        images, labels = check_labeled_images(images, labels)
        earlier = images[:0] if self._images is None else self._images
        if (images.shape[1:], images.dtype) != (earlier.shape[1:], earlier.dtype):
            raise ValueError(
                f"`images` should be of shape (n, {', '.join(map(str, earlier.shape[1:]))}) and "
                f"dtype {earlier.dtype}, as those before. Received: images.shape={images.shape}, "
                f"images.dtype={images.dtype}"
            )
        classes = tuple(sorted({*self.classes, *np.unique(labels).tolist()}))
        if self.strategy == "class_balanced" and len(classes) > self.size:
            raise ValueError(
                "`size` of a class-balanced buffer should be at least the number of classes that "
                f"it has seen, {len(classes)}. Received: size={self.size}"
            )
        keys = self._generator.random(len(labels))
        every_label = np.concatenate([self._labels, labels])
        every_key = np.concatenate([self._keys, keys])
        if self.strategy == "class_balanced":
            kept = self._kept_per_class(every_label, every_key)
        else:
            kept = self._kept_in_reservoir(keys)
        is_new = kept >= len(self)
        chosen = np.empty((len(kept), *images.shape[1:]), images.dtype)
        chosen[~is_new] = earlier[kept[~is_new]]
        chosen[is_new] = images[kept[is_new] - len(self)]
        self._images, self._labels, self._keys = chosen, every_label[kept], every_key[kept]
        self.num_seen, self.classes = self.num_seen + len(labels), classes

    def _kept_per_class(self, labels: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Returns which samples are kept: those with the smallest random keys of each class.

        Classes take turns until all slots are filled. A class takes its turn no sooner when others
        have more samples: what was dropped is never missed.
        """
        rounds = np.empty(len(labels), int)
        turns = np.empty(len(labels), int)
        for one in np.unique(labels):
            members = np.flatnonzero(labels == one)
            rounds[members[np.argsort(keys[members], kind="stable")]] = np.arange(len(members))
            turns[members] = derive_seed(self.seed, "turn", int(one))
        return np.sort(np.lexsort((labels, turns, rounds))[: self.size])

    def _kept_in_reservoir(self, keys: np.ndarray) -> np.ndarray:
        """Returns which sample is in each slot, by algorithm R."""
        places = self.num_seen + np.arange(len(keys))  # of all that were seen
        slots = np.where(places < self.size, places, (keys * (places + 1)).astype(int))
        kept = np.arange(min(self.size, self.num_seen + len(keys)))
        enters = slots < self.size
        kept[slots[enters]] = len(self) + np.flatnonzero(enters)  # the last one of a slot stays
        return kept

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the buffer and the state of its random numbers to a file, whole or not at all.

        Args:
            path: The file, such as `buffer.npz`.

        Raises:
            OSError: If it cannot be written.
        """
        state = {
            "size": self.size,
            "strategy": self.strategy,
            "seed": self.seed,
            "num_seen": self.num_seen,
            "classes": self.classes,
            "generator": self._generator.bit_generator.state,
        }
        arrays = {"labels": self._labels, "keys": self._keys}
        if self._images is not None:
            arrays["images"] = self._images
        with whole_file(pathlib.Path(path)) as unfinished, unfinished.open("wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ReplayBuffer:
        """Reads a buffer that `save` wrote. It goes on as the saved one would have.

        Args:
            path: The file.

        Returns:
            The buffer.

        Raises:
            OSError: If the file cannot be read.
            RuntimeError: If it is damaged, or no buffer.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            return cls._of_arrays(arrays)
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise RuntimeError(
                f"{os.fspath(path)!r} should be a buffer that `ReplayBuffer.save` wrote. It is "
                f"damaged, or another file ({error})"
            ) from error

    @classmethod
    def _of_arrays(cls, arrays: dict[str, Any]) -> ReplayBuffer:
        state = json.loads(str(arrays["state"]))
        buffer = cls(state["size"], state["strategy"], state["seed"])
        buffer.num_seen, buffer.classes = state["num_seen"], tuple(state["classes"])
        buffer._generator.bit_generator.state = state["generator"]
        buffer._images = arrays.get("images")
        buffer._labels, buffer._keys = arrays["labels"], arrays["keys"]
        images = 0 if buffer._images is None else len(buffer._images)
        lengths = {images, len(buffer._labels), len(buffer._keys)}
        if len(lengths) > 1 or images > buffer.size:
            raise ValueError(f"its parts have {sorted(lengths)} samples, of size {buffer.size}")
        return buffer
