"""Trials in a folder: each is run once, and none is mixed with another."""

import dataclasses
import json

import numpy as np
import pytest

from keras_supcon.experiments import CROSS_ENTROPY, Images, Training, Trial, Trials
from keras_supcon.experiments.trials import images as images_module
from keras_supcon.experiments.trials import trials as module
from keras_supcon.experiments.trials.images import ImageReader
from keras_supcon.experiments.trials.measurements import (
    MEASUREMENTS,
    check_measurement,
    measure,
    numbers_of,
)
from keras_supcon.experiments.trials.trainer import Trainer
from keras_supcon.recipes import Component

pytestmark = pytest.mark.neutral

TRAINING = Training(
    images=Images(dataset="digits", train_images=100),
    encoder=Component("ResNet", {"depth": 10, "width": 0.0625, "stem": "cifar"}),
    epochs=1,
    batch_size=32,
)


@pytest.fixture
def trained(monkeypatch):
    """Trains nothing; returns the list of what would have been trained."""
    done = []

    class Fake:
        def __init__(self, training, reader):
            self.training, self.arrays = training, reader.read(training.images)

        def check(self):
            pass

        def train(self, seed):
            done.append((self.training, seed))
            return self.training, seed

    def measure(trained, name):
        training, seed = trained
        return {name: seed + training.epochs / 100}

    monkeypatch.setattr(module, "Trainer", Fake)
    monkeypatch.setattr(module, "measure", measure)
    return done


def test_a_trial_is_run_once_and_with_all_measurements(tmp_path, trained):
    wanted = [
        Trial(TRAINING, 0, ("accuracy",)),
        Trial(TRAINING, 0, ("knn", "accuracy")),
        Trial(TRAINING, 1, ("knn",)),
    ]
    results = Trials(tmp_path).run(wanted)
    assert trained == [(TRAINING, 0), (TRAINING, 1)]
    assert results.number(TRAINING, 0, "accuracy") == results.number(TRAINING, 0, "knn") == 0.01
    again = Trials(tmp_path).run(wanted)
    assert len(trained) == 2
    assert again.number(TRAINING, 1, "knn") == 1.01
    with pytest.raises(KeyError):
        again.number(TRAINING, 1, "accuracy")
    # Another measurement needs the encoder again, and leaves what is there.
    Trials(tmp_path).run([Trial(TRAINING, 1, ("linear",))])
    assert trained[2:] == [(TRAINING, 1)]
    assert Trials(tmp_path).run(wanted).number(TRAINING, 1, "knn") == 1.01
    assert len(trained) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"learning_rate": 1e-3},
        {"epochs": 2},
        {"loss": Component("SupConLoss", {"temperature": 0.2})},
        {"images": Images(dataset="digits", train_images=101)},
        {"model": CROSS_ENTROPY},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_other_settings_are_another_trial(fields, tmp_path, trained):
    other = dataclasses.replace(TRAINING, **fields)
    for training in (TRAINING, other, TRAINING):
        Trials(tmp_path).run([Trial(training, 0)])
    assert trained == [(TRAINING, 0), (other, 0)]


@pytest.mark.parametrize("part", ["training", "data", "environment", "seed", "whole", "damage"])
def test_a_file_of_another_trial_counts_for_nothing(part, tmp_path, trained):
    Trials(tmp_path).run([Trial(TRAINING, 0)])
    (path,) = tmp_path.glob("*/*/seed-0.json")
    content = json.loads(path.read_text())
    if part == "damage":
        path.write_text(path.read_text()[:-20])
    else:
        path.write_text(json.dumps([] if part == "whole" else {**content, part: "another"}))
    results = Trials(tmp_path).run([Trial(TRAINING, 0)])
    assert len(trained) == 2
    assert results.number(TRAINING, 0, "accuracy") == 0.01
    assert json.loads(path.read_text())["data"] == content["data"]


