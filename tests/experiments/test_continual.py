"""Continual learning in a folder: the arms differ in what they say, and a stopped run goes on."""

import dataclasses
import json
import os
import pathlib
import random
import signal

import keras
import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.experiments import Continual, ContinualSettings, continual_models, continual_run
from keras_supcon.experiments.continual_models import learning_rate
from keras_supcon.experiments.continual_settings import ARMS, HYPERPARAMETERS

pytestmark = pytest.mark.neutral
SMALL = {
    "images_per_class": 40,
    "test_images_per_class": 10,
    "num_tasks": 3,
    "buffer_size": 20,
    "batch_size": 32,
    "first_epochs": 2,
    "epochs": 2,
    "learning_rate": 0.1,
    "seeds": 1,
    "verbose": False,
}


def continual(folder: pathlib.Path, **fields) -> Continual:
    return Continual(ContinualSettings(output_dir=folder, **{**SMALL, **fields}))


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch):
    """An encoder with batch statistics, and an augmenter that draws from a generator."""

    def encoder(depth, width, stem):
        del depth, width, stem
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Rescaling(1 / 128),
                keras.layers.Flatten(),
                keras.layers.Dense(24),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
            ]
        )

    class Model(continual_models.Co2L):
        def compile(self, **options):
            # Without a graph on TensorFlow, where tracing it takes longer than these steps.
            eagerly = keras.backend.backend() == "tensorflow"
            super().compile(**options, run_eagerly=eagerly)

    monkeypatch.setattr(continual_models, "Co2L", Model)
    monkeypatch.setattr(continual_models.encoders, "ResNet", encoder)
    monkeypatch.setattr(
        continual_models.augmentation, "SimAugment", lambda **options: keras.layers.Dropout(0.2)
    )


def without_seconds(folder: pathlib.Path) -> list[dict]:
    runs = json.loads((folder / "results.json").read_text())["runs"]
    return [{name: one for name, one in run.items() if "seconds" not in name} for run in runs]


def last_states(folder: pathlib.Path) -> dict[str, list[bytes]]:
    """Returns the bits of the last checkpoint and buffer of each run."""
    states = {}
    for run in sorted((folder / "runs").glob("*")):
        path = max(run.glob("task-*/checkpoints/*.npz"))
        with np.load(path) as arrays:
            states[run.name] = [arrays[name].tobytes() for name in arrays.files if name.isdigit()]
        for path in sorted(run.glob("task-*/buffer.npz")):
            buffer = data.ReplayBuffer.load(path)
            states[run.name] += [buffer.images.tobytes(), buffer.labels.tobytes()]
    return states


class Killed(BaseException):
    pass


