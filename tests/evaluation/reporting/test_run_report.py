import base64
import datetime
import gc
import html.parser
import io
import platform
import re
import shutil
import tracemalloc

import keras
import numpy as np
import pytest

import keras_supcon
from keras_supcon.evaluation import write_report

pytestmark = pytest.mark.neutral


class Page(html.parser.HTMLParser):
    """Collects what a browser would load and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images, self.narrow_images, self.cells, self.open, self.links = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [
            value for name, value in attributes.items() if name in ("src", "href", "srcset")
        ]
        if tag == "img":
            self.images.append(attributes["src"])
            assert attributes["alt"]
        elif tag == "source":
            self.narrow_images.append(attributes["srcset"])
            assert attributes["media"].startswith("(max-width:")
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th", "h1"):
            self.cells.append(data)


def contents(rng, classes=3, number=60) -> dict:
    return {
        "title": "digits <1>",
        "table": [
            {"trained with": "SupCon & linear", "accuracy": "98.1 %"},
            {"trained with": "cross-entropy", "accuracy": "97.9 %"},
        ],
        "histories": {
            "pre-training": {"loss": [3.0, 2.0, 1.5]},
            "classifier": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.9], "val_accuracy": [0.6, 0.8]},
        },
        "embeddings": rng.normal(size=(number, 8)),
        "labels": rng.integers(0, classes, number),
        "predictions": rng.integers(0, classes, number),
        "class_names": [f"class {i}" for i in range(classes)],
        "images": rng.integers(0, 256, (4, 8, 8, 1)).astype("uint8"),
        "views": rng.uniform(size=(4, 3, 8, 8, 1)),
    }


def test_the_page_carries_its_table_and_four_pictures_inside(rng, tmp_path):
    from PIL import Image

    path = write_report(tmp_path / "new" / "folder", **contents(rng))
    page = Page(path.read_text())
    assert page.open == []
    assert page.cells[:5] == ["digits <1>", "trained with", "accuracy", "SupCon & linear", "98.1 %"]
    assert len(page.images) == 4
    assert all(
        link.startswith("data:image/png;base64,") for link in page.links
    )  # nothing from elsewhere
    assert len(page.narrow_images) == 4
    for image in page.images + page.narrow_images:
        png = base64.b64decode(image.split(",")[1])
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        assert pixels.std() > 5  # something is drawn
        assert image in page.images or pixels.shape[1] < 450  # letters stay readable on 400 pixels
    assert sorted(file.name for file in (path.parent / "figures").iterdir()) == [
        "confusion.png",
        "curves.png",
        "embedding_map.png",
        "views.png",
    ]


@pytest.mark.parametrize("classes", [2, 15, 40])
def test_any_number_of_classes_can_be_drawn(rng, tmp_path, classes):
    assert write_report(tmp_path, **contents(rng, classes)).stat().st_size > 20_000


def test_the_page_names_date_versions_and_settings(rng, tmp_path):
    def text(**more) -> str:
        page = write_report(tmp_path, **contents(rng), **more).read_text()
        return page[page.index("<body>") :]

    settings = {"seed": 3, "crop_area": (0.5, 1.0), "<b>": "a & b"}
    page = text(settings=settings, note="One image is < 1 point.")
    made = html.unescape(re.search(r'<p class="made">(.*?)</p>', page).group(1))
    backend = keras.backend.backend()
    assert datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d") in made
    assert (
        f"keras_supcon {keras_supcon.__version__}, Keras {keras.__version__} on {backend} " in made
    )
    assert f"NumPy {np.__version__} and Python {platform.python_version()}." in made
    rows = re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", page)
    assert {html.unescape(name): html.unescape(value) for name, value in rows} == {
        name: str(value) for name, value in settings.items()
    }
    assert "<p>One image is &lt; 1 point.</p>" in page
    assert "<b>" not in page
    without = text()
    assert "Settings" not in without
    assert "<p></p>" not in without


def test_views_look_the_same_in_either_range(rng):
    from keras_supcon.evaluation.reporting.figures import draw_views

    def pixels(images, views):
        return [axes.images[0].get_array().data for axes in draw_views(images, views).axes]

    images, views = (
        rng.integers(0, 256, shape).astype("uint8") for shape in ((2, 8, 8, 1), (2, 3, 8, 8, 1))
    )
    drawn = pixels(images, views)
    for others in (
        pixels(images, views / 255),
        pixels(images.astype("float32"), views.astype("float32")),
    ):
        for one, other in zip(drawn, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_writes_nothing_for_arrays_that_do_not_match(rng, tmp_path):
    wrong = contents(rng)
    wrong["labels"] = wrong["labels"][:-1]
    with pytest.raises(ValueError, match="should have the same length. Received: 60, 59 and 60"):
        write_report(tmp_path / "report", **wrong)
    with pytest.raises(ValueError, match="`table` should have at least one row"):
        write_report(tmp_path / "report", **{**contents(rng), "table": []})
    for changed, message in WRONG.items():
        name, value = value_of(changed, contents(rng))
        with pytest.raises(ValueError, match=message):
            write_report(tmp_path / "report", **{**contents(rng), name: value})
    assert not (tmp_path / "report").exists()


# From a part and what is made of it to what is said of it.
WRONG = {
    (
        "labels",
        lambda labels: labels + 1,
    ): "`labels` should be from 0 to 2, since `class_names` has 3 names. Received: .* 3",
    ("predictions", lambda predictions: -predictions): "`predictions` should be from 0 to 2",
    ("labels", lambda labels: labels / 2): "`labels` should be whole numbers",
    (
        "embeddings",
        lambda embeddings: embeddings / 0,
    ): "`embeddings` should be finite. Received: 60 of 60 rows",
    ("embeddings", lambda embeddings: embeddings[..., None]): "`embeddings` should be",
    (
        "table",
        lambda table: [*table, {"accuracy": "1"}],
    ): "`table` should have the same columns in all rows",
    ("histories", lambda histories: {}): "`histories` should have at least one stage",
    ("images", lambda images: images[0]): "`images` should be",
    ("views", lambda views: np.repeat(views, 2, axis=-1)): "with 1, 3 or 4 channels",
}


def value_of(changed, whole: dict):
    name, change = changed
    with np.errstate(all="ignore"):
        return name, change(whole[name])


def test_a_folder_that_cannot_be_written_to_is_named_first(rng, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"The directory cannot be written to .*file"):
        write_report(tmp_path / "file", **contents(rng))


# From names to what is drawn; None for one in scripts of which a machine may lack the fonts.
NAMES = {
    "$\\frac{$": "$\\frac{$",
    "_hidden": "_hidden",
    "a\nb\0": r"a\nb\x00",
    "x" * 100: "x" * 19 + "…",
    "cat": "cat (#4)",
    "": "#5",
    "\udc80<b>": r"\udc80<b>",
    "\U000103a0 \U0001f6d8\u4e00": None,
    "na\u0131\u0308ve": "na\u0131\u0308ve",
    " cat": " cat",
    "100 %": "100 %",
}


@pytest.mark.filterwarnings("error")  # of glyphs that no font has
def test_names_are_drawn_as_they_are_or_named_on_the_page(rng, tmp_path):
    from keras_supcon.evaluation.reporting import figures
    from keras_supcon.evaluation.reporting.names import draw_names

    names = [*NAMES, "cat"]
    whole = {**contents(rng, len(names)), "class_names": names, "title": "\udc80\x07"}
    whole["histories"] = {"$\\frac{$": {"loss": [1.0]}, "_b": {"loss": [1.0]}}
    page = write_report(tmp_path, **whole).read_text()
    drawn = draw_names(names).texts
    assert len(set(drawn)) == len(names)
    for text, (name, expected) in zip(drawn, NAMES.items(), strict=False):
        assert text == expected or (expected is None and text in ("#7", name))
    ids = np.arange(len(names))
    for narrow in (False, True):
        picture = figures.draw_embedding_map(rng.normal(size=(len(names), 2)), ids, names, narrow)
        (legend,) = picture.legends
        confusion = figures.draw_confusion(ids, ids, names, narrow).axes[0]
        for texts in (legend.get_texts(), confusion.get_xticklabels(), confusion.get_yticklabels()):
            assert tuple(text.get_text() for text in texts) == drawn
            assert not any(text.get_parse_math() for text in texts)
        titles = [
            axes.title.get_text() for axes in figures.draw_curves(whole["histories"], narrow).axes
        ]
        assert titles[:2] == list(whole["histories"])
    key = html.unescape(re.search(r'<p class="names">(.*?)</p>', page).group(1))
    for said in (
        f"{'x' * 19}…: <bdi>{'x' * 100}</bdi>",
        "cat (#11): <bdi>cat</bdi>",
        "#5: <bdi>(a blank)</bdi>",
    ):
        assert said in key
    assert "<b>" not in page
    assert r"<h1>\udc80\x07</h1>" in page
    assert Page(page).open == []


def test_a_font_is_looked_for_that_has_what_the_usual_one_lacks():
    import matplotlib

    from keras_supcon.evaluation.reporting.names import draw_names

    with matplotlib.rc_context({"font.family": ["cmr10"]}):  # both come with matplotlib
        names = draw_names(["Кот"])
    assert names.texts == ("Кот",)
    assert names.properties["fontfamily"][0] == "cmr10"
    assert len(names.properties["fontfamily"]) == 2


@pytest.mark.parametrize(
    ("names", "drawn"),
    [
        (["a", "a", "b"], ("a (#0)", "a (#1)", "b")),
        (["a", "a", "a (#0)"], ("a (#0) (#0)", "a (#1)", "a (#0)")),
        (["a (#1)", "a", "a", "a (#1)"], ("a (#1) (#0)", "a (#1) (#1)", "a (#2)", "a (#1) (#3)")),
        (["", "#0", "#0 (#0)"], ("#0 (#0) (#0)", "#0 (#1)", "#0 (#0)")),
        ([f"{'x' * 19}…", "x" * 30], (f"{'x' * 19}… (#0)", f"{'x' * 19}… (#1)")),
    ],
)
def test_names_are_told_apart_whatever_they_are(names, drawn):
    from keras_supcon.evaluation.reporting.names import draw_names

    found = draw_names(names)
    assert found.texts == drawn
    assert [found.key.get(text, text) for text in found.texts] == names


def test_names_keep_no_fonts_in_memory(tmp_path, monkeypatch):
    from matplotlib import font_manager

    from keras_supcon.evaluation.reporting.names import draw_names

    new_font = shutil.copy(
        font_manager.findfont("DejaVu Sans"), tmp_path
    )  # with some 6,000 characters
    monkeypatch.setattr(font_manager.fontManager, "ttflist", list(font_manager.fontManager.ttflist))
    font_manager.fontManager.addfont(new_font)
    tracemalloc.start()
    try:
        draw_names(["\U00010350"])  # which no font of matplotlib's has
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000


def test_the_usual_font_is_that_of_the_settings_now():
    import matplotlib

    from keras_supcon.evaluation.reporting.names import draw_names

    for family in ("DejaVu Sans", "DejaVu Serif"):
        with matplotlib.rc_context({"font.family": [family]}):
            assert draw_names(["cat"]).properties["fontfamily"] == [family]
    for family, draws in (("DejaVu Sans", True), ("cmr10", False)):
        with matplotlib.rc_context({"font.family": ["sans-serif"], "font.sans-serif": [family]}):
            assert (draw_names(["Кот"]).properties["fontfamily"] == ["sans-serif"]) == draws
