"""Writes the emoji of three designers as a TensorFlow Datasets data set, without network.

`make emoji` fetches the three npm packages, with digests, and calls this program:

    python tools/prepare_emoji.py --source_dir=build/npm --data_dir=build/tfds

The labels of an image are its emoji, its subgroup and group in Unicode's list, its designer and its
skin tone. The configurations are `balanced` (no skin tones), `by_designer` (the same images, with
splits such as `train_google`) and `full`. An emoji is in one split, with all its designs and skin
tones, and so are the emoji that look like it.
"""

import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import app
from choose_test_images import choose_test
from data_set_flags import DATA_DIR, SOURCE_DIR
from near_copies import near_pairs
from small_images import SIDE, read_small
from tfds_folder import Content, Split, folder_of, is_written, write

DEFAULT_SOURCE_DIR = "build/npm"

NAME, VERSION = "emoji", "1.0.0"
PACKAGES = {
    "google": "emoji-datasource-google-16.0.0",
    "twitter": "emoji-datasource-twitter-16.0.0",
    "fluent": "lobehub-fluent-emoji-3d-1.1.0",
}
CONFIGS = ("balanced", "by_designer", "full")
# Five patches of skin color.
_OMITTED_GROUP = "Component"
# Fluent has none: the package fills the gap with the waving flags of Noto, Google's design.
_FLAGS_OF_OTHERS = ("country-flag", "subdivision-flag")
_SKIN_TONES = {
    "1f3fb": "light",
    "1f3fc": "medium-light",
    "1f3fd": "medium",
    "1f3fe": "medium-dark",
    "1f3ff": "dark",
}
SKIN_TONES = ("none", *_SKIN_TONES.values(), "several")
_WOMAN_MAN_PERSON = re.compile(r"\b(1f468|1f469|1f9d1)\b")
_GIRL_BOY_CHILD = re.compile(r"\b(1f466|1f467|1f9d2)\b")
# Signs of woman and man, the arrow of "facing right", and what has no picture.
_SIGNS = re.compile(r"-(2640|2642|27a1|fe0f|200d)\b")
_SHA256 = {
    "balanced": "150e02331c75e9e9fe03348bab36f0aec96eb188c44ec03b27caa03b11b23b03",
    "by_designer": "9744929f6f93ddcad306874b6da83384d55a6424f1b771c5f75d4c71c4a0d55b",
    "full": "fa117e5a11ce95f2e4a510e47a705af3ab8e940ab7f6a5f54b64c6d55f39d801",
}


class Emoji(NamedTuple):
    """An emoji of Unicode's list, in all skin tones."""

    codepoints: str  # as in "1f600"
    name: str
    group: str
    subgroup: str
    files: dict[tuple[str, str], pathlib.Path]  # by designer and codepoints, skin tones included


def read_emoji(source_dir: str | pathlib.Path) -> list[Emoji]:
    """Reads the list of emoji, in the order of Unicode, with the files of each.

    Raises:
        FileNotFoundError: If a package is not there.
        ValueError: If a file of the list is missing.
    """
    folders = {designer: pathlib.Path(source_dir, name) for designer, name in PACKAGES.items()}
    for folder in folders.values():
        if not folder.is_dir():
            raise FileNotFoundError(
                f"`source_dir` should hold {folder.name}, which `make emoji` fetches. Received: "
                f"source_dir={str(source_dir)!r}"
            )
    fluent = {file.stem: file for file in folders["fluent"].glob("assets/*")}
    entries = json.loads((folders["google"] / "emoji.json").read_text(encoding="utf-8"))
    found = []
    for entry in sorted(entries, key=lambda entry: (entry["sort_order"], entry["unified"])):
        if entry["category"] == _OMITTED_GROUP:
            continue
        files = {}
        for variant in (entry, *entry.get("skin_variations", {}).values()):
            codepoints = variant["unified"].lower()
            for designer in ("google", "twitter"):
                if variant[f"has_img_{designer}"]:
                    files[designer, codepoints] = (
                        folders[designer] / "img" / designer / "64" / variant["image"]
                    )
            names = (codepoints, (variant["non_qualified"] or "").lower())
            file = next((fluent[name] for name in names if name in fluent), None)
            if file is not None and entry["subcategory"] not in _FLAGS_OF_OTHERS:
                files["fluent", codepoints] = file
        missing = [str(file) for file in files.values() if not file.is_file()]
        if missing:
            raise ValueError(
                f"`source_dir` should hold the pictures of its list. Received: no {missing[0]}"
            )
        found.append(
            Emoji(
                entry["unified"].lower(),
                entry["name"],
                entry["category"],
                entry["subcategory"],
                files,
            )
        )
    return found


def kind(codepoints: str) -> str:
    """Returns the same text for the woman, the man and the person of an emoji, in any direction.

    So "woman running" and "man running facing right" are of the kind of "person running", and all
    families of two adults and a child are of one kind.
    """
    codepoints = _SIGNS.sub("", codepoints)
    return _GIRL_BOY_CHILD.sub("child", _WOMAN_MAN_PERSON.sub("adult", codepoints))


def choose_test_emoji(
    emoji: Sequence[Emoji], images: Sequence[Mapping[Any, np.ndarray]]
) -> set[str]:
    """Chooses the emoji of the test split, about a fifth of each subgroup.

    Emoji of one kind, and emoji with nearly the same image, are together in one split.
    """
    marks: list[set] = [{kind(one.codepoints)} for one in emoji]
    owners = [index for index, of_one in enumerate(images) for _ in of_one]
    for pair in near_pairs(np.stack([image for of_one in images for image in of_one.values()])):
        for image in pair:
            marks[owners[image]].add(pair)
    in_test = choose_test([one.codepoints for one in emoji], [one.subgroup for one in emoji], marks)
    return {one.codepoints for one, is_test in zip(emoji, in_test, strict=True) if is_test}


