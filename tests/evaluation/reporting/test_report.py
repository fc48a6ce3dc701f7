"""A report shows what was added, verbatim, in three forms."""

import base64
import dataclasses
import html
import json
import re

import numpy as np
import pytest
from markdown_it import MarkdownIt

from keras_supcon.evaluation import (
    KNNResult,
    Report,
    Result,
    compare,
    knn_evaluation,
    reporting,
)
from keras_supcon.evaluation.reporting.charts import draw_bars, draw_heatmap
from keras_supcon.evaluation.reporting.markdown import escape
from keras_supcon.evaluation.reporting.names import visible
from tests.evaluation.protocols.embeddings import overlapping

ROWS = [{"model": "a|b", "accuracy": "98%"}, {"model": "<i>", "accuracy": "-"}]


def draw(narrow=False):
    return draw_bars({"one": 0.5, "two": 0.7}, "accuracy", percent=True, narrow=narrow)


def test_all_that_was_added_is_in_each_form(rng, tmp_path):
    result = knn_evaluation(*overlapping(rng))
    report = Report("Two models").add_text("First.\n\nSecond.", heading="Words")
    report.add_table(ROWS, "Numbers", caption="Of all.").add_figure(draw, "Bars of both.")
    report.add_settings({"seed": 3}).add(result)
    path = report.write(tmp_path / "new")
    page, markdown = path.read_text(), path.with_suffix(".md").read_text()
    content = json.loads(path.with_suffix(".json").read_text())
    for text in ("Two models", "First.", "Second.", "Numbers", "Of all.", "Bars of both.", "98%"):
        assert text in page
        assert text in markdown
        assert text in json.dumps(content)
    assert "Nearest neighbors" in page
    assert content["results"][0]["accuracy"] == result.accuracy
    assert content["results"][0]["protocol"]["num_neighbors"] == 200
    assert "num neighbors" in page.split('id="protocols-of-results"')[1]
    assert "- num neighbors: 200" in markdown.split("## Protocols")[1]
    for key, version in content["versions"].items():
        assert version in page, key
    assert content["date"] in page
    assert content == {**report.to_dict(), "date": content["date"]}
    files = {file.name for file in (tmp_path / "new" / "figures").iterdir()}
    assert files == {"bars_of_both.png", "nearest_neighbors.png"}
    assert {*re.findall(r"\]\(figures/(.*?)\)", markdown)} == files


def test_results_of_several_models_share_a_table(rng):
    split = overlapping(rng)
    results = {"SupCon": knn_evaluation(*split), "cross-entropy": knn_evaluation(*split, 1)}
    content = Report("x").add(results).to_dict()
    (table,) = (block for block in content["blocks"] if block["kind"] == "table")
    assert [row.pop("model") for row in table["rows"]] == list(results)
    assert table["rows"] == [row for one in results.values() for row in one.rows()]
    figures = [block for block in content["blocks"] if block["kind"] == "figure"]
    assert [figure["caption"] for figure in figures] == [KNNResult.caption]  # both in one
    assert [one["name"] for one in content["results"]] == [
        "SupCon: Nearest neighbors",
        "cross-entropy: Nearest neighbors",
    ]
    right = np.array([True, False])
    with pytest.raises(ValueError, match="results of one protocol"):
        Report("x").add({"a": results["SupCon"], "b": compare(right, ~right, resamples=9)})


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Measured(Result):
    row: dict
    value: float = 1.0

    def rows(self):
        return [self.row]

    def plot(self, narrow=False):
        return draw(narrow)


def test_results_may_have_different_columns():
    results = {
        "first": Measured(protocol={}, row={"a": "1", "model": "large"}),
        "second": Measured(protocol={}, row={"a": "2", "b": "3"}),
    }
    blocks = Report("x").add(results).to_dict()["blocks"]
    captions = [block["caption"] for block in blocks if block["kind"] == "figure"]
    assert captions == list(results)  # one figure for each
    assert blocks[0]["text"] == "Measured"  # which has no title
    assert blocks[1]["rows"] == [
        {"name of the model": "first", "a": "1", "model": "large", "b": "-"},
        {"name of the model": "second", "a": "2", "model": "-", "b": "3"},
    ]


def test_a_result_that_cannot_be_drawn_is_left_out_whole():
    class Broken(Measured):
        def plot(self, narrow=False):
            raise RuntimeError("broken")

    report = Report("x")
    with pytest.raises(RuntimeError, match="broken"):
        report.add(Broken(protocol={}, row={"a": "1"}))
    assert report.to_dict()["blocks"] == report.to_dict()["results"] == []


