"""The program as users start it, on a small CIFAR-10 of real images."""

import json

import keras
import numpy as np
import pytest

import keras_supcon  # noqa: F401, registers the classes that a saved model names
from tests.examples import small_imagenet

pytestmark = pytest.mark.slow

PROGRAM = "cifar10.py"
EPOCHS, BATCH_SIZE, EPOCH_STEPS = 2, 16, 4


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> list[str]:
    """The flags of a small training."""
    folder = tmp_path_factory.mktemp("tfds")
    small_imagenet.write("cifar10", folder)
    encoder = ("--encoder_depth=10", "--encoder_width=0.125")
    return [f"--data_dir={folder}", f"--batch_size={BATCH_SIZE}", f"--epochs={EPOCHS}", *encoder]


@pytest.mark.parametrize("method", ["supcon", "cross_entropy"])
def test_trains_and_evaluates(programs, small, tmp_path, method):
    flags = (f"--model_dir={tmp_path}", f"--method={method}", "--linear_epochs=1", *small)
    code, _, errors = programs.run(PROGRAM, *flags)
    assert code == 0, errors
    results = json.loads((tmp_path / "results.json").read_text())
    stages = {"supcon": {"pretrain": EPOCHS, "linear": 1}, "cross_entropy": {"cross_entropy": EPOCHS}}[method]
    assert {name: results[name]["epochs"] for name in stages} == stages
    assert {name: results[name]["steps"] for name in stages} == {name: EPOCH_STEPS * n for name, n in stages.items()}
    # The recipes of the PyTorch code have rates for their batch alone.
    peaks = {"pretrain": 0.5, "linear": 5.0, "cross_entropy": 0.8}
    assert {name: results[name]["peak_learning_rate"] for name in stages} == {name: peaks[name] for name in stages}
    assert results["recipe"] == f"supcontrast_{method}_cifar10_resnet50"
    assert results["images_evaluated"] == small_imagenet.NUM_EVAL
    assert 0 <= results["top_1"] <= results["top_5"] <= 1

    encoder = keras.saving.load_model(tmp_path / "encoder.keras")
    classifier = keras.saving.load_model(tmp_path / "classifier.keras")
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    assert encoder.predict(images, verbose=0).shape == (3, 64)
    np.testing.assert_allclose(classifier.predict(images, verbose=0).sum(axis=1), 1.0, rtol=1e-5)


def test_a_wrong_flag_is_named_and_nothing_is_written(programs, small, tmp_path):
    model_dir = tmp_path / "models"
    code, _, errors = programs.run(PROGRAM, f"--model_dir={model_dir}", *small, "--micro_batch_size=5")
    assert code == 1
    assert "cifar10.py: `--micro_batch_size` should divide the 16 images" in errors
    assert "Traceback" not in errors
    assert not model_dir.exists()
