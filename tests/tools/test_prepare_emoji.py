"""The emoji of three designers as a data set."""

import collections
import shutil

import numpy as np
import pytest

from keras_supcon import data
from tests.tools import emoji_packages as packages

tfds = pytest.importorskip("tensorflow_datasets")

import prepare_emoji  # noqa: E402
from near_copies import near_pairs  # noqa: E402
from tfds_folder import digest, write  # noqa: E402


@pytest.fixture(scope="module")
def source_dir(tmp_path_factory):
    return packages.write_packages(tmp_path_factory.mktemp("npm"))


@pytest.fixture(scope="module")
def contents(source_dir) -> dict:
    return {content.config: content for content in prepare_emoji.read_contents(source_dir)}


def examples(content) -> list[dict]:
    return [
        example | {"split": split}
        for split, of_split in content.splits.items()
        for example in of_split.values()
    ]


def test_every_emoji_has_the_designs_of_all_who_drew_it(contents):
    designs = collections.defaultdict(set)
    for example in examples(contents["balanced"]):
        designs[example["emoji"]].add(example["designer"])
    expected = {
        one["unified"].lower(): {"google", "twitter", "fluent"}
        for one in packages.entries()
        if one["category"] != "Component"
    }
    for codepoints in (packages.WITHOUT_FLUENT, packages.FLAG, "1F1E6-1F1EA"):
        expected[codepoints.lower()] -= {"fluent"}
    assert designs == expected


def test_the_full_configuration_adds_the_skin_tones(contents):
    counts = collections.Counter(
        (example["emoji"], example["skin_tone"])
        for example in examples(contents["full"])
        if example["designer"] == "google"
    )
    assert (
        counts["1f44b", "none"] == counts["1f44b", "light"] == counts["1f44b", "medium-light"] == 1
    )
    assert counts["1f600", "light"] == 0
    assert {example["skin_tone"] for example in examples(contents["balanced"])} == {"none"}
    kept = [one for one in examples(contents["full"]) if one["skin_tone"] == "none"]
    assert len(kept) == len(examples(contents["balanced"]))
    assert prepare_emoji.skin_tone("1f9d1-1f3fb-200d-1f9d1-1f3ff") == "several"
    assert prepare_emoji.skin_tone("1f9d1-1f3fb-200d-1f9d1-1f3fb") == "light"


@pytest.mark.parametrize("config", prepare_emoji.CONFIGS)
def test_no_emoji_is_in_two_splits(contents, config):
    splits = collections.defaultdict(set)
    for example in examples(contents[config]):
        splits[example["emoji"]].add(example["split"].partition("_")[0])
    assert {len(of_emoji) for of_emoji in splits.values()} == {1}
    in_test = {emoji for emoji, of_emoji in splits.items() if of_emoji == {"test"}}
    assert 0.1 < len(in_test) / len(splits) < 0.4
    others = {one["emoji"] for one in contents["full"].splits["test"].values()}
    assert in_test == others  # whatever the configuration


def test_emoji_that_look_alike_are_in_one_split(contents):
    in_test = {one["emoji"] for one in contents["full"].splits["test"].values()}
    for alike in (packages.RUNNERS, packages.COOKS, packages.ALIKE):
        assert len({codepoints.lower() in in_test for codepoints in alike}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1f3c3", "1f3c3-200d-2640-fe0f-200d-27a1-fe0f"),
        ("1f468-200d-1f4bb", "1f9d1-200d-1f4bb"),
        ("1f468-200d-1f469-200d-1f466", "1f469-200d-1f469-200d-1f467"),
        ("1f468", "1f9d1"),
    ],
)
def test_woman_man_and_person_are_of_one_kind(one, other):
    assert prepare_emoji.kind(one) == prepare_emoji.kind(other)
    assert prepare_emoji.kind(one) != prepare_emoji.kind("1f468-200d-1f373")


def test_the_splits_of_the_designers_are_those_of_all(contents):
    by_designer, balanced = contents["by_designer"].splits, contents["balanced"].splits
    assert set(by_designer) == {
        f"{split}_{designer}"
        for split in ("train", "test")
        for designer in ("google", "twitter", "fluent")
    }
    for split, of_split in balanced.items():
        parts = [by_designer[f"{split}_{designer}"] for designer in prepare_emoji.PACKAGES]
        assert {key for part in parts for key in part} == set(of_split)
    assert {one["designer"] for one in by_designer["train_fluent"].values()} == {"fluent"}


def test_the_frame_is_white_and_the_colors_are_those_of_the_file(contents, source_dir):
    from PIL import Image

    image = contents["balanced"].splits["train"]["1f602/google"]["image"]
    file = source_dir / "emoji-datasource-google-16.0.0/img/google/64/1f602.png"
    assert (image[[0, -1]] == 255).all()
    drawn = np.asarray(Image.open(file).convert("RGB"))[12::8, 12::8]
    np.testing.assert_allclose(image[6:28:4, 6:28:4][:5, :5], drawn[:5, :5], atol=40)


