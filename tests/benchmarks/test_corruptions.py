"""The benchmark of corruptions, on a few small images."""

import pathlib

import numpy as np
import pytest

pytestmark = pytest.mark.neutral
BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_every_severity_of_every_image_is_counted(rng):
    import corruptions_implementations as implementations

    images = rng.integers(0, 256, (3, 8, 8, 3), dtype="uint8")
    calls = []

    def corrupt(batch, name, severity):
        calls.append((len(batch), name, severity))

    window = implementations.measure(corrupt, images, "fog", seconds=0)
    assert window["images"] == 5 * 3
    assert window["seconds"] > 0
    severities = implementations.SEVERITIES
    expected = [(size, "fog", severity) for size in (1, 3) for severity in severities]
    assert calls == expected  # what is kept for later is made before


def test_measures_the_corruptions_of_this_package(rng):
    import corruptions_implementations as implementations

    from keras_supcon.evaluation.corruptions import corrupt

    images = rng.integers(0, 256, (3, 8, 8, 3), dtype="uint8")
    ours = implementations.with_keras_supcon("imagenet", threads=2)
    np.testing.assert_array_equal(
        ours(images, "snow", 4), corrupt(images, "snow", 4, constants="imagenet")
    )


def test_photographs_are_cut_into_different_pieces():
    import corruptions_tables as tables

    pieces = tables.pieces_of_photographs(6, side=20, channels=1)
    assert pieces.shape == (6, 20, 20, 1)
    assert pieces.dtype == "uint8"
    assert len({piece.tobytes() for piece in pieces}) == 6


def test_tables_have_rates_ratios_and_times():
    import corruptions_tables as tables

    names = (*tables.CORRUPTIONS, *tables.EXTRA_CORRUPTIONS)
    windows = [
        {"measured": {name: {"images": 100, "seconds": 0.5, "cpu_seconds": s} for name in names}}
        for s in (0.1, 0.4)
    ]
    rates = {str(size): {"ours": windows[0], "peer": windows[1]} for size in tables.SIZES}
    rows = tables.format_rates(rates).splitlines()
    assert len(rows) == 2 + len(names)
    assert [cell.strip() for cell in rows[2].split("|")[2:5]] == ["1,000", "250", "4.0"]
    sets = {"32x32x3": {1: windows[0], 2: {"note": "failed"}}}
    # 15 corruptions, 5 severities and 10,000 images at 200 a second.
    assert "| 3750 s   | failed" in tables.format_sets(sets)
