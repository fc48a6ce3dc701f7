import base64
import html.parser
import io

import numpy as np
import pytest

from keras_supcon.evaluation import write_report

pytestmark = pytest.mark.neutral


class Page(html.parser.HTMLParser):
    """Collects what a browser would load and checks that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images, self.cells, self.open, self.links = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [value for name, value in attributes.items() if name in ("src", "href")]
        if tag == "img":
            self.images.append(attributes)
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
    assert all(link.startswith("data:image/png;base64,") for link in page.links)  # nothing from elsewhere
    for image in page.images:
        assert image["alt"]
        png = base64.b64decode(image["src"].split(",")[1])
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        assert pixels.std() > 5  # something is drawn
    assert sorted(file.name for file in (path.parent / "figures").iterdir()) == [
        "confusion.png",
        "curves.png",
        "embedding_map.png",
        "views.png",
    ]


@pytest.mark.parametrize("classes", [2, 15, 40])
def test_any_number_of_classes_can_be_drawn(rng, tmp_path, classes):
    assert write_report(tmp_path, **contents(rng, classes)).stat().st_size > 20_000


def test_writes_nothing_for_arrays_that_do_not_match(rng, tmp_path):
    wrong = contents(rng)
    wrong["labels"] = wrong["labels"][:-1]
    with pytest.raises(ValueError, match="should have the same length. Received: 60, 59 and 60"):
        write_report(tmp_path / "report", **wrong)
    with pytest.raises(ValueError, match="`table` should have at least one row"):
        write_report(tmp_path / "report", **{**contents(rng), "table": []})
    assert not (tmp_path / "report").exists()