def test_it_is_read_by_name_with_any_of_its_labels(tmp_path, contents):
    for content in contents.values():
        folder = write(content, tmp_path)
        for name in (
            "Noto Emoji",
            "CC BY 4.0",
            "The MIT License (MIT)",
            "* Images are licensed so.",
            "Copyright (c) Microsoft Corporation.",
            "Permission is hereby granted, free of charge",
            "END OF TERMS AND CONDITIONS",
        ):
            assert name in (folder / "LICENSE").read_text()
    train = contents["balanced"].splits["train"]
    for label in (None, "subgroup", "group", "emoji", "designer"):
        names = data.load("emoji/balanced", "train", 1, data_dir=tmp_path, label=label).class_names
        images, labels = data.load_arrays("emoji/balanced", "train", tmp_path, label=label)
        found = [(image.tobytes(), names[i]) for image, i in zip(images, labels, strict=True)]
        assert sorted(found) == sorted(
            (one["image"].tobytes(), one[label or "subgroup"]) for one in train.values()
        )
    splits = "train_google+train_twitter"
    _, designers = data.load_arrays("emoji/by_designer", splits, tmp_path, label="designer")
    assert set(designers) == {0, 1}


def test_the_order_of_classes_is_that_of_the_list(contents):
    features = contents["full"].features
    assert features["emoji"].names[:12] == [face.lower() for face in packages.FACES]
    assert features["group"].names == [
        "Smileys & Emotion",
        "People & Body",
        "Animals & Nature",
        "Symbols",
        "Flags",
    ]


def test_a_missing_package_or_picture_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="emoji-datasource-google-16.0.0, which `make emoji`"
    ):
        next(prepare_emoji.read_contents(tmp_path))
    source_dir = packages.write_packages(tmp_path)
    (source_dir / "emoji-datasource-twitter-16.0.0/img/twitter/64/1f600.png").unlink()
    with pytest.raises(ValueError, match=r"pictures of its list. Received: no .*1f600.png"):
        next(prepare_emoji.read_contents(source_dir))


def test_the_same_packages_give_the_same_data_set(contents, tmp_path):
    again = prepare_emoji.read_contents(packages.write_packages(tmp_path))
    assert {content.config: digest(content.splits) for content in again} == {
        config: digest(content.splits) for config, content in contents.items()
    }


def test_what_is_there_is_not_read_again(source_dir, tmp_path):
    folders = prepare_emoji.prepare(source_dir, tmp_path)
    assert [folder.parts[-2] for folder in folders] == [*prepare_emoji.CONFIGS]
    assert prepare_emoji.prepare(tmp_path / "no packages", tmp_path) == folders
    for folder in folders[::2]:
        shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="which `make emoji` fetches"):
        prepare_emoji.prepare(tmp_path / "no packages", tmp_path)
    folders[-1].mkdir()
    with pytest.raises(FileExistsError, match="should be complete or absent"):
        prepare_emoji.prepare(tmp_path / "no packages", tmp_path)


@pytest.mark.slow
def test_the_real_emoji_have_the_documented_sizes(real):
    data_dir = real("emoji")
    expected = {"full": (8609, 2080), "balanced": (4329, 1090)}
    for config, sizes in expected.items():
        info = tfds.builder(f"emoji/{config}", data_dir=data_dir).info
        assert tuple(info.splits[split].num_examples for split in ("train", "test")) == sizes
        assert [info.features[key].num_classes for key in ("emoji", "subgroup", "group")] == [
            1906,
            98,
            9,
        ]
    info = tfds.builder("emoji/by_designer", data_dir=data_dir).info
    assert sum(split.num_examples for split in info.splits.values()) == 4329 + 1090


@pytest.mark.slow
def test_the_real_emoji_have_no_near_copies_in_the_other_split(real):
    data_dir = real("emoji")
    read = {
        (split, label): data.load_arrays("emoji/balanced", split, data_dir, label=label)
        for split in ("train", "test")
        for label in ("emoji", "subgroup")
    }
    (train, train_emoji), (test, test_emoji) = read["train", "emoji"], read["test", "emoji"]
    assert not set(train_emoji) & set(test_emoji)
    copies = [
        (one, other)
        for one, other in near_pairs(np.concatenate([train, test]))
        if one < len(train) <= other
    ]
    assert copies == []
    subgroups = np.bincount(read["test", "subgroup"][1], minlength=98)
    assert (subgroups == 0).sum() == 1  # of which there is one emoji
