"""Transfer: each data set by its own metric, and one that fails does not stop the others."""

import keras
import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.evaluation import (
    TRANSFER_DATASETS,
    TransferDataset,
    linear_evaluation,
    transfer_evaluation,
)

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="`tf.data` reads the named data sets"
)


def flat_encoder(side=8, channels=1):
    shape = (side, side, channels)
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten()])


@pytest.mark.neutral
def test_the_twelve_sets_of_the_paper_are_listed():
    assert len({one.name for one in TRANSFER_DATASETS}) == 12
    by_name = {one.name: one for one in TRANSFER_DATASETS}
    per_class = {"Aircraft", "Pets", "Caltech-101", "Flowers-102"}
    assert {one.name for one in TRANSFER_DATASETS if one.metric == "mean_per_class"} == per_class
    assert by_name["VOC2007"].metric == "mean_average_precision"
    assert {one.name for one in TRANSFER_DATASETS if one.source is None} == {"Birdsnap", "Aircraft"}


@pytest.mark.neutral
def test_sets_are_measured_by_their_metrics(rng):
    def several(split):
        labels = rng.integers(0, 2, (120, 3))
        rows = 100 * labels + rng.normal(size=(120, 3))
        return [(rows, labels)]

    def one(split):
        images, labels = data.load_arrays("digits", split)
        return [(images.reshape(-1, 64), labels)]

    vectors = keras.layers.Identity()
    sets = [
        TransferDataset("accuracy", one),
        TransferDataset("per class", one, metric="mean_per_class"),
        TransferDataset("several", several, validation="val", metric="mean_average_precision"),
        TransferDataset("missing", None),
    ]
    told = []
    result = transfer_evaluation(
        vectors, sets, on_progress=lambda done, total: told.append((done, total))
    )
    splits = [one(split)[0] for split in ("train", "test")]
    expected = linear_evaluation(*splits[0], *splits[1])
    assert result.scores["accuracy"] == expected.accuracy
    assert result.scores["per class"] == pytest.approx(result.parts["per class"].mean_per_class)
    assert result.scores["several"] > 0.99
    assert result.mean == pytest.approx(np.mean(list(result.scores.values())))
    assert "missing is not in TFDS" in result.failed["missing"]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert result.rows()[-1]["data set"] == "mean"
    assert result.plot().axes


@needs_tensorflow
def test_named_sets_are_read_by_tensorflow_datasets(tmp_path):
    result = transfer_evaluation(
        flat_encoder(), ["digits", "no_such_set"], data_dir=tmp_path, image_size=(8, 8)
    )
    assert list(result.scores) == ["digits"]
    assert result.scores["digits"] > 0.9
    assert "no_such_set" in result.failed["no_such_set"]


@needs_tensorflow
def test_voc_has_several_labels_and_some_that_are_hard_to_see(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    class Voc(tfds.core.GeneratorBasedBuilder):
        """A small set with the features of VOC."""

        VERSION = tfds.core.Version("1.0.0")
        name = "small_voc"

        def _info(self):
            label = tfds.features.ClassLabel(num_classes=3)
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(shape=(None, None, 3)),
                        "labels": tfds.features.Sequence(label),
                        "labels_no_difficult": tfds.features.Sequence(label),
                    }
                )
            )

        def _split_generators(self, manager):
            return {split: self._examples(split) for split in ("train", "validation", "test")}

        def _generate_examples(self):
            raise AssertionError

        def _examples(self, split):
            rng = np.random.default_rng(len(split))
            for i in range(60):
                shown = rng.integers(0, 2, 3)
                image = np.zeros((12, 10, 3), "uint8")
                image[:] = 200 * shown + rng.integers(0, 50, (12, 10, 3))
                labels = np.flatnonzero(shown)
                clear = labels[:-1] if i % 10 == 9 else labels
                yield i, {"image": image, "labels": labels, "labels_no_difficult": clear}

    Voc(data_dir=tmp_path).download_and_prepare()
    batches = list(data.load_multi_label("small_voc", "test", 25, (8, 8), data_dir=tmp_path))
    assert [tuple(images.shape) for images, _ in batches] == [
        (25, 8, 8, 3),
        (25, 8, 8, 3),
        (10, 8, 8, 3),
    ]
    labels = np.concatenate([one for _, one in batches])
    assert {*labels.ravel()} == {-1, 0, 1}
    assert 0 < (labels == -1).sum() <= 6
    images = np.concatenate([one for one, _ in batches])
    bright = images.mean(axis=(1, 2)) > 110
    np.testing.assert_array_equal(bright, labels != 0)
    sets = [
        TransferDataset(
            "VOC", "small_voc", validation="validation", metric="mean_average_precision"
        )
    ]
    result = transfer_evaluation(flat_encoder(8, 3), sets, data_dir=tmp_path, image_size=(8, 8))
    assert result.failed == {}
    assert result.scores["VOC"] > 0.95
    with pytest.raises(ValueError, match="should be one of"):
        data.load_multi_label("small_voc", "no_split", 25, (8, 8), data_dir=tmp_path)


@pytest.mark.neutral
def test_refuses_wrong_input():
    for datasets in ([], "digits", [3]):
        with pytest.raises(ValueError, match="`datasets` should be a sequence of one or more"):
            transfer_evaluation(flat_encoder(), datasets)
    with pytest.raises(ValueError, match="data sets of different names"):
        transfer_evaluation(flat_encoder(), ["digits", "digits"])
    with pytest.raises(ValueError, match="`metric` should be one of"):
        TransferDataset("x", "x", metric="recall")
    with pytest.raises(ValueError, match="`validation` should be a split.*validation=0.1"):
        TransferDataset("x", "x", metric="mean_average_precision")