def skin_tone(codepoints: str) -> str:
    """Returns the name of the skin tone of the codepoints of an image."""
    tones = {name for tone, name in _SKIN_TONES.items() if tone in codepoints.split("-")}
    return "none" if not tones else tones.pop() if len(tones) == 1 else "several"


def read_contents(source_dir: str | pathlib.Path) -> Iterator[Content]:
    """Yields the configurations of the data set.

    Raises:
        FileNotFoundError: If a package is not there.
        ValueError: If a picture is missing or cannot be decoded.
    """
    emoji = read_emoji(source_dir)
    images = [{key: read_small(file) for key, file in one.files.items()} for one in emoji]
    in_test = choose_test_emoji(emoji, images)
    examples: dict[str, dict[str, dict[str, Any]]] = {"train": {}, "test": {}}
    for one, of_one in zip(emoji, images, strict=True):
        for (designer, codepoints), image in of_one.items():
            split = "test" if one.codepoints in in_test else "train"
            examples[split][f"{codepoints}/{designer}"] = {
                "image": image,
                "emoji": one.codepoints,
                "name": one.name,
                "group": one.group,
                "subgroup": one.subgroup,
                "designer": designer,
                "skin_tone": skin_tone(codepoints),
            }
    license_text = read_licenses(source_dir)
    for config in CONFIGS:
        yield Content(
            name=NAME,
            config=config,
            version=VERSION,
            features=_features(emoji),
            supervised_keys=("image", "subgroup"),
            splits=dict(_splits(config, examples)),
            description=_DESCRIPTIONS[config],
            homepage="https://github.com/iamcal/emoji-data",
            license=license_text,
            sha256=_SHA256[config],
        )


def _splits(config: str, examples: dict[str, Split]) -> Iterator[tuple[str, Split]]:
    for split, of_split in examples.items():
        kept = {
            key: example
            for key, example in of_split.items()
            if config == "full" or example["skin_tone"] == "none"
        }
        if config != "by_designer":
            yield split, kept
            continue
        for designer in PACKAGES:
            yield (
                f"{split}_{designer}",
                {key: example for key, example in kept.items() if example["designer"] == designer},
            )


def _features(emoji: Sequence[Emoji]) -> tfds.features.FeaturesDict:
    def label(names: Sequence[str]) -> tfds.features.ClassLabel:
        return tfds.features.ClassLabel(names=list(dict.fromkeys(names)))

    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="png"),
            "emoji": label([one.codepoints for one in emoji]),
            "name": tfds.features.Text(),
            "group": label([one.group for one in emoji]),
            "subgroup": label([one.subgroup for one in emoji]),
            "designer": label(list(PACKAGES)),
            "skin_tone": label(SKIN_TONES),
        }
    )


_DESCRIPTIONS = {
    "balanced": "Emoji of three designers, without skin tones.",
    "by_designer": "Emoji of three designers, without skin tones, with splits for each designer.",
    "full": "Emoji of three designers, in all skin tones.",
}
_LICENSES = """\
The pictures were drawn on white and made smaller: 32x32 pixels.

google: Noto Emoji, by Google. Apache License 2.0,
https://www.apache.org/licenses/LICENSE-2.0
twitter: Twemoji, copyright Twitter, Inc. and other contributors. CC BY 4.0,
https://creativecommons.org/licenses/by/4.0/
fluent: Fluent Emoji, by Microsoft, packed by LobeHub. MIT.

The text of the last, which the package names and does not hold:

MIT License

Copyright (c) Microsoft Corporation.
Copyright (c) 2023 LobeHub

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.

What the packages say:"""
# The license of this repository is the one of Noto.
_APACHE = pathlib.Path(__file__).parent.parent / "LICENSE"


def read_licenses(source_dir: str | pathlib.Path) -> str:
    """Returns the licenses, with what the packages say of them."""
    parts = [_LICENSES]
    for name in PACKAGES.values():
        folder = pathlib.Path(source_dir, name)
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        parts.append(f"{package['name']} {package['version']}: license {package['license']}")
        readme = (folder / "README.md").read_text(encoding="utf-8").splitlines()
        said = [line for line in readme if re.search("licens|©", line, re.I)]
        parts.append("\n".join(line for line in said if not line.startswith("[")))  # no badges
        if (folder / "LICENSE").is_file():
            parts.append((folder / "LICENSE").read_text(encoding="utf-8").strip())
    parts.append(f"The license of Noto Emoji:\n\n{_APACHE.read_text(encoding='utf-8').rstrip()}")
    return "\n\n".join(parts) + "\n"


def prepare(source_dir: str | pathlib.Path, data_dir: str | pathlib.Path) -> list[pathlib.Path]:
    """Writes all configurations and returns their folders; what is already there is left as it is.

    Raises:
        FileExistsError: If there is a folder without a complete data set.
        FileNotFoundError: If a package is not there; nothing is written then.
        ValueError: If a picture is missing or cannot be decoded.
    """
    folders = [folder_of(data_dir, NAME, VERSION, config) for config in CONFIGS]
    missing = [folder for folder in folders if not is_written(folder)]
    if not missing:
        return folders
    return [write(content, data_dir) for content in read_contents(source_dir)]


def main(argv: list[str]) -> None:
    del argv
    for folder in prepare(SOURCE_DIR.value or DEFAULT_SOURCE_DIR, DATA_DIR.value):
        print(folder)


if __name__ == "__main__":
    app.run(main)
