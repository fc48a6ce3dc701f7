"""Packages of emoji as npm has them, with few and random pictures."""

import json
import pathlib

import numpy as np
from PIL import Image

TONES = ("1F3FB", "1F3FC")
COMPONENT = "1F3FB"
FLAG = "1F1E6-1F1E9"  # fluent's package has a picture that is not fluent's
WITHOUT_FLUENT = "1F602"
RUNNERS = ("1F3C3", "1F3C3-200D-2642-FE0F", "1F3C3-200D-2640-FE0F-200D-27A1-FE0F")
COOKS = ("1F9D1-200D-1F373", "1F468-200D-1F373", "1F469-200D-1F373")
ALIKE = ("1F431", "1F63A")  # of which google made one image
FACES = tuple(f"{0x1F600 + number:X}" for number in range(12))
SQUARE = "2B1B-FE0F"  # fluent's file has the name without FE0F


def entry(codepoints: str, group: str, subgroup: str, number: int, tones: bool = False) -> dict:
    def picture(unified: str) -> dict:
        return {
            "unified": unified,
            "non_qualified": unified.removesuffix("-FE0F") if "-FE0F" in unified else None,
            "image": f"{unified.lower()}.png",
            "has_img_google": True,
            "has_img_twitter": True,
        }

    first, *others = codepoints.split("-")
    variants = {tone: picture("-".join((first, tone, *others))) for tone in TONES if tones}
    return picture(codepoints) | {
        "name": f"NAME OF {codepoints}",
        "category": group,
        "subcategory": subgroup,
        "sort_order": number,
        "skin_variations": variants,
    }


def entries() -> list[dict]:
    rows = [
        *((face, "Smileys & Emotion", "face-smiling", False) for face in FACES),
        *((one, "People & Body", "person-activity", True) for one in (*RUNNERS, *COOKS)),
        ("1F44B", "People & Body", "hand", True),
        (COMPONENT, "Component", "skin-tone", False),
        (ALIKE[0], "Animals & Nature", "animal-mammal", False),
        ("1F436", "Animals & Nature", "animal-mammal", False),
        (ALIKE[1], "Smileys & Emotion", "cat-face", False),
        ("1F639", "Smileys & Emotion", "cat-face", False),
        (SQUARE, "Symbols", "geometric", False),
        ("2B1C-FE0F", "Symbols", "geometric", False),
        (FLAG, "Flags", "country-flag", False),
        ("1F1E6-1F1EA", "Flags", "country-flag", False),
    ]
    made = [
        entry(codepoints, group, subgroup, number, tones)
        for number, (codepoints, group, subgroup, tones) in enumerate(rows)
    ]
    return made[::-1]  # their order is that of `sort_order`


def write_packages(folder: pathlib.Path) -> pathlib.Path:
    """Writes the three packages into a folder and returns it."""
    rng = np.random.default_rng(0)
    fluent = folder / "lobehub-fluent-emoji-3d-1.1.0"
    for designer in ("google", "twitter"):
        package = folder / f"emoji-datasource-{designer}-16.0.0"
        pictures = package / "img" / designer / "64"
        pictures.mkdir(parents=True)
        _describe(package, f"emoji-datasource-{designer}", "* Images are licensed so.")
        (package / "LICENSE").write_text("The MIT License (MIT)")
        (package / "emoji.json").write_text(json.dumps(entries()))
        for one in entries():
            for variant in (one, *one["skin_variations"].values()):
                _draw(rng, pictures / variant["image"])
    google = folder / "emoji-datasource-google-16.0.0" / "img" / "google" / "64"
    (google / f"{ALIKE[1]}.png".lower()).write_bytes(
        (google / f"{ALIKE[0]}.png".lower()).read_bytes()
    )
    (fluent / "assets").mkdir(parents=True)
    _describe(fluent, "@lobehub/fluent-emoji-3d", "This project is [MIT](./LICENSE) licensed.")
    for one in entries():
        if one["unified"] not in (WITHOUT_FLUENT, COMPONENT):
            for variant in (one, *one["skin_variations"].values()):
                name = one["non_qualified"] if one["unified"] == SQUARE else variant["unified"]
                _draw(rng, fluent / "assets" / f"{name.lower()}.webp", side=128)
    return folder


def _describe(package: pathlib.Path, name: str, sentence: str) -> None:
    package.mkdir(exist_ok=True)
    package.joinpath("package.json").write_text(
        json.dumps({"name": name, "version": "0.0.0", "license": "MIT"})
    )
    (package / "README.md").write_text(f"# {name}\n\n{sentence}\n")


def _draw(rng: np.random.Generator, path: pathlib.Path, side: int = 64) -> None:
    """Draws 64 random colors within a transparent frame."""
    colors = rng.integers(0, 256, (8, 8, 4), "uint8")
    colors[..., 3] = 255
    colors[[0, -1]] = 0
    colors[:, [0, -1]] = 0
    picture = Image.fromarray(colors).resize((side, side), Image.Resampling.NEAREST)
    picture.save(path, lossless=True)
