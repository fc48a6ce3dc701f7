"""Co2L: anchors of the current task, and a teacher that stays as the networks were."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_supcon
from keras_supcon import losses
from keras_supcon.callbacks import Checkpoint
from tests.losses import double_loop
from tests.models.methods import DIM, FEATURES, ON_TENSORFLOW, dense_encoder, steps, weights_of

pytestmark = pytest.mark.neutral

LABELS = np.array([0, 2, 1, 2, 3, 0, 3, -1])


def make(encoder=None, *, loss=None, run_eagerly=ON_TENSORFLOW, seed=0, **options):
    keras.utils.set_random_seed(seed)
    encoder = dense_encoder() if encoder is None else encoder
    head = keras_supcon.ProjectionHead(DIM, hidden_units=(7,))
    model = keras_supcon.Co2L(encoder, head, **options)
    model.build((None, FEATURES))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, run_eagerly=run_eagerly)
    return model


@pytest.fixture
def views(rng):
    return rng.normal(size=(8, 2, FEATURES)).astype("float32")


def projections(model, views, training):
    rows = views.reshape(-1, FEATURES)
    features = model.encoder(rows, training=training)
    rows = ops.convert_to_numpy(model.projection_head(features, training=training))
    return rows.reshape(len(views), -1, DIM)


def logs_of(model, views, labels):
    return model.evaluate(views, labels, batch_size=len(views), verbose=0, return_dict=True)


def test_the_value_of_the_authors():
    """Of the rows that they average over all, and multiply by the temperature over 0.07."""

    def unit(rows, start):
        z = np.sin(start + 1.7 * np.arange(rows * 4)).reshape(rows, 4)
        return (z / np.linalg.norm(z, axis=1, keepdims=True)).astype("float32")

    y, views = np.array([0, 0, 1, 1, 2, 3]), np.stack([unit(6, 1.0), unit(6, 5.0)], axis=1)
    rows = keras.Sequential([keras.Input((4,)), keras.layers.Activation("linear")])
    model = keras_supcon.Co2L(rows, None, augment_in_evaluation=False)
    model.compile()
    assert model.loss.temperature == 0.5
    model.begin_task([2, 3])
    logs = logs_of(model, views, y)
    assert logs["loss"] == pytest.approx(4.231912563478938, rel=1e-6)
    assert logs["contrastive_loss"] == pytest.approx(logs["loss"], rel=1e-6)
    share = np.isin(y, model.current_classes).mean()
    of_authors = logs["loss"] * share * model.loss.temperature / 0.07
    assert of_authors == pytest.approx(10.07598229399747, rel=1e-6)


def test_the_loss_is_that_of_current_anchors_and_of_all_relations(views):
    """The teacher is what the networks were when the task began, in inference mode."""
    distillation = losses.RelationDistillationLoss(0.3, 0.1)
    model = make(distillation_weight=0.7, distillation_loss=distillation)
    model.begin_task([0, 1])
    steps(model, views, LABELS, 2)
    teacher = projections(model, views, training=False)
    model.begin_task([2, 3])
    steps(model, views, LABELS, 2)
    student = projections(model, views, training=False)
    per_sample = double_loop.supcon(LABELS, student, 0.5)
    contrastive = per_sample[np.isin(LABELS, [2, 3])].mean()
    relations = double_loop.relation_distillation(teacher, student, 0.3, 0.1).mean()
    assert logs_of(model, views, LABELS) == pytest.approx(
        {
            "loss": contrastive + 0.7 * relations,
            "contrastive_loss": contrastive,
            "distillation_loss": relations,
        },
        rel=1e-4,
    )
    model.begin_task()  # without classes all are anchors
    logs = logs_of(model, views, LABELS)
    assert logs["contrastive_loss"] == pytest.approx(per_sample.mean(), rel=1e-4)


def test_all_samples_are_anchors_without_asymmetry(views):
    model = make(asymmetric=False)
    model.begin_task([2, 3])
    expected = double_loop.supcon(LABELS, projections(model, views, training=False), 0.5).mean()
    assert logs_of(model, views, LABELS)["loss"] == pytest.approx(expected, rel=1e-5)
    unlabeled = double_loop.supcon(0 * LABELS - 1, projections(model, views, False), 0.5).mean()
    loss = model.evaluate(views, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(unlabeled, rel=1e-5)


def test_samples_of_the_buffer_are_pushed_away_by_anchors_alone(views):
    """A batch of them alone trains nothing; beside anchors they are negatives, with gradient."""
    model = make(dense_encoder(batch_norm=False))
    model.begin_task([2, 3])
    before = weights_of(model.encoder)
    assert steps(model, views, LABELS % 2, 1) == [0]
    for path, value in weights_of(model.encoder).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    (loss,) = steps(model, views, np.array([2, 2, 0, 0, 0, 1, 1, 1]), 1)
    assert loss > 1


@pytest.mark.parametrize("micro_batch_size", [None, 4])
@pytest.mark.parametrize("begins", [False, True])
def test_the_first_task_is_that_of_a_contrastive_model(views, micro_batch_size, begins):
    model = make(micro_batch_size=micro_batch_size)
    keras.utils.set_random_seed(0)
    head = keras_supcon.ProjectionHead(DIM, hidden_units=(7,))
    other = keras_supcon.ContrastiveModel(dense_encoder(), head, micro_batch_size=micro_batch_size)
    other.build((None, FEATURES))
    other.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras_supcon.SupConLoss(0.5),
        run_eagerly=ON_TENSORFLOW,
    )
    for one, weight in zip(
        [*model.encoder.weights, *model.projection_head.weights], other.weights, strict=True
    ):
        one.assign(ops.convert_to_numpy(weight))
    if begins:
        model.begin_task(np.abs(LABELS))
        labels = np.abs(LABELS)
    else:
        labels = LABELS
    expected = steps(other, views, labels, 3)
    assert steps(model, views, labels, 3) == pytest.approx(expected, rel=1e-6)


def test_networks_and_optimizer_go_on_from_task_to_task(views):
    model = make()
    model.begin_task([0, 1])
    steps(model, views, LABELS, 2)
    own = [*model.encoder.weights, *model.projection_head.weights, *model.optimizer.variables]
    before = [ops.convert_to_numpy(one).copy() for one in own]
    model.begin_task([2, 3])
    for one, value in zip(own, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), value)
    networks = [*model.encoder.weights, *model.projection_head.weights]
    for one, other in zip(model.teacher.weights, networks, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


def test_the_teacher_stands_still_while_the_networks_train(views):
    """Its batch normalization and its dropout are in inference mode."""
    model = make(dense_encoder(keras.layers.Dropout(0.5, seed=1)), distillation_weight=10.0)
    model.begin_task()
    steps(model, views, LABELS, 2)
    model.begin_task([2, 3])
    before = weights_of(model.teacher)
    teacher = ops.convert_to_numpy(model.teacher.project(views[:, 0], False))
    steps(model, views, LABELS, 3)
    for path, value in weights_of(model.teacher).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    after = model._project_and_teach(ops.convert_to_tensor(views[:, 0]), True)["teacher"]
    np.testing.assert_allclose(ops.convert_to_numpy(after), teacher, rtol=1e-6)
    assert not model.teacher.trainable_variables


def test_what_layers_of_the_teacher_add_to_the_loss_does_not_count(views):
    regularized = keras.layers.Dense(5, activity_regularizer=keras.regularizers.L2(0.1))
    model = make(dense_encoder(regularized, batch_norm=False))
    model.begin_task()
    first = logs_of(model, views, LABELS)
    model.begin_task()
    logs = logs_of(model, views, LABELS)
    assert logs["loss"] - logs["distillation_loss"] == pytest.approx(first["loss"], rel=1e-5)


def test_without_distillation_no_teacher_runs(views, monkeypatch):
    """Neither in the first task nor with a weight of 0."""
    calls = []

    def count(model):
        project = model.teacher.project
        monkeypatch.setattr(
            model.teacher, "project", lambda *args, **kw: calls.append(1) or project(*args, **kw)
        )

    model, unweighted = make(), make(distillation_weight=0)
    for one in (model, unweighted):
        count(one)
        one.begin_task()
        one.fit(views, LABELS, validation_data=(views, LABELS), verbose=0)
        assert not calls
    unweighted.begin_task([2])
    unweighted.fit(views, LABELS, verbose=0)
    assert not calls
    model.begin_task([2])
    model.fit(views, LABELS, verbose=0)
    assert calls


@pytest.mark.slow
def test_a_step_is_made_anew_where_it_has_to_be(views):
    model = make(run_eagerly=False)
    made = []
    for classes in ([0, 1], [2], [3], None):
        model.begin_task(classes)
        model.fit(views, LABELS, verbose=0)
        made.append(model.train_function)
    assert made[0] is not made[1]
    assert made[1] is made[2] is made[3]


def by_task(folder):
    def begin(model, of_two_tasks):
        for classes in ([0, 1], [2, 3]):
            model.begin_task(classes)

    return begin


def by_weights(folder):
    def load(model, of_two_tasks):
        of_two_tasks.save_weights(folder / "model.weights.h5")
        model.load_weights(folder / "model.weights.h5")

    return load


def by_checkpoint(folder):
    def restore(model, of_two_tasks):
        kwargs = {"callbacks": [Checkpoint(folder)], "verbose": 0}
        of_two_tasks.fit(np.zeros((8, 2, FEATURES), "float32"), LABELS, **kwargs)
        Checkpoint(folder).restore(model)

    return restore


@pytest.mark.parametrize("arrive", [by_task, by_weights, by_checkpoint])
def test_a_loop_of_ones_own_has_the_loss_of_the_model(views, tmp_path, arrive):
    """Whether there is a teacher is known without `fit` and `evaluate`."""
    model, other = (make(dense_encoder(batch_norm=False), seed=seed) for seed in (0, 1))
    for classes in ([0, 1], [2, 3]):
        other.begin_task(classes)
    arrive(tmp_path)(model, other)
    inputs = ops.convert_to_tensor(views)
    y_pred = model(inputs, training=True)
    loss = model.compute_loss(inputs, ops.convert_to_tensor(LABELS), y_pred, training=True)
    logs = logs_of(model, views, LABELS)
    assert logs["distillation_loss"] > 0.1
    assert float(ops.convert_to_numpy(loss)) == pytest.approx(logs["loss"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("num_tasks", [1, 2])
def test_a_saved_model_goes_on_within_its_task(views, tmp_path, num_tasks):
    model = make(run_eagerly=False, max_task_classes=3)
    for classes in ([0, 1], [3, 2])[:num_tasks]:
        model.begin_task(classes)
        steps(model, views, LABELS, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.task == num_tasks
    assert loaded.current_classes == ((2, 3) if num_tasks == 2 else (0, 1))
    expected = steps(model, views, LABELS, 2)
    assert steps(loaded, views, LABELS, 2) == pytest.approx(expected, rel=1e-6)
    for one in (model, loaded):
        one.begin_task([0])
    expected = steps(model, views, LABELS, 2)
    assert steps(loaded, views, LABELS, 2) == pytest.approx(expected, rel=1e-6)


class LoadsWhenTrainingBegins(keras.callbacks.Callback):
    """As `keras.callbacks.BackupAndRestore` does, after the step has been made."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        self.model.load_weights(self.path)


