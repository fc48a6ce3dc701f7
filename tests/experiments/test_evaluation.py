"""Several protocols on saved encoders: results as they come, and failures on the side."""

import json

import keras
import numpy as np
import pytest

from keras_supcon import ContrastiveModel, ProjectionHead, evaluation
from keras_supcon.data import load_arrays
from keras_supcon.experiments import Evaluation, EvaluationSettings
from keras_supcon.experiments.saved_models import load_encoder_of

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="`tf.data` reads the data sets"
)


def pixels(width=64):
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(width, activation="relu", kernel_initializer="orthogonal"),
        ]
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    encoder, other = pixels(), pixels(4)
    model = ContrastiveModel(encoder, ProjectionHead(8, hidden_units=()))
    model(np.zeros((1, 8, 8, 1), "uint8"))
    model.save(folder / "contrastive.keras")
    images = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(10, activation="softmax")(other(images))
    keras.Model(images, outputs).save(folder / "classifier.keras")
    encoder.save(folder / "encoder.keras")
    return folder


def settings(files, output_dir, **changes):
    return EvaluationSettings(
        **{
            "encoder": files / "contrastive.keras",
            "dataset": "digits",
            "output_dir": output_dir,
            "corruption_images": 40,
            "verbose": False,
            **changes,
        }
    )


@pytest.mark.slow
def test_all_protocols_compare_two_models(files, tmp_path):
    every = ("linear", "knn", "few_label", "calibration", "corruption", "retrieval")
    compared = settings(files, tmp_path, baseline=files / "classifier.keras", protocols=every)
    result = Evaluation(compared).run()
    assert result.failures == {}
    assert list(result.results) == list(every)
    assert set(result.comparisons) == {"linear", "knn", "corruption"}
    split = []
    for part in ("train", "test"):
        split += evaluation.embed(
            load_encoder_of(files / "contrastive.keras", "x")[0], load_arrays("digits", part)
        )
    alone = evaluation.linear_evaluation(*split)
    assert result.results["linear"]["contrastive"].accuracy == pytest.approx(
        alone.accuracy, abs=0.01
    )
    assert result.results["linear"]["classifier"].accuracy < alone.accuracy  # four features
    assert result.results["corruption"]["classifier"].mean_corruption_error == pytest.approx(100)
    for name in every:
        content = json.loads((tmp_path / f"{name}.json").read_text())
        assert {"contrastive", "classifier"} <= content.keys()
        assert content["contrastive"]["protocol"]["versions"]["keras"] == keras.__version__
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert record["models"] == {
        "contrastive": "the encoder of a ContrastiveModel",
        "classifier": "a classifier without its last layer",
    }
    page = result.report.read_text()
    for heading in ("Linear evaluation", "Corruption robustness", "Calibration", "Protocols"):
        assert heading in page


def test_a_protocol_that_fails_does_not_lose_the_others(files, tmp_path, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise RuntimeError("no neighbors today")

    monkeypatch.setattr(evaluation, "knn_evaluation", fail)
    result = Evaluation(settings(files, tmp_path, protocols=("knn", "retrieval"))).run()
    assert result.failures == {"knn": "RuntimeError: no neighbors today"}
    assert "retrieval" in result.results
    assert "no neighbors today" in capsys.readouterr().err
    assert "no neighbors today" in result.report.read_text()
    assert not (tmp_path / "knn.json").exists()


def test_results_of_another_run_are_not_overwritten(files, tmp_path):
    one = settings(files, tmp_path, protocols=("knn",))
    Evaluation(one).run()
    with pytest.raises(ValueError, match="should not hold the results of another run"):
        Evaluation(one)
    other = settings(files, tmp_path, protocols=("retrieval",))
    Evaluation(other, overwrite=True).run()
    assert not (tmp_path / "knn.json").exists()


def test_files_of_others_are_not_replaced_and_a_failure_keeps_what_was_there(files, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ValueError, match="results of another run.*report.html"):
        Evaluation(settings(files, tmp_path))
    images = keras.Input((4, 4, 1))
    keras.Model(images, keras.layers.Flatten()(images)).save(tmp_path / "small.keras")
    wrong = settings(files, tmp_path, encoder=tmp_path / "small.keras", protocols=("knn",))
    with pytest.raises(ValueError, match="incompatible|expected shape"):
        Evaluation(wrong, overwrite=True).run()
    assert (tmp_path / "report.html").read_text() == "mine"


def test_heads_are_analyzed_where_there_are_heads(files, tmp_path):
    result = Evaluation(settings(files, tmp_path, protocols=("head",))).run()
    assert result.failures == {}
    assert result.results["head"]["contrastive"]["class"].before > 0.8
    with pytest.raises(ValueError, match="should not have 'head'"):
        Evaluation(
            settings(files, tmp_path / "2", encoder=files / "encoder.keras", protocols=("head",))
        )


@pytest.mark.parametrize(
    ("name", "description", "width"),
    [
        ("contrastive.keras", "the encoder of a ContrastiveModel", 64),
        ("classifier.keras", "a classifier without its last layer", 4),
        ("encoder.keras", "an encoder", 64),
    ],
)
def test_saved_models_give_their_features(files, name, description, width):
    model, said = load_encoder_of(files / name, "encoder")
    assert said == description
    images, labels = load_arrays("digits", "test")
    assert evaluation.embed(model, (images, labels))[0].shape == (355, width)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "none.keras"}, "`encoder` should be the file of a saved Keras model"),
        ({"baseline": "none.keras"}, "`baseline` should be the file of a saved Keras model"),
        ({"protocols": ("linear", "transfer")}, "`protocols` should be one of"),
        ({"protocols": ()}, "`protocols` should be a sequence of one or more"),
        ({"protocols": "knn"}, "`protocols` should be a sequence .*protocols='knn'"),
        ({"corruption_images": 0}, "`corruption_images` should be a whole number"),
        ({"dataset": "no_such_set"}, "`dataset` should be 'digits'"),
        ({"test_split": "validation"}, "`test_split` .*Received: test_split='validation'"),
        ({"train_split": "validation"}, "`train_split` .*Received: train_split='validation'"),
    ],
)
def test_refuses_wrong_input(files, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        Evaluation(settings(files, tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()


def test_figures_of_the_run_that_is_replaced_go_with_it(files, tmp_path):
    for protocols in (("retrieval",), ("knn",)):
        Evaluation(settings(files, tmp_path, protocols=protocols), overwrite=True).run()
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"nearest_neighbors.png"}


def test_a_model_of_several_outputs_is_refused(tmp_path):
    image = keras.Input((8, 8, 1))
    features = keras.layers.Flatten()(image)
    classes = keras.layers.Dense(10, activation="softmax")(features)
    keras.Model(image, [features, classes]).save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match="`encoder` should be a model of one output.*2 outputs"):
        load_encoder_of(tmp_path / "two.keras", "encoder")


def test_refuses_a_damaged_file_and_equal_names(files, tmp_path):
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes((files / "encoder.keras").read_bytes()[:1000])
    with pytest.raises(ValueError, match="which cannot be loaded"):
        load_encoder_of(damaged, "encoder")
    with pytest.raises(ValueError, match="`name` and `baseline_name` should be different"):
        settings(files, tmp_path, baseline=files / "contrastive.keras")
    with pytest.raises(ValueError, match="`image_size` should be given for a folder"):
        Evaluation(settings(files, tmp_path, dataset=str(files)))
