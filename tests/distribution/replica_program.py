"""Trains the same models on the same data with any number of replicas, and writes the results.

    python -m tests.distribution.replica_program --engine=mirrored --replicas=2 --output_dir=folder

Each engine needs a process of its own: devices and strategies are chosen before the first tensor.
"""

import os
import pathlib

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
from absl import app, flags
from keras import ops

import keras_supcon

_ENGINE = flags.DEFINE_enum(
    "engine", "default", ["default", "mirrored", "multi_worker"], "What to train with."
)
_REPLICAS = flags.DEFINE_integer("replicas", 1, "Number of replicas on this machine.")
_CASES = flags.DEFINE_list("cases", [], "Those to train; all if empty.")
_LOSSES = flags.DEFINE_list("losses", [], "Those of the case with several losses; all if empty.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Folder for the results, a file for each worker.", required=True
)

BATCH_SIZE, FEATURES, CLASSES, EPOCHS = 16, 6, 3, 5
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9)


def encoder(shape=(FEATURES,)):
    # On JAX a batch has its global meaning everywhere.
    synchronized = {"synchronized": True} if ON_TENSORFLOW else {}
    normalization = keras.layers.BatchNormalization(**synchronized)
    return keras.Sequential(
        [keras.Input(shape), keras.layers.Dense(8, activation="tanh"), normalization]
    )


def compiled(model, loss=None):
    model.compile(optimizer=sgd(), loss=loss)
    return model


def heads():
    head = keras_supcon.ProjectionHead(4, hidden_units=(7,), normalize=False)
    return head, keras.layers.Dense(4)


def moco(loss=None, **options):
    """Makes a model with a queue, which is empty at first, and networks that move behind."""
    # No number of rows fills it evenly.
    model = keras_supcon.MoCo(encoder(), heads()[0], queue_size=37, momentum=0.9, **options)
    return compiled(model, loss)


def byol():
    return compiled(keras_supcon.BYOL(encoder(), *heads(), momentum=0.8, total_steps=8))


def nnclr():
    return compiled(keras_supcon.NNCLR(encoder(), *heads(), queue_size=37, supervised=True))


def co2l():
    """Makes a model in its first task; in the second one replicas hold different numbers of samples
    of it.
    """
    model = keras_supcon.Co2L(encoder(), heads()[0])
    model.begin_task()
    return compiled(model)


def joint():
    model = keras_supcon.ContrastiveModel(encoder(), heads()[0], classifier=CLASSES)
    return compiled(model, keras_supcon.SupConLoss())


def balanced():
    model = keras_supcon.ContrastiveModel(
        encoder(),
        heads()[0],
        classifier=CLASSES,
        class_counts=range(1, CLASSES + 1),
        class_centers=CLASSES,
    )
    return compiled(model, keras_supcon.BalancedSupConLoss())


def classifier():
    inner = encoder()
    inner.build((None, FEATURES))
    model = keras_supcon.LinearClassifier(inner, CLASSES)
    # Sums over samples, over pairs and over rows, whose dimension is only known by the first batch.
    metrics = [
        "accuracy",
        keras_supcon.metrics.ExpectedCalibrationError(),
        keras_supcon.metrics.Uniformity(),
        keras_supcon.metrics.EffectiveRank(),
    ]
    model.compile(optimizer=sgd(), loss="sparse_categorical_crossentropy", metrics=metrics)
    return model


class FunctionalModel(keras_supcon.distribution.DistributedFit, keras.Model):
    """The losses work in any Keras model."""


def several_losses():
    """Makes an encoder with a head for each loss."""
    heads = {
        "supcon": keras_supcon.SupConLoss(),
        "ntxent": keras_supcon.NTXentLoss(),
        "ntlogistic": keras_supcon.NTLogisticLoss(),
        "npairs": keras_supcon.NPairsLoss(),
        "spread": keras_supcon.SpreadLoss(),
        "triplet": keras_supcon.TripletLoss(),
        "max_margin": keras_supcon.MaxMarginLoss(),
    }
    heads = {
        name: loss for name, loss in heads.items() if name in _LOSSES.value or not _LOSSES.value
    }
    views = keras.Input((2, FEATURES))
    features = encoder((2, FEATURES))(views)
    model = FunctionalModel(views, {name: keras.layers.Dense(4)(features) for name in heads})
    # Eagerly, since tracing seven losses for every replica would take a minute.
    model.compile(optimizer=sgd(), loss=heads, run_eagerly=ON_TENSORFLOW)
    return model


# A last batch of 5, shared out as 3 and 2, or as 2, 2, 1 and none. JAX itself cannot lay out five
# rows over two devices.
UNEVEN = 21 if ON_TENSORFLOW else 32

