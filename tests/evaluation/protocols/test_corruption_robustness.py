"""Robustness to corruption: errors by corruption and severity, for the same corrupted images."""

import keras
import numpy as np
import pytest

from keras_supcon import evaluation as E  # noqa: N812
from keras_supcon.data import load_arrays

pytestmark = pytest.mark.neutral

NAMES = ("gaussian_noise", "contrast")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (40, 16, 16, 3)).astype("uint8")
    images[::2] += 130
    return images


def is_bright(images):
    return (images.mean(axis=(1, 2, 3)) > 120).astype(int)


def has_a_bright_pixel(images):
    """Returns scores of two classes, which noise changes."""
    brightest = images.max(axis=(1, 2, 3)) > 130
    return np.stack([~brightest, brightest], axis=1).astype(float)


def test_errors_are_those_of_the_corrupted_images(images):
    labels = is_bright(images)
    result = E.corruption_robustness(has_a_bright_pixel, images, labels, names=NAMES, seed=3)
    for name in NAMES:
        for severity in range(1, 6):
            predicted = has_a_bright_pixel(E.corrupt(images, name, severity, 3)).argmax(axis=1)
            assert result.errors[name][severity - 1] == pytest.approx((predicted != labels).mean())
    assert result.clean_error == 0
    mean = np.mean(list(result.errors.values()))
    assert result.mean_corruption_error == pytest.approx(100 * mean)
    assert result.accuracy_by_severity[4] == pytest.approx(
        1 - np.mean([errors[4] for errors in result.errors.values()])
    )
    assert result.image_scores().mean() == pytest.approx(1 - mean)
    assert result.plot().axes


def test_several_classifiers_see_the_same_images_and_one_is_the_baseline(images):
    labels = np.where(np.arange(40) < 3, 1 - is_bright(images), is_bright(images))
    results = E.corruption_robustness(
        {"pixel": has_a_bright_pixel, "mean": is_bright},
        images,
        labels,
        names=NAMES,
        baseline="pixel",
    )
    alone = E.corruption_robustness(is_bright, images, labels, names=NAMES)
    assert results["mean"].errors == alone.errors
    assert results["pixel"].mean_corruption_error == pytest.approx(100)
    expected = np.mean(
        [sum(results["mean"].errors[name]) / sum(results["pixel"].errors[name]) for name in NAMES]
    )
    assert results["mean"].mean_corruption_error == pytest.approx(100 * expected)
    given = E.corruption_robustness(
        is_bright, images, labels, names=NAMES, baseline=results["pixel"]
    )
    assert given.mean_corruption_error == results["mean"].mean_corruption_error
    compared = E.compare(results["mean"], results["pixel"], resamples=200)
    assert compared.scores[0] == pytest.approx(1 - np.mean(list(alone.errors.values())))


def test_a_baseline_without_errors_has_no_mean_corruption_error(images):
    labels = is_bright(images)
    results = E.corruption_robustness(
        {"pixel": has_a_bright_pixel, "perfect": lambda _: labels},
        images,
        labels,
        names=NAMES,
        baseline="perfect",
    )
    assert results["pixel"].mean_corruption_error is None
    assert results["pixel"].relative_mean_corruption_error is None
    assert len(results["pixel"].errors["contrast"]) == 5
    assert "mCE" not in results["pixel"].rows()[0]


def test_class_ids_may_be_a_column(images):
    labels = is_bright(images)
    result = E.corruption_robustness(
        lambda images: is_bright(images)[:, None], images, labels, names=("contrast",)
    )
    assert result.clean_error == 0


def test_models_and_probes_are_classifiers(images):
    labels = is_bright(images)
    encoder = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    )
    embeddings, _ = E.embed(encoder, (images, labels))
    probe = E.linear_evaluation(embeddings, labels, embeddings, labels).probe
    model = keras.Sequential([encoder, keras.layers.Dense(2, activation="softmax")])
    model.layers[-1].set_weights([probe.weights, probe.bias])
    results = E.corruption_robustness(
        {"probe": (encoder, probe), "model": model}, images, labels, names=("gaussian_noise",)
    )
    assert results["probe"].errors == results["model"].errors


def test_the_protocol_says_which_constants(images):
    labels = is_bright(images)
    assert (
        E.corruption_robustness(is_bright, images, labels, names=NAMES).protocol["constants"]
        == "cifar"
    )
    chosen = E.corruption_robustness(
        is_bright, images, labels, names=NAMES, constants="imagenet", baseline="alexnet"
    )
    assert (chosen.protocol["constants"], chosen.baseline) == ("imagenet", "AlexNet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("blur",)}, "`names` should be one of"),
        ({"names": ()}, "`names` should be a sequence of one or more"),
        ({"names": "fog"}, "`names` should be a sequence .*names='fog'"),
        ({"names": ("fog", "fog")}, "`names` should have each name once"),
        ({"baseline": "resnet"}, "`baseline` should be one of"),
        ({"baseline": 3}, "`baseline` should be a result"),
        ({"labels": [0]}, "`labels` should hold 40 class ids"),
        ({"labels": np.full(40, -1)}, "images without a label should be left out"),
        ({"classifier": lambda images: np.full((40, 2), np.nan)}, "should be finite"),
        ({"classifier": lambda images: images[:3]}, r"should return \(40,\) class ids"),
        ({"classifier": 3}, "should be a Keras classifier, a pair"),
        ({"classifier": {}}, "should have at least one classifier"),
        ({"images": np.uint8(3)}, "`images` should have shape"),
        ({"classifier": (3, 4)}, "an encoder and the probe"),
        ({"constants": "mnist"}, "`constants` should be"),
    ],
)
def test_refuses_wrong_input(images, change, message):
    arguments = {
        "classifier": is_bright,
        "images": images,
        "labels": is_bright(images),
        "names": NAMES,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        E.corruption_robustness(arguments.pop("classifier"), **arguments)


def test_refuses_an_encoder_where_a_classifier_is_expected(images):
    encoder = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="An encoder needs a classifier first"):
        E.corruption_robustness(encoder, images, is_bright(images), names=NAMES)


def test_severity_lowers_accuracy_on_average():
    def larger(split):
        images, labels = load_arrays("digits", split)
        return images.repeat(3, axis=1).repeat(3, axis=2), labels

    def rows(images):
        return images.reshape(len(images), -1).astype("float32")

    (train, train_labels), (test, test_labels) = larger("train"), larger("test")
    split = rows(train), train_labels, rows(test), test_labels
    probe = E.linear_evaluation(*split, regularizations=(0.01,)).probe
    result = E.corruption_robustness(lambda images: probe.predict(rows(images)), test, test_labels)
    accuracies = [1 - result.clean_error, *result.accuracy_by_severity]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > accuracies[-1] + 0.1