@pytest.mark.parametrize(
    "results",
    [
        {"numbers": None},
        {"numbers": {}},
        {"numbers": {"accuracy": {}}},
        {"numbers": {"accuracy": {"accuracy": "0.5"}}},
        {"numbers": {"accuracy": 0.5}},
        {"seconds": {}},
        {"seconds": {"accuracy": None}},
        {"images": None},
    ],
    ids=str,
)
def test_a_damaged_result_counts_for_nothing(results, tmp_path, trained):
    Trials(tmp_path).run([Trial(TRAINING, 0)])
    (path,) = tmp_path.glob("*/*/seed-0.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "results": {**content["results"], **results}}))
    found = Trials(tmp_path).run([Trial(TRAINING, 0)])
    assert len(trained) == 2
    assert found.number(TRAINING, 0, "accuracy") == 0.01
    Trials(tmp_path).run([Trial(TRAINING, 0)])
    assert len(trained) == 2


def test_results_of_another_environment_stay(tmp_path, trained, monkeypatch):
    for backend in ("one", "another", "one"):
        monkeypatch.setattr(module, "versions", lambda backend=backend: {"backend": backend})
        Trials(tmp_path).run([Trial(TRAINING, 0)])
    assert len(trained) == 2


def test_a_killed_run_goes_on_with_what_is_missing(tmp_path, trained, monkeypatch):
    wanted = [Trial(TRAINING, seed) for seed in range(4)]

    def stop(done, total):
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trials(tmp_path).run(wanted, on_progress=stop)
    Trials(tmp_path).run(wanted)
    assert [seed for _, seed in trained] == [0, 1, 2, 3]


def test_nothing_begins_after_the_deadline(tmp_path, trained):
    results = Trials(tmp_path).run([Trial(TRAINING, 0)], deadline=0.0)
    assert not trained
    assert not results.holds(TRAINING, 0)


def test_data_sets_of_measurements_are_looked_for_before_training(tmp_path, trained):
    with pytest.raises((ValueError, RuntimeError, ImportError)):
        Trials(tmp_path).run([Trial(TRAINING, 0, ("transfer:none_such",))])
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        Trials(tmp_path).run([Trial(TRAINING, 0, ("finer:kind",))])
    assert not trained


@pytest.mark.parametrize("name", ["projection", "head"])
@pytest.mark.parametrize("fields", [{"head": None}, {"model": CROSS_ENTROPY}], ids=str)
def test_measurements_of_a_head_that_is_not_there_are_refused(name, fields, tmp_path, trained):
    other = dataclasses.replace(TRAINING, **fields)
    with pytest.raises(ValueError, match=f"The measurement '{name}' should be of a training with"):
        Trials(tmp_path).run([Trial(TRAINING, 0), Trial(other, 0, ("accuracy", name))])
    assert not trained


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "SupConLoss"}, "`loss` should be a `Component`"),
        ({"head": "ProjectionHead"}, "`head` should be a `Component`"),
        ({"transformations": Component("RandomFlip")}, "`transformations` should be a sequence"),
        ({"joint_classifier": 1}, "`joint_classifier` should be True or False"),
        ({"images": "digits"}, "`images` should be `Images`"),
        ({"classifier_trains_encoder": True}, "should be False without joint_classifier"),
        ({"logit_adjusted": True}, "`logit_adjusted` should be False without a classifier"),
        (
            {"model": CROSS_ENTROPY, "class_centers": True},
            "`class_centers` should be False without a contrastive loss",
        ),
    ],
    ids=str,
)
def test_fields_of_another_kind_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TRAINING, **fields)


def test_progress_begins_with_what_is_there(tmp_path, trained):
    told = []
    for seeds in (2, 5, 5):
        wanted = [Trial(TRAINING, seed) for seed in range(seeds)]
        Trials(tmp_path).run(wanted, on_progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2), (2, 5), (3, 5), (4, 5), (5, 5), (5, 5)]


@pytest.mark.quickest
@pytest.mark.slow
def test_processes_tell_of_each_training(tmp_path):
    told = []

    def count(done, total):
        told.append((done, len(list(tmp_path.glob("*/*/seed-*.json")))))

    wanted = [Trial(TRAINING, seed, ("knn",)) for seed in range(3)]
    Trials(tmp_path, processes=2).run(wanted, on_progress=count)
    assert told == [(1, 1), (2, 2), (3, 3)]


def test_other_images_of_a_measurement_are_measured_again(tmp_path, trained, monkeypatch):
    wanted = [Trial(TRAINING, 0, ("accuracy", "transfer:digits"))]
    Trials(tmp_path).run(wanted)
    Trials(tmp_path).run(wanted)
    assert len(trained) == 1
    known = images_module.read_images

    def brighter(images, data_dir):
        arrays = known(images, data_dir)
        is_other = images != TRAINING.images
        return arrays._replace(test=arrays.test ^ 1) if is_other else arrays

    monkeypatch.setattr(images_module, "read_images", brighter)
    Trials(tmp_path).run([Trial(TRAINING, 0)])
    assert len(trained) == 1
    Trials(tmp_path).run(wanted)
    Trials(tmp_path).run(wanted)
    assert len(trained) == 2


@pytest.mark.parametrize("name", ["", "acc", "transfer", "transfer:", "knn:5", 3])
def test_unknown_measurements_are_refused(name):
    with pytest.raises(ValueError, match="A measurement should be among"):
        Trial(TRAINING, 0, (name,))
    assert check_measurement("transfer:digits") == "transfer:digits"


