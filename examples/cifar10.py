r"""SupCon, SimCLR and cross-entropy on CIFAR-10 and CIFAR-100, as in the paper's PyTorch code.

    python examples/cifar10.py --model_dir=supcon
    python examples/cifar10.py --model_dir=simclr --dataset=cifar100 --method=simclr
    python examples/cifar10.py --model_dir=small --encoder_depth=18 --encoder_width=0.25 \
        --batch_size=256 --epochs=20
    python examples/cifar10.py --dataset=digits --model_dir=build/trial-cifar10 --batch_size=128 \
        --epochs=2 --linear_epochs=2 --encoder_depth=10 --encoder_width=0.25

The last one needs no network and half a minute on two CPU cores: it shows that all of it runs, and
is too short to learn.

A run that was stopped, by Ctrl-C or SIGTERM too, is resumed by the same command; of its flags only
--epochs may change. In --model_dir: pretrain/ and linear/ (or cross_entropy/) with run.json,
checkpoints, epochs.csv and logs for TensorBoard, encoder.keras, classifier.keras and results.json,
which is written at the end.

Images are read whole, and the model augments them.
"""

import start  # noqa: F401, before the packages that it watches

# isort: split

import two_stage_flags
from absl import flags

from keras_supcon.experiments import TwoStage

_DATASET = flags.DEFINE_enum(
    "dataset",
    "cifar10",
    ["cifar10", "cifar100", "digits"],
    "Data set; the digits by CIFAR-10's recipe.",
)
_METHOD = flags.DEFINE_enum(
    "method",
    "supcon",
    ["supcon", "simclr", "cross_entropy", "cross_entropy_two_stage"],
    "How the encoder is trained; two_stage then freezes it under a linear classifier.",
)
flags.adopt_module_key_flags(two_stage_flags)


def make_experiment() -> TwoStage:
    published = "cifar10" if _DATASET.value == "digits" else _DATASET.value
    return TwoStage(
        f"supcontrast_{_METHOD.value}_{published}_resnet50",
        two_stage_flags.settings(dataset=_DATASET.value),
        notes=two_stage_flags.all_flags(),
    )


if __name__ == "__main__":
    two_stage_flags.main(make_experiment)
