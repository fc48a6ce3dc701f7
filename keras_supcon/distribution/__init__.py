"""Everything that depends on the number of replicas."""

from keras_supcon.distribution.fit import DistributedFit
from keras_supcon.distribution.gather import gather_across_replicas
from keras_supcon.distribution.replica_seed_generator import ReplicaSeedGenerator
from keras_supcon.distribution.strategies import num_replicas, strategy, worker

__all__ = [
    "DistributedFit",
    "ReplicaSeedGenerator",
    "gather_across_replicas",
    "num_replicas",
    "strategy",
    "worker",
]
