"""Names of classes and stages, in any script, as pictures and pages can show them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
import unicodedata
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST = 20
_LONGEST_SAFE = 60
# Marks, and letters of scripts that are written from right to left or joined. matplotlib lays them
# out since 3.11.
_RIGHT_TO_LEFT = ("R", "AL", "AN")
_MARKS = ("Mn", "Mc", "Me")
# They would reverse the text behind them.
_DIRECTION_MARKS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclasses.dataclass(frozen=True)
class DrawnNames:
    """Names in the form in which a picture shows them.

    Args:
        texts: A text for each name, all different: the name, its beginning, or its number, such as
            `#3`.
        properties: Properties of a `matplotlib.text.Text` that draws them verbatim, with fonts that
            have their characters.
        key: From a text to the name that it stands for, where the two differ.
    """

    texts: tuple[str, ...]
    properties: dict[str, Any]
    key: dict[str, str]


def draw_names(names: Sequence[Any]) -> DrawnNames:
    """Chooses texts and fonts for names.

    A name becomes its number if no installed font has all of its characters, or if it is blank. The
    page beside the picture, whose fonts are the browser's, explains the numbers.
    """
    import matplotlib

    usual = tuple(matplotlib.rcParams["font.family"])
    return _draw_names(tuple(map(str, names)), usual, tuple(map(_font_file, usual)))


# From a figure to the names that its texts stand for, for as long as the figure is there.
_KEYS: weakref.WeakKeyDictionary[Figure, dict[str, str]] = weakref.WeakKeyDictionary()


def note_key(figure: Figure, names: DrawnNames) -> None:
    """Notes which names the texts of a figure stand for, so that a report can explain them."""
    key = _KEYS.setdefault(figure, {})
    for text, name in names.key.items():
        known = key.setdefault(text, name)
        if known != name:  # of another axis of the figure
            key[text] = f"{known} or {name}"


def key_of(figure: Figure) -> dict[str, str]:
    """Returns what was noted of a figure: from a text to the name that it stands for."""
    return dict(_KEYS.get(figure, {}))


def visible(text: Any, spaces: str = "\n\t") -> str:
    """Escapes characters that cannot be shown or stored, such as control characters: `\\x00`."""

    def show(character: str) -> str:
        is_hidden = unicodedata.category(character) in ("Cc", "Cs") or character in _DIRECTION_MARKS
        return (
            character.encode("unicode_escape").decode()
            if is_hidden and character not in spaces
            else character
        )

    return "".join(map(show, str(text)))


def safe_name(text: str, otherwise: str, used: set[str]) -> str:
    """Returns a name for a file or an anchor, and adds it to the used ones.

    Args:
        text: What it should say.
        otherwise: The name if the text has no letter or digit of ASCII.
        used: Names that it must differ from.

    Returns:
        At most some 60 letters a to z, digits and underscores.
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_text.lower())[:_LONGEST_SAFE].strip("_") or otherwise
    numbered = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    new = next(one for one in numbered if one not in used)
    used.add(new)
    return new


@functools.lru_cache(maxsize=8)
def _draw_names(
    names: tuple[str, ...], usual_families: tuple[str, ...], usual_files: tuple[str, ...]
) -> DrawnNames:
    """Chooses texts and fonts, as `draw_names`, with a cache.

    The files tell the cache the fonts that names such as "sans-serif" stand for.
    """
    full = [visible(unicodedata.normalize("NFC", name), spaces="") for name in names]
    short = [
        name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1].rstrip()}…" for name in full
    ]
    families, drawable = _families_with("".join(short), usual_families)
    texts = _all_different(
        [
            name if name.strip() and _can_draw(name, drawable) else f"#{i}"
            for i, name in enumerate(short)
        ]
    )
    properties = {"parse_math": False, "usetex": False, "fontfamily": list(families)}
    return DrawnNames(
        tuple(texts),
        properties,
        {text: name for text, name in zip(texts, full, strict=True) if text != name},
    )


def _all_different(texts: Sequence[str]) -> list[str]:
    """Appends its number to each text that occurs more than once, until it is no other text."""
    counts = Counter(texts)
    different, used = [], set(texts)
    for i, text in enumerate(texts):
        if counts[text] > 1:
            while text in used:
                text = f"{text} (#{i})"
            used.add(text)
        different.append(text)
    return different


def _can_draw(text: str, drawable: set[str]) -> bool:
    from matplotlib import ft2font

    if not hasattr(ft2font, "__libraqm_version__") and any(map(_needs_layout, text)):
        return False
    return set(text) <= drawable


def _needs_layout(character: str) -> bool:
    return (
        unicodedata.bidirectional(character) in _RIGHT_TO_LEFT
        or unicodedata.category(character) in _MARKS
    )


def _families_with(text: str, usual_families: tuple[str, ...]) -> tuple[tuple[str, ...], set[str]]:
    """Adds installed fonts to the usual families, for the characters that these lack.

    Returns:
        `(families, drawable)`: the families, and the characters of the text that they can draw.
    """
    from matplotlib import font_manager

    families, wanted = list(usual_families), set(text)
    missing = wanted - _drawn_by(families, wanted)
    if missing:  # searching all fonts is slow
        fonts = {
            (entry.name, entry.fname): _drawn_by_file(entry.fname, missing)
            for entry in font_manager.fontManager.ttflist
            if (entry.style, entry.stretch) == ("normal", "normal")
        }
        while missing and fonts:
            best = max(fonts, key=lambda font: len(missing & fonts[font]))
            if not missing & fonts.pop(best):
                break
            found = _drawn_by([best[0]], missing)
            families += [best[0]] if found else []
            missing -= found
    return tuple(families), wanted - missing


def _drawn_by(families: Sequence[str], wanted: set[str]) -> set[str]:
    return set().union(*(_drawn_by_file(_font_file(family), wanted) for family in families))


def _font_file(family: str) -> str:
    from matplotlib import font_manager

    return str(font_manager.findfont(font_manager.FontProperties(family=[family])))


def _drawn_by_file(font_file: str, wanted: set[str]) -> set[str]:
    """Returns the characters that a font can draw; none for color emoji and other pictures."""
    from matplotlib import ft2font

    try:
        font = ft2font.FT2Font(font_file)
        # Last Resort has a box for every character.
        draws = font.scalable and not font.family_name.startswith("Last Resort")
        return {character for character in wanted if draws and font.get_char_index(ord(character))}
    except (OSError, RuntimeError, ValueError):
        return set()