def test_numbers_of_the_same_measurement_of_other_images_are_apart(tmp_path, trained):
    names = ("transfer:digits", "transfer:none", "finer:kind")
    assert [numbers_of(name) for name in names] == [(name,) for name in names]
    assert len({number for name in MEASUREMENTS for number in numbers_of(name)}) == sum(
        len(numbers_of(name)) for name in MEASUREMENTS
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", [TRAINING.model, CROSS_ENTROPY], ids=["SupCon", "CrossEntropy"])
def test_a_training_that_diverges_measures_nothing(model, tmp_path):
    """And does not stop the others."""
    wild = dataclasses.replace(TRAINING, learning_rate=1e30, model=model)
    trials = [Trial(one, 0, ("accuracy", "few_labels")) for one in (wild, TRAINING)]
    for _ in range(2):
        results = Trials(tmp_path).run(trials)
        for name in ("accuracy", *numbers_of("few_labels")):
            assert np.isnan(results.number(wild, 0, name))
            assert 0 <= results.number(TRAINING, 0, name) <= 1


def test_a_training_of_an_earlier_version_is_found():
    """Fields that came later are not in its record."""
    training = Training(images=Images(dataset="digits", train_images=500), epochs=3)
    assert training.images.digest == "f2a38de56115bf432f0e"
    assert training.digest == "7ce78fe28028b25851bc"
    for field in ("joint_classifier", "classifier_trains_encoder", "logit_adjusted"):
        before, training = training.digest, dataclasses.replace(training, joint_classifier=True)
        training = dataclasses.replace(training, **{field: True})
        assert training.digest != before


@pytest.mark.quickest
@pytest.mark.slow
@pytest.mark.parametrize("method", ["SupCon", "balanced", "joint", "cross-entropy"])
def test_accuracies_of_many_and_few_and_of_classes_taken_for_equal(method, tmp_path):
    images = Images(dataset="digits", imbalance=20, train_images=300)
    training = dataclasses.replace(TRAINING, images=images)
    balanced = {"loss": Component("BalancedSupConLoss"), "class_centers": True}
    joint = {"joint_classifier": True, "classifier_trains_encoder": True, "logit_adjusted": True}
    fields = {
        "SupCon": {},
        "balanced": balanced,
        "joint": {**balanced, **joint},
        "cross-entropy": {"model": CROSS_ENTROPY, "head": None, "logit_adjusted": True},
    }[method]
    training = dataclasses.replace(training, **fields)
    trained = Trainer(training, ImageReader(tmp_path)).train(0)
    found = {**measure(trained, "accuracy"), **measure(trained, "class_sizes")}
    labels, counts = trained.arrays.test_labels, np.array(trained.arrays.class_counts)
    knows_sizes = training.logit_adjusted
    for prefix, shares in (
        ("", np.ones(10)),
        ("adjusted_", np.ones(10) if knows_sizes else counts),
    ):
        is_right = (trained.probabilities / shares).argmax(axis=1) == labels
        assert found[f"{prefix}accuracy"] == pytest.approx(is_right.mean())
        # The digits of the first classes have the most images.
        for part, rows in (("many", range(3)), ("medium", range(3, 7)), ("few", range(7, 10))):
            expected = np.mean([is_right[labels == label].mean() for label in rows])
            assert found[f"{prefix}{part}"] == pytest.approx(expected)


@pytest.mark.quickest
@pytest.mark.slow
def test_every_measurement_of_both_methods(tmp_path):
    cross_entropy = dataclasses.replace(TRAINING, model=CROSS_ENTROPY, head=None)
    joint = dataclasses.replace(TRAINING, joint_classifier=True)
    names = [name for name in MEASUREMENTS if name not in ("transfer", "finer")]
    of_all = [name for name in names if name not in ("projection", "head")]
    trials = [
        Trial(TRAINING, 0, (*names, "transfer:digits")),
        Trial(cross_entropy, 0, tuple(of_all)),
        Trial(joint, 0, ("accuracy", "linear")),
    ]
    results = Trials(tmp_path).run(trials)
    for trial in trials:
        for name in trial.measurements:
            gray = {number for number in numbers_of(name) if number.startswith("grayscale")}
            assert set(results.names(trial.training, 0, name)) == set(numbers_of(name)) - gray
            for number in results.names(trial.training, 0, name):
                assert np.isfinite(results.number(trial.training, 0, number))
    number = results.number
    assert number(TRAINING, 0, "accuracy") == number(TRAINING, 0, "linear")
    # The same images, a linear classifier on the same features, another draw of none.
    assert abs(number(TRAINING, 0, "transfer:digits") - number(TRAINING, 0, "linear")) < 0.2
    assert number(cross_entropy, 0, "accuracy") != number(cross_entropy, 0, "linear")


@pytest.mark.quickest
@pytest.mark.slow
def test_processes_find_what_one_process_finds(tmp_path, monkeypatch):
    """Also where a process ends after each job, and a new one goes on."""
    monkeypatch.setattr(module, "_JOBS_OF_A_PROCESS", 1)
    trials = [
        Trial(dataclasses.replace(TRAINING, learning_rate=rate), seed, ("knn",))
        for rate in (1e-3, 3e-3, 1e-2)
        for seed in range(2)
    ]
    alone, together = (
        Trials(tmp_path / str(processes), processes=processes).run(trials) for processes in (1, 2)
    )
    for trial in trials:
        numbers = [one.number(trial.training, trial.seed, "knn") for one in (alone, together)]
        assert abs(numbers[0] - numbers[1]) < 0.02  # other threads add in another order