def test_an_earlier_report_is_replaced_and_other_files_stay(tmp_path):
    Report("one").add_figure(draw, "First.").add_figure(draw, "Second.").write(tmp_path)
    (tmp_path / "figures" / "mine.png").write_bytes(b"")
    Report("two").add_figure(draw, "Second.").write(tmp_path)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"mine.png", "second.png"}
    assert "one" not in (tmp_path / "report.html").read_text().split("<h1>")[1][:10]


def test_no_file_is_written_if_one_cannot_be_made(tmp_path, monkeypatch):
    report = Report("one").add_figure(draw, "First.")
    report.write(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    monkeypatch.setattr(reporting.report, "render_html", lambda content: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.add_figure(draw, "Second.").write(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize("content", ["[]", "{", '{"blocks": [1]}', "\0", '{"blocks": [{}]}'])
def test_a_file_that_is_no_report_is_replaced(tmp_path, content):
    (tmp_path / "report.json").write_text(content)
    Report("x").write(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["title"] == "x"


def test_only_pictures_in_the_folder_of_figures_are_removed(tmp_path):
    (tmp_path / "kept.png").touch()
    blocks = [{"kind": "figure", "file": file} for file in ("kept.png", "figures/../kept.png")]
    (tmp_path / "report.json").write_text(json.dumps({"blocks": blocks}))
    Report("x").write(tmp_path)
    assert (tmp_path / "kept.png").exists()


@pytest.mark.parametrize(
    ("captions", "names"),
    [
        (["../../etc", "../../etc"], ["etc", "etc_2"]),
        (["日本", "日本"], ["figure", "figure_2"]),
        (["Précision", "a" * 300], ["precision", "a" * 60]),
        (["a", "a 2", "a"], ["a", "a_2", "a_3"]),
    ],
)
def test_names_of_figures_are_safe_and_different(captions, names):
    report = Report("x")
    for caption in captions:
        report.add_figure(draw, caption)
    blocks = report.to_dict()["blocks"]
    assert [block["file"] for block in blocks] == [f"figures/{name}.png" for name in names]


def sources(page):
    """Returns the pictures of a page: for a phone, and for a wide screen."""
    return [
        [
            base64.b64decode(data)
            for data in re.findall(f'{name}="data:image/png;base64,(.*?)"', page)
        ]
        for name in ("srcset", "src")
    ]


def test_names_that_a_chart_cuts_or_numbers_are_explained():
    names = ["x" * 19 + ending * 11 for ending in "ab"]

    def cut_on_a_phone(narrow):
        return draw_bars({names[0] if narrow else "b": 1.0}, "y")

    figures = [
        (draw_bars({names[0]: 1.0, " ": 2.0}, "y"), {"x" * 19 + "…": names[0], "#1": " "}),
        (draw_bars({"b": {names[1]: 1.0}}, "y"), {"x" * 19 + "…": names[1]}),
        (
            draw_heatmap([[1.0]], names[:1], names[1:]),
            {"x" * 19 + "…": f"{names[0]} or {names[1]}"},
        ),
        (cut_on_a_phone, {"x" * 19 + "…": names[0]}),
        (draw, None),
    ]
    for figure, key in figures:
        report = Report("x").add_figure(figure, "caption")
        (block,) = report.to_dict()["blocks"]
        assert block.get("names") == key
        for name in key or {}:
            assert f"{name}: <bdi>" in report.to_html()
            assert f"{escape(name)}: " in report.to_markdown()
    given = Report("x").add_figure(figures[1][0], "caption", key={"#1": "mine"}).to_dict()
    assert given["blocks"][0]["names"] == {**figures[1][1], "#1": "mine"}


def test_figures_are_functions_figures_or_pngs():
    narrow, wide = sources(Report("x").add_figure(draw, "a").to_html())
    assert narrow != wide
    assert sources(Report("x").add_figure(draw(), "b").to_html()) == [[], wide]
    assert sources(Report("x").add_figure(wide[0], "c").to_html()) == [[], wide]
    report = Report("x")
    for wrong in (b"GIF", None, "figure.png", lambda narrow: "figure"):
        with pytest.raises(ValueError, match="`figure` should be a matplotlib figure"):
            report.add_figure(wrong, "d")
    for wrong in (wide[0][:400], wide[0][:8], wide[0][:-40]):
        with pytest.raises(ValueError, match="`figure` should be a PNG file that can be decoded"):
            report.add_figure(wrong, "e")
    assert report.to_dict()["blocks"] == []


STRANGE = "<script>alert(1)</script> *a* _b_ [c](d) `e` $f$ | \udc80 \x00 \u202e # g & \\| שלום"


def test_texts_are_shown_verbatim(tmp_path):
    report = Report(STRANGE).add_text(STRANGE, STRANGE).add_table([{STRANGE: STRANGE}])
    report.add_settings({"a": STRANGE}, STRANGE).add_figure(draw, STRANGE, key={"#1": STRANGE})
    report.add(Measured(protocol={"a": STRANGE}, row={STRANGE: STRANGE}), STRANGE)
    path = report.write(tmp_path)
    page = path.read_text()
    assert page.startswith("<!DOCTYPE html>")
    shown = visible(STRANGE)
    assert {character for character in STRANGE if character not in shown} == {*"\udc80\0\u202e"}
    # Title twice, text, cells, setting, caption twice, key, headings, cells, protocol.
    assert page.count(html.escape(shown)) == 2 + 1 + 2 + 1 + 2 + 1 + 3 + 2 + 2
    assert "<script>" not in page
    assert json.loads(path.with_suffix(".json").read_text())["title"] == STRANGE


@pytest.mark.parametrize(
    "text",
    [
        STRANGE,
        "# no heading",
        "1. no list",
        "2) no list",
        "- no list",
        "+ no list",
        "-",
        "3.",
        "- - -",
        "-0.5",
        "94.12%",
        "---",
        "===",
        "> no quotation",
        "snake_case * 2 * 3 ** 4",
        "__dunder__ ~~gone~~",
        "![no](picture)",
        "&amp; &#35;",
        "a\\|b|c\\",
        "two\n   lines",
        "    no code",
        "",
    ],
)
def test_markdown_means_what_the_text_says(text):
    report = Report("x").add_table([{"a": text, "b": "c"}], caption="Caption.")
    report.add_text(text).add_settings({"name": text}, heading=None)
    # As another implementation of Markdown reads it.
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = [one for one in parser.parse(report.to_markdown()) if one.type == "inline"]
    assert {part.type for one in tokens for part in one.children} <= {"text", "text_special"}
    line = " ".join(visible(text).split())
    paragraphs = [line] if line else []
    assert ["".join(part.content for part in one.children) for one in tokens[2:]] == [
        *("Caption.", "a", "b", line, "c"),
        *paragraphs,
        f"name: {line}".strip(),
    ]


def test_numbers_that_are_not_finite_are_null():
    nan = float("nan")
    report = Report("x").add(Measured(protocol={"size": nan}, row={"a": "-"}, value=nan))
    content = report.add_settings({"rate": nan}).to_dict()
    assert content["results"][0]["value"] is content["results"][0]["protocol"]["size"] is None
    assert content["blocks"][-1]["values"] == {"rate": None}


def test_many_headings_have_a_table_of_contents():
    report = Report("x")
    for number in range(3):
        report.add_text("text", f"heading {number}")
    assert "<nav" not in report.to_html()
    page = report.add_text("text", "heading 3").to_html()
    for number in range(4):
        assert f'<a href="#section-heading_{number}">heading {number}</a>' in page
        assert f'<h2 id="section-heading_{number}">' in page


def test_anchors_differ():
    report = Report("x").add_text("a", "Protocols").add_text("b", "Protocols")
    report.add_figure(draw, "Protocols").add(Measured(protocol={}, row={"a": "1"}), "Protocols")
    anchors = re.findall(r' id="(.*?)"', report.to_html())
    assert len(anchors) == len({*anchors}) == 6


def test_refuses_wrong_input(tmp_path):
    for title in (" ", "", None):
        with pytest.raises(ValueError, match="`title` should be a text that is not blank"):
            Report(title)
    report = Report("x")
    for rows in ([], [{}], [[1]], {}, "rows", None):
        with pytest.raises(ValueError, match="`rows` should have at least one row"):
            report.add_table(rows)
    with pytest.raises(ValueError, match="same columns in all rows"):
        report.add_table([{"a": 1}, {"b": 1}])
    for result in ({"accuracy": 1}, {}, None, Result):
        with pytest.raises(ValueError, match="should be what a protocol returned"):
            report.add(result)
    with pytest.raises(ValueError, match="`heading` should be a text that is not blank"):
        report.add_text("text", heading=" ")
    with pytest.raises(ValueError, match="`text` should be a text"):
        report.add_text(None, heading="Heading")
    for settings in ({}, None):
        with pytest.raises(ValueError, match="`settings` should be a dictionary"):
            report.add_settings(settings)
    assert report.to_dict()["blocks"] == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="it is a file"):
        report.write(tmp_path / "file")


def test_numbers_need_no_escape_in_markdown():
    texts = ["94.12% (90.00% to 95.00%)", "-0.5", "+2.40", "3", "snake_case", "p < 0.05"]
    assert [escape(text) for text in texts] == [*texts[:-1], "p \\< 0.05"]