@pytest.mark.slow
def test_weights_that_are_loaded_when_training_begins_choose_the_step(views, tmp_path):
    model, path = make(run_eagerly=False), tmp_path / "model.weights.h5"
    for classes in ([0, 1], [2, 3]):
        model.begin_task(classes)
        steps(model, views, LABELS, 2)
    model.save_weights(path)
    fresh = make(run_eagerly=False, seed=1)
    callbacks = [LoadsWhenTrainingBegins(path)]
    logs = fresh.fit(views, LABELS, callbacks=callbacks, shuffle=False, verbose=0).history
    assert fresh.task == 2
    assert logs["distillation_loss"][0] > 0
    for one, other in zip(model.teacher.weights, fresh.teacher.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other))


@pytest.mark.slow
def test_a_run_that_is_killed_within_a_task_ends_like_one_that_is_not(rng, tmp_path):
    x = rng.normal(size=(24, 2, FEATURES)).astype("float32")
    tasks = {1: ([0, 1], rng.integers(0, 2, 24)), 2: ([2, 3], rng.integers(0, 4, 24))}
    batches = 3

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if self.model.task == 2 and epoch == 1:
                raise KeyboardInterrupt

    class Batches(keras.utils.PyDataset):
        def __init__(self, y):
            super().__init__()
            self.y = y

        def __len__(self):
            return batches

        def __getitem__(self, index):
            part = slice(8 * index, 8 * index + 8)
            return x[part], self.y[part]

    def run(folder, callbacks=()):
        model = make()
        for task, (classes, y) in tasks.items():
            checkpoint = Checkpoint(folder / str(task))
            position = checkpoint.restore(model)
            if model.task < task:
                model.begin_task(classes)
            model.fit(
                Batches(y),
                initial_epoch=position.epoch,
                epochs=2,
                callbacks=[checkpoint, *callbacks],
                shuffle=False,
                verbose=0,
            )
        return model

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", [Kill()])
    resumed, whole = run(tmp_path / "killed"), run(tmp_path / "whole")
    assert resumed.task == 2
    for one, other in zip(resumed.weights, whole.weights, strict=True):
        first, second = ops.convert_to_numpy(one), ops.convert_to_numpy(other)
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-7, err_msg=one.path)


