"""A second method on the step protocol: dictionary projections, a queue and a moving average."""

import keras
from keras import ops

from keras_supcon.distribution import gather_across_replicas
from keras_supcon.models import PretrainingModel


@keras.saving.register_keras_serializable(package="tests")
class ToyMomentum(PretrainingModel):
    """Contrasts with the projections of networks that move slowly behind, present and queued."""

    def __init__(self, encoder, head, queue_size=32, momentum=0.9, **kwargs):
        super().__init__(encoder, **kwargs)
        self.head, self.queue_size, self.momentum = head, queue_size, momentum
        self.slow = keras.Sequential([keras.models.clone_model(one) for one in (encoder, head)])
        self.slow.trainable = False
        options = {"trainable": False, "aggregation": "only_first_replica"}
        self.queue = self.add_weight((queue_size, head.output_shape[-1]), **options)
        empty = keras.initializers.Constant(-2)
        self.queue_labels = self.add_weight((queue_size,), empty, dtype="int32", **options)

    def begin_step(self):
        fast = [*self.encoder.weights, *self.head.weights]
        for slow, one in zip(self.slow.weights, fast, strict=True):
            slow.assign(self.momentum * slow + (1 - self.momentum) * one)

    def project(self, view, training):
        query = self.head(self.encode(view, training), training=training)
        return {"query": query, "key": self.slow(view, training=training)}

    def contrast(self, projections, y, sample_weight):
        key, queue = projections["key"], {"queue": self.queue, "queue_labels": self.queue_labels}
        loss = self.loss(y, projections["query"], sample_weight, keys=key, **queue)
        if self.is_training_step:
            (keys, labels), _ = gather_across_replicas(key[:, 0], ops.cast(y, "int32"))
            self.queue.assign(ops.concatenate([keys, self.queue])[: self.queue_size])
            labels = ops.concatenate([labels, self.queue_labels])
            self.queue_labels.assign(labels[: self.queue_size])
        return loss

    def get_config(self):
        own = {"head": keras.saving.serialize_keras_object(self.head), "momentum": self.momentum}
        return {**super().get_config(), **own, "queue_size": self.queue_size}
