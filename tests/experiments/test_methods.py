"""Several methods in a folder, in this process: on the digits, with the smallest encoder."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.experiments import Methods, Settings, TwoStage
from keras_supcon.experiments.run_folder import write_record

SMALL = {"batch_size": 256, "epochs": 1, "linear_epochs": 1, "encoder_width": 0.125}


def methods(folder: pathlib.Path, *names: str, **fields) -> Methods:
    return Methods(names, Settings(output_dir=folder, verbose=False, **{**SMALL, **fields}))


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was_and_ends_with_a_table(tmp_path, monkeypatch):
    """The training itself is that of `TwoStage`, with tests of its own."""
    trained = []

    def train(self, handle_signals):
        if len(trained) == 1:
            trained.append("failure")
            raise InterruptedError
        trained.append(self.recipe.name)
        encoder = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
        for name, record in self._plan.records.items():
            write_record(self.output_dir / name, {**record, "epochs": 1})
        encoder.save(self.output_dir / "encoder.keras")
        return {"top_1": 0.5}

    monkeypatch.setattr(TwoStage, "run", train)
    names = ("cross_entropy", "byol")  # they have an order of their own
    with pytest.raises(InterruptedError):
        methods(tmp_path, *names).run()
    assert set(json.loads((tmp_path / "methods.json").read_text())) == {"untrained", "byol"}
    assert "cross_entropy |" not in (tmp_path / "methods.md").read_text()
    result = methods(tmp_path, *names).run()
    assert trained == ["byol_digits_small", "failure", "cross_entropy_digits_small"]
    assert [row["method"] for row in result.rows] == ["untrained", "byol", "cross_entropy"]
    assert (tmp_path / "methods.md").read_text().startswith(f"{result.table}\n")
    of_pixels = result.accuracies["byol"]
    assert of_pixels["accuracy"] == 0.5
    assert of_pixels["knn_accuracy"] > 0.95
    assert result.accuracies["untrained"].keys() == {"knn_accuracy"}

    again = methods(tmp_path, "byol").run()
    assert again.accuracies["byol"] == of_pixels
    assert len(trained) == 3
    assert "cross_entropy |" in (tmp_path / "methods.md").read_text()  # of the run before
    for change in ({}, {"seed": 1}):
        if not change:
            (tmp_path / "methods.json").write_text("{")  # damaged
        shutil.rmtree(tmp_path / "byol")
        methods(tmp_path, "byol", **change).run()
    assert trained[3:] == ["byol_digits_small"] * 2


def test_every_method_has_a_recipe_and_settings_that_suit_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(TwoStage, "__init__", lambda self, recipe, settings: None)
    for name in Methods.NAMES:
        found = methods(tmp_path, name, batch_size=None)
        assert found.recipe(name).name == f"{name}_digits_small"
        settings = found.settings(name)
        assert settings.output_dir == tmp_path / name
        assert (settings.dataset, settings.image_size) == ("digits", (8, 8))
        has_queue = name in ("moco", "moco_supcon", "nnclr")
        assert settings.queue_size == (128 if has_queue else None)
    assert methods(tmp_path, "moco", queue_size=300).settings("moco").queue_size == 300
    assert methods(tmp_path, "moco").settings("moco").queue_size == 256  # a batch at least
    assert not list(tmp_path.iterdir())


def test_gray_images_of_another_data_set_are_trained_in_color(tmp_path, monkeypatch):
    """The data set is made of the digits, twice as large."""
    import tensorflow as tf

    from keras_supcon.experiments.image_batches import ImageBatches
    from keras_supcon.experiments.workers import Workers

    load_epochs = data.load_epochs

    def large(name, *arguments, **options):
        batches = load_epochs("digits", *arguments, **options)
        scaled = batches.map(lambda image, label: (tf.repeat(image, 2, axis=1), label))
        scaled.class_names = batches.class_names
        return scaled

    monkeypatch.setattr(data, "load_epochs", large)
    workers = Workers.join("default", None, None)
    batches = ImageBatches("gray", None, 0, workers).training("train", 4, 1, (0, 0), None, True)
    images, labels = next(iter(batches))
    assert images.shape == (4, 16, 8, 3)
    np.testing.assert_array_equal(images[..., 0], images[..., 2])
    assert labels.shape == (4, 10)


@pytest.mark.parametrize(
    ("names", "fields", "message"),
    [
        ((), {}, "`methods` should be some of"),
        (("mocco",), {}, "`methods` should be one of .* Received: methods='mocco'"),
        (("moco",), {"mode": "pretrain"}, "`mode` should be None"),
        (("moco",), {"queue_size": 100}, "`queue_size` should be at least the 256 keys"),
        (("moco",), {"encoder_depth": 11}, "`encoder_depth` should be one of"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_written(tmp_path, names, fields, message):
    with pytest.raises(ValueError, match=message):
        methods(tmp_path / "run", *names, **fields).run()
    assert not (tmp_path / "run").exists()