@pytest.mark.slow
def test_a_classifier_and_a_learned_temperature_go_along(views):
    model = make(classifier=4, stop_gradient=True, learnable_temperature=True)
    plain = make()
    for one, weight in zip(
        [*plain.encoder.weights, *plain.projection_head.weights],
        [*model.encoder.weights, *model.projection_head.weights],
        strict=True,
    ):
        one.assign(ops.convert_to_numpy(weight))
    for classes in ([0, 1], [2, 3]):
        for one in (plain, model):
            one.begin_task(classes)
        expected, logs = (one.fit(views, LABELS, verbose=0).history for one in (plain, model))
    assert model.temperature != 0.5
    assert logs["distillation_loss"] == pytest.approx(expected["distillation_loss"], rel=0.2)
    parts = ("contrastive_loss", "distillation_loss", "classifier_loss")
    assert logs["loss"][0] == pytest.approx(sum(logs[name][0] for name in parts), rel=1e-5)


def test_angles_may_be_distilled_instead(views):
    model = make(distillation_loss=losses.NegativeCosineLoss())
    model.begin_task()
    steps(model, views, LABELS, 1)
    model.begin_task([2, 3])
    assert logs_of(model, views, LABELS)["distillation_loss"] == pytest.approx(0, abs=1e-5)
    steps(model, views, LABELS, 2)
    assert logs_of(model, views, LABELS)["distillation_loss"] > 1e-4


