"""Data sets that TensorFlow Datasets has prepared, and their undecoded records."""

from __future__ import annotations

import difflib
import os
import re
from typing import Any, NamedTuple

import numpy as np

from keras_supcon.arguments import name_some
from keras_supcon.data.downloads import why_unreachable

# Files of a split that are read at the same time where the order is shuffled; each has a buffer of
# 8 MB.
_FILES_AT_ONCE = 16
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_NAME = re.compile(r"(?P<base>\w+)(/(?P<config>[\w\-.]+))?(:(?P<version>[\d.*]+))?")
_MOST_NAMED = 5
# Data sets that the repository prepares from packages, without the downloads of TFDS.
_FROM_PACKAGES = ("fashion_mnist", "mnist", "emoji", "openclipart")


class PreparedSplit(NamedTuple):
    """A split of a data set that is on the disk, with one image and one class label per example."""

    builder: Any
    split: str
    image_path: tuple[str, ...]  # keys, one below the other
    label_path: tuple[str, ...]

    @property
    def num_examples(self) -> int:
        return self.builder.info.splits[self.split].num_examples

    @property
    def class_names(self) -> list[str]:
        return list(_value_at(self.builder.info.features, self.label_path).names)

    @property
    def bytes_per_example(self) -> int:
        """Size of a record of the split, at least 1; files of other splits need not be there."""
        splits = self.builder.info.splits
        files = set(splits[self.split].filepaths)
        whole = [part for part in splits.values() if not files.isdisjoint(part.filepaths)]
        num_bytes, num_examples = (
            sum(part.num_bytes for part in whole),
            sum(part.num_examples for part in whole),
        )
        if not all(part.num_bytes for part in whole):  # not recorded
            import tensorflow as tf

            lengths = {
                file: length
                for part in whole
                for file, length in zip(part.filepaths, part.shard_lengths, strict=True)
            }
            num_bytes = sum(tf.io.gfile.stat(os.fspath(file)).length for file in files)
            num_examples = sum(lengths[file] for file in files)
        return max(num_bytes // max(num_examples, 1), 1)

    def decode(self, encoded: Any) -> Any:
        """Decodes the bytes of an image to uint8 `(height, width, channels)`."""
        return _value_at(self.builder.info.features, self.image_path).decode_example(encoded)

    def read(
        self, *, shuffle_files: bool = False, seed: Any = None, reshuffle: bool | None = None
    ) -> Any:
        """Reads `(bytes of the image, int64 label)`, in one order unless the files are shuffled.

        Args:
            shuffle_files: Whether to take the files of the split in a random order, several at a
                time.
            seed: An integer or an int64 tensor that determines that order; None for another one
                each time.
            reshuffle: Whether each iteration has another order.
        """
        import tensorflow_datasets as tfds

        config = tfds.ReadConfig(try_autocache=False, skip_prefetch=True)
        if shuffle_files:
            config = config.replace(
                shuffle_seed=seed,
                shuffle_reshuffle_each_iteration=reshuffle,
                interleave_cycle_length=_FILES_AT_ONCE,
                # Of data sets that were written in an order, such as that of their classes.
                enable_ordering_guard=False,
            )
        decoders: Any = tfds.decode.SkipDecoding()
        for key in reversed(self.image_path):
            decoders = {key: decoders}
        examples = self.builder.as_dataset(
            split=self.split, shuffle_files=shuffle_files, decoders=decoders, read_config=config
        )
        return examples.map(
            lambda example: (
                _value_at(example, self.image_path),
                _value_at(example, self.label_path),
            )
        )


def prepared_split(
    name: str, split: str, data_dir: str | os.PathLike[str] | None, label: str | None = None
) -> PreparedSplit:
    """Opens a split of a TFDS data set, which is downloaded and prepared first if necessary.

    Raises:
        ValueError: If TFDS does not know the name or the split, the split is empty, an example
            does not have a unique image and class label, or `label` is none of its class labels.
        RuntimeError: If TFDS cannot prepare the data set, or the prepared files are damaged.
    """
    builder, data_dir = find_builder(name, data_dir)
    image_path, label_path = _find_image_and_label(builder, name, label)
    prepare(builder, name, data_dir)
    check_split(builder, name, split)
    return PreparedSplit(builder, split, image_path, label_path)


def find_builder(name: str, data_dir: str | os.PathLike[str] | None) -> tuple[Any, str | None]:
    """Returns the builder of a TFDS data set, and the checked directory.

    Raises:
        ValueError: If TFDS does not know the name, or `data_dir` is no path of a folder.
        RuntimeError: If prepared files are damaged.
    """
    if data_dir is not None:
        if not isinstance(data_dir, (str, os.PathLike)):
            raise ValueError(
                "`data_dir` should be the path of a folder or None. Received: "
                f"data_dir={data_dir!r}"
            )
        data_dir = os.path.expanduser(data_dir)
        if os.path.isfile(data_dir):
            raise ValueError(
                "`data_dir` should be the path of a folder or None. Received: "
                f"data_dir={data_dir!r}, a file"
            )
    return _find_builder(name, data_dir), data_dir


def _find_builder(name: str, data_dir: str | None) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except ImportError:
        raise
    except Exception as raised:  # anything from a typo in the name to a broken JSON file
        error = raised
    folders = _matching_folders(name, data_dir)
    for folder in folders.values():
        try:
            tfds.builder_from_directory(folder)
        except Exception as damage:
            raise RuntimeError(
                f"The prepared data set {name!r} in {os.fspath(folder)!r} cannot be read. Copy or "
                f"prepare it again. TensorFlow Datasets says: {damage}"
            ) from damage
    configs = {full_name.partition(":")[0] for full_name in folders}
    if isinstance(error, tfds.core.DatasetNotFoundError) and "/" not in name and len(configs) == 1:
        _, _, version = name.partition(":")
        return tfds.builder(f"{configs.pop()}:{version}".removesuffix(":"), data_dir=data_dir)
    if not isinstance(error, (ValueError, AssertionError, TypeError)):
        raise RuntimeError(f"TensorFlow Datasets could not look for {name!r}: {error}") from error
    says = f"TensorFlow Datasets says: {str(error).strip()}"
    if isinstance(error, tfds.core.DatasetNotFoundError):
        says = says.splitlines()[0]  # more than a thousand names follow
    elif "=" not in name and not _NAME.fullmatch(name):
        is_folder = os.path.isdir(os.path.expanduser(name))
        says = f"There is {'a' if is_folder else 'no'} folder of this name"
        says += ", which `data.load_folder` reads." if is_folder else " either."
    raise ValueError(
        "`name` should be 'digits', a data set prepared in `data_dir`, or an image-classification "
        "data set that TensorFlow Datasets knows. Received: "
        f"name={name!r}.{_similar_names(name)}{_hint(name, data_dir)} {says}"
    ) from error


def prepare(builder: Any, name: str, data_dir: str | None) -> None:
    """Downloads and prepares a data set that is not there yet.

    Raises:
        RuntimeError: If TFDS cannot prepare it, or a prepared one is not complete.
    """
    if builder.data_path.exists():
        if not builder.is_prepared():
            raise RuntimeError(
                f"The prepared data set {name!r} in {builder.data_dir!r} is not complete: there is "
                "no dataset_info.json. Copy it again, or remove the folder to prepare it again."
            )
        return
    where = f"The data set {name!r} is not in {builder.data_dir!r}"
    unreachable = why_unreachable(builder)
    if unreachable:
        raise RuntimeError(
            f"{where}, and {unreachable} to download it. Prepare it where there is a network and "
            "copy the folder there, or give the folder that holds it as `data_dir`. Received: "
            f"data_dir={data_dir!r}.{_hint(name, data_dir)}"
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # whatever network, disk or parser went wrong below
        raise RuntimeError(
            f"{where} and TensorFlow Datasets could not prepare it.{_hint(name, data_dir)} "
            f"TensorFlow Datasets says: {error}"
        ) from error


def check_split(builder: Any, name: str, split: str) -> None:
    """Checks that a data set has a split with at least one example.

    Raises:
        ValueError: If it has not.
    """
    try:
        info = builder.info.splits[split]
    except (KeyError, ValueError, AssertionError, TypeError) as error:
        raise ValueError(
            f"`split` of {name!r} should be one of {tuple(builder.info.splits)} or a slice of "
            f"them. Received: split={split!r}"
        ) from error
    if info.num_examples < 1:
        raise ValueError(
            f"`split` of {name!r} should hold at least one example. Received: split={split!r}"
        )
    missing = sorted(set(info.filenames) - {file.name for file in builder.data_path.iterdir()})
    if missing:
        raise RuntimeError(
            f"The prepared data set {name!r} in {builder.data_dir!r} is not complete: of "
            f"split={split!r} there is no {name_some(missing, _MOST_NAMED)}. Copy or prepare it "
            "anew."
        )


def _find_image_and_label(
    builder: Any, name: str, label: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Finds the keys of the image and the class label of an example.

    They are the supervised keys of TFDS, or else those of the only image and the only class label.
    `label` takes the place of the key of the label.
    """
    import tensorflow_datasets as tfds

    leaves = _leaves(builder.info.features)
    images = [
        path
        for path, feature in leaves.items()
        if isinstance(feature, tfds.features.Image)
        and not isinstance(feature, tfds.features.LabeledImage)  # a mask
        and feature.np_dtype == np.uint8
        and len(feature.shape) == 3
    ]
    labels = [
        path
        for path, feature in leaves.items()
        if isinstance(feature, tfds.features.ClassLabel) and feature.num_classes is not None
    ]
    named = {"/".join(path): path for path in labels}
    if label is not None and label not in named:
        raise ValueError(
            f"`label` should be None or a class label of {name!r}, one of {tuple(named)}. "
            f"Received: label={label!r}"
        )
    keys = builder.info.supervised_keys
    if keys is not None and len(keys) == 2 and (keys[0],) in images and (keys[1],) in labels:
        images, labels = [(keys[0],)], [(keys[1],)]
    if label is not None:
        labels = [named[label]]
    if len(images) == 1 and len(labels) == 1:
        return images[0], labels[0]
    raise ValueError(
        "`name` should be a data set of images with one class label each: with one uint8 image and "
        "one class label among its features, or `supervised_keys` that name them; of several class "
        f"labels, `label` chooses one. Received: name={name!r}, with the images "
        f"{['/'.join(path) for path in images]}, the class labels {list(named)}, label={label!r}, "
        f"supervised_keys={keys} and {builder.info.features}"
    )


def _leaves(features: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Lists the features of an example by their keys; a list of features counts as one."""
    import tensorflow_datasets as tfds

    if not isinstance(features, tfds.features.FeaturesDict):
        return {path: features} if path else {}
    return {
        key: leaf
        for name, below in sorted(features.items())
        for key, leaf in _leaves(below, (*path, name)).items()
    }


def _value_at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _folders(name: str, data_dir: str | None) -> dict[str, Any]:
    """Lists the folders that look like versions of this data set, by the names that load them."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.utils import file_utils

    parts = _NAME.match(name)
    folders = {}
    for root in file_utils.list_data_dirs(given_data_dir=data_dir):
        above = tfds.core.Path(root) / parts["base"] if parts else None
        try:
            below = sorted(folder for folder in above.iterdir() if folder.is_dir()) if above else []
            for folder in below:
                if _is_version(folder):
                    folders[f"{parts['base']}:{folder.name}"] = folder
                else:
                    versions = sorted(
                        version for version in folder.iterdir() if _is_version(version)
                    )
                    folders |= {
                        f"{parts['base']}/{folder.name}:{version.name}": version
                        for version in versions
                    }
        except (OSError, ValueError):
            continue
    return folders


def _is_version(folder: Any) -> bool:
    marks = ("dataset_info.json", "features.json")
    return bool(_VERSION.fullmatch(folder.name)) and any((folder / mark).exists() for mark in marks)


def _matching_folders(name: str, data_dir: str | None) -> dict[str, Any]:
    """Selects the folders that the name could mean."""
    parts = _NAME.fullmatch(name)
    if not parts:
        return {}
    version = re.escape(parts["version"] or "*.*.*").replace(r"\*", r"\d+")
    config = re.escape("/" + parts["config"]) if parts["config"] else "(/[^:]*)?"
    pattern = re.compile(f"{parts['base']}{config}:{version}")
    return {
        full_name: folder
        for full_name, folder in _folders(name, data_dir).items()
        if pattern.fullmatch(full_name)
    }


def _similar_names(name: str) -> str:
    import tensorflow_datasets as tfds

    folder_style = re.fullmatch(rf"(.+)/({_VERSION.pattern})", name)
    if folder_style:
        return f" Did you mean '{folder_style[1]}:{folder_style[2]}'?"
    known = ["digits", *_FROM_PACKAGES, *tfds.list_builders(with_community_datasets=False)]
    similar = [other for other in difflib.get_close_matches(name, known, n=3) if other != name]
    return f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""


def _hint(name: str, data_dir: str | None) -> str:
    """Names the data sets that are on the disk instead, or the command that prepares this one."""
    import tensorflow_datasets as tfds

    prepared = list(_folders(name, data_dir))
    if prepared:
        return f" Prepared are: {', '.join(map(repr, prepared[-_MOST_NAMED:]))}."
    if data_dir is not None:
        try:
            root = tfds.core.Path(data_dir)
            if _is_version(root) or (root.exists() and any(map(_is_version, root.iterdir()))):
                return (
                    " `data_dir` looks like the folder of one data set; it should be the folder "
                    "that holds those of all."
                )
        except OSError:
            pass
    if re.split("[/:]", name, maxsplit=1)[0] in _FROM_PACKAGES:
        return (
            " `make datasets`, in the repository of keras_supcon, prepares it from packages in "
            "build/tfds."
        )
    return ""
