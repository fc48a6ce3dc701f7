"""Results of several models are drawn together, in the colors of their names."""

import numpy as np
import pytest

from keras_supcon import evaluation as E  # noqa: N812
from tests.evaluation.protocols.embeddings import overlapping

PROTOCOLS = {
    "linear": lambda split: E.linear_evaluation(*split, regularizations=(0.1, 1.0)),
    "knn": lambda split: E.knn_evaluation(*split),
    "few_label": lambda split: E.few_label_evaluation(*split, per_class=(1, 5), fractions=()),
    "retrieval": lambda split: E.retrieval(*split[2:]),
    "corruption": lambda split: E.corruption_robustness(
        lambda images: np.zeros(len(images)),
        np.zeros((10, 8, 8, 1), "uint8"),
        np.arange(10) % 2,
        names=("fog", "contrast"),
    ),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_figure_shows_both(rng, protocol):
    results = {name: PROTOCOLS[protocol](overlapping(rng)) for name in ("$first$", "_second")}
    for narrow in (False, True):
        figure = type(results["_second"]).plot_together(results, narrow)
        texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        assert texts[:2] == ["$first$", "_second"]


def test_two_diagrams_of_reliability_are_two_figures(rng):
    probabilities = rng.dirichlet(np.ones(3), 50)
    result = E.calibration(probabilities, rng.integers(0, 3, 50), resamples=2)
    assert type(result).plot_together({"a": result, "b": result}) is None
