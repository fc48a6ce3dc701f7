"""Names of classes and stages as pictures and pages can show them: whatever a user calls them, in any script."""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

_LONGEST = 20
# Marks and letters of scripts that are written from right to left, or joined: matplotlib lays them out since 3.11.
_RIGHT_TO_LEFT = ("R", "AL", "AN")
_MARKS = ("Mn", "Mc", "Me")
# They would turn round the text behind them.
_DIRECTION_MARKS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclasses.dataclass(frozen=True)
class DrawnNames:
    """Names in the form in which a picture shows them.

    Args:
        texts: A text for each name, all different: the name, or its beginning, or its number, such as `#3`.
        properties: Properties of a `matplotlib.text.Text` that draws them as they are, by fonts that have them.
        key: From a text to the name that it stands for, where the two differ.
    """

    texts: tuple[str, ...]
    properties: dict[str, Any]
    key: dict[str, str]


def draw_names(names: Sequence[Any]) -> DrawnNames:
    """Chooses texts and fonts for names.

    A name becomes its number where no installed font has all of its characters, or where it is blank. The page beside the
    picture, whose fonts are the browser's, says what numbers stand for.
    """
    return _draw_names(tuple(map(str, names)))


def visible(text: Any, spaces: str = "\n\t") -> str:
    """A text in which what cannot be shown or stored, such as control characters, is escaped: `\\x00`."""

    def show(character: str) -> str:
        is_hidden = unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTION_MARKS
        return character.encode("unicode_escape").decode() if is_hidden and character not in spaces else character

    return "".join(map(show, str(text)))


@functools.lru_cache(maxsize=8)
def _draw_names(names: tuple[str, ...]) -> DrawnNames:
    full = [visible(unicodedata.normalize("NFC", name), spaces="") for name in names]
    short = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…" for name in full]
    families = _families_with("".join(short))
    texts = [f"#{i}" if not name.strip() or not _can_draw(name, families) else name for i, name in enumerate(short)]
    counts = Counter(texts)
    texts = [f"{text} (#{i})" if counts[text] > 1 else text for i, text in enumerate(texts)]
    properties = {"parse_math": False, "usetex": False, "fontfamily": list(families)}
    return DrawnNames(tuple(texts), properties, {text: name for text, name in zip(texts, full, strict=True) if text != name})


def _can_draw(text: str, families: Sequence[str]) -> bool:
    from matplotlib import ft2font

    if not hasattr(ft2font, "__libraqm_version__") and any(map(_needs_layout, text)):
        return False
    return set(text) <= _characters_of(families)


def _needs_layout(character: str) -> bool:
    return unicodedata.bidirectional(character) in _RIGHT_TO_LEFT or unicodedata.category(character) in _MARKS


def _families_with(text: str) -> tuple[str, ...]:
    """The families of the user's settings, and those of installed fonts that have what is missing there."""
    import matplotlib
    from matplotlib import font_manager

    families = list(matplotlib.rcParams["font.family"])
    missing = set(text) - _characters_of(families)
    if missing:  # to look into all fonts takes a while
        fonts = [entry for entry in font_manager.fontManager.ttflist if (entry.style, entry.stretch) == ("normal", "normal")]
        while missing and fonts:
            best = max(fonts, key=lambda entry: len(missing & _characters_in(entry.fname)))
            found = missing & _characters_of([best.name])
            fonts.remove(best)
            if not missing & _characters_in(best.fname):
                break
            families += [best.name] if found else []
            missing -= found
    return tuple(families)


def _characters_of(families: Sequence[str]) -> set[str]:
    from matplotlib import font_manager

    fonts = [font_manager.findfont(font_manager.FontProperties(family=[family])) for family in families]
    return set().union(*map(_characters_in, fonts))


@functools.cache
def _characters_in(font_file: str) -> frozenset[str]:
    """What a font can draw; nothing if it is made of pictures, as those of emoji in color are."""
    from matplotlib import ft2font

    try:
        font = ft2font.FT2Font(font_file)
        draws = font.scalable and not font.family_name.startswith("Last Resort")  # which has a box for every character
        return frozenset(map(chr, font.get_charmap())) if draws else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()