@pytest.mark.parametrize("labels", ["ids", "column", "one-hot"])
def test_labels_may_have_every_form_of_the_loss(views, labels):
    y = np.abs(LABELS)
    model = make()
    model.begin_task([2, 3])
    expected = logs_of(model, views, y)
    form = {"ids": y, "column": y[:, None], "one-hot": np.eye(4)[y]}[labels]
    assert logs_of(model, views, form) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        np.array,
        lambda ids: np.array(ids)[:, None],
        lambda ids: np.array(ids, "float64"),
        lambda ids: ops.convert_to_tensor(ids, "int32"),
        lambda ids: ops.convert_to_tensor(np.array(ids)[:, None], "int32"),
        set,
        iter,
        lambda ids: [np.int64(one) for one in ids],
    ],
)
def test_classes_may_be_labels_of_the_samples(form):
    model = make()
    assert model.task == 0
    assert model.current_classes is None
    model.begin_task(form([7, 7, 2**31 - 1, 5]))
    assert model.current_classes == (5, 7, 2**31 - 1)
    model.begin_task()
    assert model.task == 2
    assert model.current_classes is None


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "should be one or more class ids, or None"),
        (np.array([], int), "should be one or more class ids, or None"),
        ([True], "should be one or more class ids"),
        (LABELS == 2, "should be one or more class ids"),
        ([-1], "should be class ids from 0 .* Received: -1 in row 0"),
        (LABELS, "should be class ids from 0 .* Received: -1 in row 7"),
        ([2**31], "should be class ids from 0 to 2147483647"),
        ([0.5], "should be whole numbers"),
        ("01", "should be class ids of shape"),
        (3, "should be class ids of shape"),
        ({2: "cat"}, "should be class ids of shape"),
        (np.eye(3), r"`argmax\(axis=1\)` makes ids of one-hot rows"),
    ],
)
def test_other_classes_are_refused(classes, message):
    model = make(max_task_classes=2)
    with pytest.raises(ValueError, match=f"`classes` .*{message}"):
        model.begin_task(classes)
    with pytest.raises(
        ValueError, match="`max_task_classes` should be at least .* 3. Received: .*=2"
    ):
        model.begin_task([4, 5, 6])
    assert model.task == 0


def test_other_options_are_refused():
    head = keras_supcon.ProjectionHead(DIM)
    for options, sentence in (
        ({"distillation_weight": -1}, "`distillation_weight` should be a number of at least 0"),
        ({"distillation_loss": "mse"}, "`distillation_loss` should be a loss of teacher and"),
        ({"distillation_loss": losses.SupConLoss()}, "`distillation_loss` should be a loss of"),
        ({"asymmetric": "no"}, "`asymmetric` should be True or False"),
        ({"max_task_classes": 0}, "`max_task_classes` should be a whole number of at least 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            keras_supcon.Co2L(dense_encoder(), head, **options)
    model = keras_supcon.Co2L(dense_encoder(), head)
    with pytest.raises(ValueError, match="`loss` of `Co2L` should be a contrastive loss"):
        model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="should have the reduction 'sum_over_batch_size'"):
        model.compile("sgd", losses.SupConLoss(reduction="sum"))
    model.begin_task()
    for reduction in ("sum", None):
        with pytest.raises(ValueError, match="`distillation_loss` should have the reduction"):
            make(distillation_loss=losses.NegativeCosineLoss(reduction=reduction))
    with pytest.raises(ValueError, match="should be built, as by `fit`, before its second task"):
        model.begin_task()
    assert model.task == 1


def test_labels_are_needed_for_anchors(views):
    model = make()
    model.begin_task([1])
    with pytest.raises(ValueError, match="should have labels"):
        model.fit(views, verbose=0)