@pytest.fixture
def bomb(monkeypatch):
    """Raises after a number of events: steps, embeddings, writes of buffers and results."""
    left = [None]

    def explode_after(owner, name):
        original = getattr(owner, name)

        def replacement(*arguments, **options):
            result = original(*arguments, **options)
            if left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
            return result

        monkeypatch.setattr(owner, name, replacement)

    explode_after(continual_run.StopOnSignal, "on_train_batch_begin")
    explode_after(continual_run.Models, "embed")
    explode_after(data.ReplayBuffer, "save")
    explode_after(continual_run, "write_json")
    return left


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path, bomb):
    fields = {"arms": ("buffer", "co2l"), "checkpoint_every": 2}
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    expected = continual(alone, **fields).run()
    moments, kills = random.Random(20200423), 0
    while True:
        keras.utils.set_random_seed(kills)
        bomb[0] = moments.randint(3, 11)
        try:
            result = continual(killed, **fields).run()
            break
        except Killed:
            kills += 1
            assert kills < 60
    assert kills > 4
    assert without_seconds(killed) == without_seconds(alone)
    assert last_states(killed) == last_states(alone)
    assert result.rows == expected.rows
    assert not list(killed.glob("**/unfinished-*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_signal_ends_the_program_after_a_step_and_the_same_settings_go_on(
    tmp_path, monkeypatch, capfd
):
    fields = {"arms": ("neither",), "num_tasks": 2}
    continual(tmp_path / "alone", **fields).run()
    steps = []
    begin = continual_run.StopOnSignal.on_train_batch_begin

    def send(self, batch, logs=None):
        steps.append(batch)
        if len(steps) == 15:
            os.kill(os.getpid(), signal.SIGTERM)
        begin(self, batch, logs)

    monkeypatch.setattr(continual_run.StopOnSignal, "on_train_batch_begin", send)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        continual(tmp_path / "stopped", **fields).run(handle_signals=True)
    assert caught.value.code == 128 + signal.SIGTERM
    assert "The same settings go on where they were stopped." in capfd.readouterr().err
    assert len(steps) == 15
    assert signal.getsignal(signal.SIGTERM) == before
    continual(tmp_path / "stopped", **fields).run()
    assert len(steps) == 24  # of 2 tasks, 2 epochs and 200 images
    assert without_seconds(tmp_path / "stopped") == without_seconds(tmp_path / "alone")
    assert last_states(tmp_path / "stopped") == last_states(tmp_path / "alone")


@pytest.mark.slow
def test_what_is_done_is_not_done_again_and_other_settings_mix_with_nothing(tmp_path, monkeypatch):
    trained = []

    def note(self, task, buffer):
        trained.append((self._name, self._seed, task.index))

    monkeypatch.setattr(continual_run.ContinualRun, "_train", note)
    monkeypatch.setattr(
        continual_run.Models, "embed", lambda self, arm, images: images.reshape(len(images), -1)
    )
    first = continual(tmp_path, arms=("distillation",)).run()
    of_arm = [("first_task", 0, 0), ("distillation", 0, 1), ("distillation", 0, 2)]
    assert trained == of_arm
    trained.clear()
    both = continual(tmp_path, arms=("distillation", "neither"), checkpoint_every=1).run()
    assert trained == [("neither", 0, 1), ("neither", 0, 2)]
    assert both.summary["distillation"] == first.summary["distillation"]
    for change, expected in (
        ({"distillation_weight": 0.5}, of_arm[1:]),
        ({"buffer_size": 30}, of_arm[1:]),
        ({"epochs": 1}, of_arm[1:]),
        ({"first_epochs": 1}, of_arm),
        ({"images_per_class": 39}, of_arm),
        ({"temperature": 0.4}, of_arm),
        ({"seed": 1}, [(name, 1, task) for name, _, task in of_arm]),
        ({"output_dir": tmp_path / "elsewhere"}, of_arm),
    ):
        trained.clear()
        folder = change.pop("output_dir", tmp_path)
        continual(folder, arms=("distillation",), **change).run()
        assert trained == expected, change
    trained.clear()
    again = continual(tmp_path, arms=("distillation",)).run()
    assert trained == []
    assert again.summary == first.summary


@pytest.mark.quickest
@pytest.mark.slow
def test_arms_train_on_what_they_say_and_share_the_rest(tmp_path, monkeypatch):
    seen = {}

    class Batches(continual_run._Batches):
        def __init__(self, images, labels, batch_size, epochs, seed):
            super().__init__(images, labels, batch_size, epochs, seed)
            key = (arm[0], len([one for one in seen if one[0] == arm[0]]))
            seen[key] = (images.copy(), labels.copy(), batch_size, epochs, seed)

    arm = [None]
    run = continual_run.ContinualRun._train
    models = {}

    def train(self, task, buffer):
        arm[0] = self._name
        run(self, task, buffer)
        model = self._models.of(self._arm)
        models[self._name] = model.distillation_weight, model.asymmetric, model.task

    monkeypatch.setattr(continual_run, "_Batches", Batches)
    monkeypatch.setattr(continual_run.ContinualRun, "_train", train)
    result = continual(tmp_path, distillation_weight=0.3).run()
    assert [row["trained"] for row in result.rows] == [one.title for one in ARMS.values()]
    assert models == {
        "first_task": (0.0, True, 1),
        "neither": (0.0, True, 3),
        "distillation": (0.3, True, 3),
        "buffer": (0.0, True, 3),
        "co2l": (0.3, True, 3),
        "symmetric": (0.3, False, 3),
    }
    own = {0: (0, 1, 2, 3), 1: (4, 5, 6), 2: (7, 8, 9)}
    assert {*seen[("first_task", 0)][1].tolist()} == {*own[0]}
    for name, parts in ARMS.items():
        for place, task in enumerate((1, 2)):
            images, labels, batch_size, epochs, seed = seen[(name, place)]
            expected = {*own[task]}
            if parts.replays:
                expected |= {one for earlier in range(task) for one in own[earlier]}
            assert {*labels.tolist()} == expected
            assert len(labels) == 120 + 20 * parts.replays
            assert (batch_size, epochs) == (32, 2)
            assert seed == seen[("neither", place)][4]
            # All have the same samples of the task, and the same buffer.
            np.testing.assert_array_equal(images[:120], seen[("neither", place)][0])
            if parts.replays:
                np.testing.assert_array_equal(images, seen[("co2l", place)][0])
    for run in result.runs:
        assert [len(row) for row in run["class_accuracies"]] == [1, 2, 3]
        assert run["class_accuracies"][0] == result.runs[0]["class_accuracies"][0]
        for one, other in zip(run["class_accuracies"], run["task_accuracies"], strict=True):
            assert all(a <= b for a, b in zip(one, other, strict=True))
    assert (tmp_path / "table.md").read_text().startswith(f"{result.table}\n")
    assert result.report == tmp_path / "report.html"
    content = json.loads((tmp_path / "report.json").read_text())
    assert "Co2L" in json.dumps(content)


@pytest.mark.quickest
@pytest.mark.slow
def test_domains_are_classes_of_their_own_for_the_loss_and_not_for_the_probe(tmp_path):
    result = continual(
        tmp_path, scenario="domain", arms=("co2l", "buffer"), seeds=2, batch_size=64
    ).run()
    assert list(result.rows[0]) == ["trained", "accuracy", "forgetting", "Co2L minus it, points"]
    for run in result.runs:
        assert run["class_accuracies"] == run["task_accuracies"]
    assert result.summary["co2l"]["class_accuracy"] == [
        np.mean(run["class_accuracies"][-1]) for run in result.runs if run["arm"] == "co2l"
    ]
    buffer = data.ReplayBuffer.load(next(tmp_path.glob("runs/co2l-seed-0-*/task-3/buffer.npz")))
    assert buffer.strategy == "reservoir"
    assert len(np.unique(buffer.labels // 10)) == 2  # of both domains before
    assert max(buffer.labels) < 20


def test_the_learning_rate_starts_again_at_each_task():
    rates = [learning_rate(0.5, epoch, 20) for epoch in range(20)]
    assert rates[:3] == pytest.approx([0.5 / 3, 1 / 3, 0.5])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[11] == pytest.approx(0.25, rel=0.01)
    assert [learning_rate(0.5, epoch, 1) for epoch in range(1)] == [0.5]


def test_every_data_set_has_numbers_and_given_ones_replace_them(tmp_path):
    settings = ContinualSettings(dataset="fashion_mnist", output_dir=tmp_path, epochs=3)
    numbers = settings.hyperparameters
    assert numbers == dataclasses.replace(HYPERPARAMETERS["fashion_mnist"], epochs=3)
    assert settings.buffer_strategy == "class_balanced"
    assert ContinualSettings(scenario="domain").buffer_strategy == "reservoir"
    assert ContinualSettings(arms=["co2l", "neither"]).arms == ("neither", "co2l")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arms": ()}, "`arms` should be a sequence of one or more names"),
        ({"arms": ("both",)}, "`arms` should be one of"),
        ({"scenario": "task"}, "`scenario` should be one of"),
        ({"num_tasks": 1}, "`num_tasks` should be a whole number of at least 2"),
        ({"num_tasks": 11}, "`num_tasks` should be at most the number of classes, 10"),
        ({"num_tasks": 10}, "for two classes in the first task.*Received: num_tasks=10, of which"),
        ({"buffer_size": 6}, "`buffer_size` should be at least the number of classes .*, 7. Rec"),
        (
            {"buffer_size": 3, "buffer_strategy": "reservoir"},
            "`buffer_size` should be large enough.*buffer_size=3, buffer_strategy='reservoir', whi",
        ),
        ({"batch_size": 200}, "`batch_size` should be at most the number of samples .*, 160 in"),
        ({"learning_rate": 0}, "`learning_rate` should be a positive number"),
        ({"buffer_strategy": "herding"}, "`buffer_strategy` should be one of"),
        ({"train_split": "all"}, "`split` of the digits should be one of"),
    ],
)
def test_wrong_settings_are_named_and_nothing_is_written(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        continual(tmp_path / "run", **fields)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder_depth": 11}, "`encoder_depth` should be one of"),
        ({"encoder_width": 0.01}, "`encoder_width` should be at least 1/64"),
        ({"temperature": 1e-30}, "`temperature` should be from 1e-15 to 1e.15"),
        ({"student_temperature": 1e-30}, "`student_temperature` should be from 1e-15"),
        ({"teacher_temperature": 1e30}, "`teacher_temperature` should be from 1e-15"),
        ({"distillation_weight": -1}, "`distillation_weight` should be a number of at least 0"),
    ],
)
def test_what_networks_and_losses_do_not_take_is_refused_before_data_are_read(fields, message):
    with pytest.raises(ValueError, match=message):
        ContinualSettings(**fields)