# name: (how to make the model, number of samples)
CASES = {
    "several losses": (several_losses, 32),
    "queue": (lambda: moco(keras_supcon.SupConLoss()), UNEVEN),
    "micro-batches": (lambda: moco(symmetric=True, micro_batch_size=4), 32),
    "BYOL": (byol, UNEVEN),
    "NNCLR": (nnclr, UNEVEN),
    "Co2L": (co2l, UNEVEN),
    "joint": (joint, UNEVEN),
    "balanced": (balanced, UNEVEN),
    "classifier": (classifier, 48),
}


class HalfMendedModel(keras_supcon.distribution.DistributedFit, keras.Model):
    """Builds under a strategy, and leaves the average over replicas to Keras."""

    make_train_function = keras.Model.make_train_function


def fails(cls, strategy):
    """Checks whether a model cannot be fitted."""
    with strategy.scope():
        inputs = keras.Input((FEATURES,))
        model = cls(inputs, keras.layers.Dense(1)(inputs))
        model.compile(optimizer=sgd(), loss="mse")
    try:
        model.fit(
            batches(np.ones((16, FEATURES), "float32"), np.ones((16, 1), "float32")), verbose=0
        )
    except ValueError:
        return True
    return False


EVALUATED = ("queue", "Co2L", "classifier")
UNLABELED = ("queue", "NNCLR", "Co2L", "joint")


def train(name, strategy):
    """Losses of the epochs and weights, of some an evaluation and predictions too."""
    make, num_samples = CASES[name]
    rng = np.random.default_rng(7)
    x = rng.normal(size=(num_samples, 2, FEATURES)).astype("float32")
    labels = rng.integers(0, CLASSES, num_samples)
    if name in UNLABELED:
        labels[::5] = -1
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = make()
        if isinstance(model, keras_supcon.LinearClassifier):
            x = x[:, 0]
        if not model.built:
            model.build((None, *x.shape[1:]))
        model.optimizer.build(model.trainable_variables)  # or the first step would be traced twice
    if isinstance(model, keras_supcon.Co2L):
        model.begin_task([0, 2])
    data = batches(
        x, dict.fromkeys(model.output, labels) if isinstance(model, FunctionalModel) else labels
    )
    history = model.fit(data, epochs=EPOCHS, verbose=0, shuffle=False).history
    results = {f"history of {name}": np.array(values) for name, values in history.items()}
    results |= {
        f"weight {i}": np.asarray(ops.convert_to_numpy(weight))
        for i, weight in enumerate(model.weights)
    }
    if name in EVALUATED:
        evaluation = model.evaluate(data, verbose=0, return_dict=True)
        results |= {
            f"evaluation of {metric}": np.array(value) for metric, value in evaluation.items()
        }
        # Workers read every second sample each: the predictions are all there, in another order.
        predictions = keras.tree.flatten(model.predict(data, verbose=0))
        predictions = np.concatenate([one.reshape(num_samples, -1) for one in predictions], axis=1)
        results["predictions"] = np.sort(predictions, axis=0)
    return results


def batches(x, labels):
    if not ON_TENSORFLOW:
        return ArrayBatches(x, labels)
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return tf.data.Dataset.from_tensor_slices((x, labels)).batch(BATCH_SIZE).with_options(options)


class ArrayBatches(keras.utils.PyDataset):
    def __init__(self, x, labels):
        super().__init__()
        self.data = x, labels

    def __len__(self):
        return -(-len(self.data[0]) // BATCH_SIZE)

    def __getitem__(self, index):
        share = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        return keras.tree.map_structure(lambda array: array[share], self.data)


def main(argv):
    virtual = (
        {"num_virtual_cpus": _REPLICAS.value}
        if ON_TENSORFLOW and _ENGINE.value == "mirrored"
        else {}
    )
    strategy = keras_supcon.distribution.strategy(_ENGINE.value, **virtual)
    results = {"replicas": np.array(keras_supcon.distribution.num_replicas(strategy))}
    for name in _CASES.value or CASES:
        try:
            outcome = train(name, strategy)
        except Exception as error:
            raise RuntimeError(f"in the case {name!r}") from error
        results |= {f"{name}/{part}": value for part, value in outcome.items()}
    if _ENGINE.value == "multi_worker":
        results["Keras alone fails"] = np.array(
            [fails(model, strategy) for model in (keras.Model, HalfMendedModel)]
        )
    index, _ = keras_supcon.distribution.worker(strategy)
    np.savez(pathlib.Path(_OUTPUT_DIR.value) / f"worker-{index}.npz", **results)


if __name__ == "__main__":
    app.run(main)
