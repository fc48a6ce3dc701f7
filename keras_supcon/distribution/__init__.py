"""What depends on the number of replicas."""

from keras_supcon.distribution.gather import gather_across_replicas

__all__ = ["gather_across_replicas"]
