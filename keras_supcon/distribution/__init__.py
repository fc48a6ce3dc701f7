"""What depends on the number of replicas."""

from keras_supcon.distribution.gather import gather_across_replicas
from keras_supcon.distribution.seeds import ReplicaSeedGenerator

__all__ = ["ReplicaSeedGenerator", "gather_across_replicas"]
