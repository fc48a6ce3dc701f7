"""A browser shows a report on a phone and on a wide screen."""

import numpy as np
import pytest

from keras_supcon.evaluation import Report
from keras_supcon.evaluation.reporting.charts import draw_heatmap, draw_lines
from tests.evaluation.reporting.browser import CHROMIUM, DRIVER, browser

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs a browser: `apt-get install chromium chromium-driver` on Debian",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    report = Report("Fashion-MNIST: " + "SupCon and cross-entropy " * 3)
    columns = [f"a column with a name {i}" for i in range(8)]
    report.add_text("word " * 100 + "x" * 300, "Words").add_table(
        [dict.fromkeys(columns, f"{98.76:.2f}% (97.00% to 99.00%)")] * 3, "A wide table"
    )
    report.add_figure(
        lambda narrow: draw_lines({"a": ([1, 2, 3], [1, 3, 2])}, "x", "y", narrow=narrow), "Lines."
    )
    report.add_figure(
        lambda narrow: draw_heatmap(
            np.linspace(0, 1, 75).reshape(15, 5),
            [f"a corruption {i}" for i in range(15)],
            list("12345"),
            percent=True,
            narrow=narrow,
        ),
        "A heatmap.",
    )
    report.add_settings({f"setting {i}": "value " * 20 for i in range(5)})
    return report.write(tmp_path_factory.mktemp("report"))


def test_a_broken_page_would_be_noticed(tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text('<img src="missing.png"><script>missing()</script>')
    with browser(400) as window:
        window.open(broken)
        assert any("missing.png" in one for one in window.complaints())


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_and_its_wide_table_scrolls_by_itself(page, width):
    with browser(width) as window:
        window.open(page)
        assert window.run("innerWidth") == width
        assert window.run("document.documentElement.scrollWidth") <= width
        table = "document.querySelector('.scroll')"
        assert window.run(f"{table}.scrollWidth > {table}.clientWidth")
        assert window.run(f"getComputedStyle({table}).overflowX") == "auto"
        pictures = window.run(
            "[...document.images].map(i => [i.complete, i.naturalWidth, i.clientWidth,"
            " i.currentSrc == i.src])"
        )
        assert window.complaints() == []
        assert len(pictures) == 2
        for is_complete, natural_width, shown_width, is_wide_one in pictures:
            assert is_complete
            assert 0 < shown_width <= natural_width
            assert shown_width <= width - 32
            assert is_wide_one == (width == 1280)


def test_a_dark_screen_gets_a_dark_page(page):
    colors = []
    for dark in (False, True):
        with browser(400, dark=dark) as window:
            window.open(page)
            style = "getComputedStyle(document.body)"
            colors.append(
                [
                    sum(map(int, window.run(f"{style}.{name}")[4:-1].split(",")))
                    for name in ("color", "backgroundColor")
                ]
            )
    (ink, ground), (dark_ink, dark_ground) = colors
    assert ink < ground - 300
    assert dark_ink > dark_ground + 300