@pytest.mark.quickest
@pytest.mark.slow
def test_a_training_that_diverges_is_in_the_table(tmp_path):
    fields = {"arms": ("neither", "co2l"), "num_tasks": 2, "seeds": 2, "learning_rate": 1e30}
    for _ in range(2):
        result = continual(tmp_path, **fields).run()
        assert [row["class-IL"] for row in result.rows] == ["diverged with 2 of 2 seeds"] * 2
        assert result.rows[0]["Co2L minus it, points"] == "diverged"
    assert result.report.exists()


def test_the_table_says_of_how_many_classes_tasks_are(tmp_path):
    for num_tasks, words in [(3, "3 tasks of 4 or 3 classes"), (5, "5 tasks of 2 classes")]:
        assert words in continual(tmp_path, num_tasks=num_tasks)._explain(0)


@pytest.mark.quickest
@pytest.mark.slow
def test_a_checkpoint_that_was_removed_is_missed(tmp_path):
    fields = {"arms": ("neither",), "num_tasks": 2}
    continual(tmp_path, **fields).run()
    for run in (tmp_path / "runs").glob("*"):
        for path in run.glob("task-*/checkpoints/*"):
            path.unlink()
        if "neither" in run.name:
            (run / "task-2" / "accuracies.json").unlink()
    with pytest.raises(RuntimeError, match="should hold the checkpoint of the end of its task"):
        continual(tmp_path, **fields).run()
