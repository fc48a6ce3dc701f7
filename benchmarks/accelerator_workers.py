"""The process that makes the measurements of one job, one line of JSON each.

It needs NumPy, and of Keras, JAX, torch and pytorch-metric-learning only those that the job
measures. On the CPU it does the same as on an accelerator; only the memory is that of the process
(Linux with glibc).
"""

import argparse
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from accelerator_devices import describe, is_out_of_memory, memory_of, set_precision
from accelerator_plan import LOSSES, SECTIONS
from augmentation_implementations import IMPLEMENTATIONS as AUGMENTATIONS
from augmentation_implementations import check_views, one_image_repeated, our_layer
from harness import OUT_OF_TIME, time_steps, torch_device, wait_for_torch
from loss_implementations import (
    NUM_CLASSES,
    NUM_VIEWS,
    expected_gigabytes,
    random_batch,
    supcontrast_loss_of_anchors,
)

# Share of the free memory: allocators lose some of it between their blocks.
USABLE_MEMORY = 0.95


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Holds a measurement that can begin.

    Attributes:
        step: Function that computes once, and returns when the device is done.
        summarize: Function from the result of `step` to entries of the record.
    """

    step: Callable[[], Any]
    summarize: Callable[[Any], dict[str, Any]]


def prepare_loss(item: dict[str, Any], framework: str) -> Prepared:
    set_precision(framework, item["precision"])
    step = LOSSES[item["implementation"]].prepare(*random_batch(item["rows"]), {})

    def summarize(result: tuple[Any, Any]) -> dict[str, Any]:
        loss, gradient = result
        return {
            "loss": float(loss),
            "gradient_norm": float(np.linalg.norm(to_numpy(gradient).astype("float64"))),
        }

    return Prepared(step, summarize)


def prepare_training_step(item: dict[str, Any], framework: str) -> Prepared:
    set_precision(framework, "tf32")
    if item["part"] == "loss":
        step = LOSSES["ours_jax"].prepare(*random_batch(item["batch_size"] * NUM_VIEWS), {})
        return Prepared(step, lambda result: {"loss": float(result[0])})
    if framework == "torch":
        return torch_training_step(item)
    return keras_training_step(item, has_given_views=item["part"] == "step on given views")


def prepare_gradient_caching(item: dict[str, Any], framework: str) -> Prepared:
    set_precision(framework, "tf32")
    return keras_training_step(
        item, has_given_views=False, micro_batch_size=item["micro_batch_size"]
    )


def prepare_augmentation(item: dict[str, Any], framework: str) -> Prepared:
    set_precision(framework, "tf32")
    batch_size, image_size = item["batch_size"], item["image_size"]
    images = one_image_repeated(batch_size, item["input_size"])
    step = AUGMENTATIONS[f"{item['recipe']}_{framework}"].prepare(images, image_size)

    def summarize(views: Any) -> dict[str, Any]:
        views = to_numpy(views)
        check_views(views, (batch_size, image_size, image_size, 3))
        return {"distinct_views": len({view.tobytes() for view in views}) / batch_size}

    return Prepared(step, summarize)


def keras_training_step(
    item: dict[str, Any], has_given_views: bool, micro_batch_size: int | None = None
) -> Prepared:
    """Prepares the compiled step of `ContrastiveModel.fit` on JAX.

    The batch is already on the device.
    """
    import jax
    import keras

    import keras_supcon

    keras.utils.set_random_seed(0)
    policy = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[item["dtype"]]
    model = keras_supcon.ContrastiveModel(
        keras_supcon.encoders.ResNet(item["depth"], item["width"], item["stem"], dtype=policy),
        keras_supcon.ProjectionHead(
            output_dim=128, hidden_units=(num_features(item),), dtype=policy
        ),
        augmenter=our_layer(item["recipe"], item["image_size"]),
        micro_batch_size=micro_batch_size,
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.05, momentum=0.9), loss=keras_supcon.SupConLoss()
    )
    images, labels = random_views(item) if has_given_views else random_images(item)
    model.build(images.shape)
    model.optimizer.build(model.trainable_variables)
    data = jax.device_put((images, labels.astype("int32")))
    # Keras compiles the same function. As in `fit`, the state does not return to the variables
    # after every step.
    train_step = jax.jit(model.train_step, donate_argnums=0)
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([variable.value for variable in kind] for kind in variables)
    num_parameters = sum(math.prod(weight.shape) for weight in model.trainable_variables)

    def step() -> Any:
        nonlocal state
        logs, state = jax.block_until_ready(train_step(state, data))
        return logs["loss"]

    return Prepared(step, lambda loss: summarize_training(item, loss, num_parameters))


def torch_training_step(item: dict[str, Any]) -> Prepared:
    """Prepares a step of the same network in torch with SupContrast's loss.

    The views are given, and already on the device.
    """
    import torch
    from torch_resnet import ContrastiveNetwork

    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # shapes do not change, as XLA knows of its convolutions
    device = torch_device()
    network = ContrastiveNetwork(
        item["depth"], item["width"], item["stem"], hidden_units=num_features(item)
    )
    network.to(device=device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    views, labels = random_views(item)
    # First views, then second views, each with its channels first.
    images = torch.from_numpy(views).to(device).transpose(0, 1).flatten(0, 1).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.from_numpy(labels).to(device)

    def step() -> Any:
        optimizer.zero_grad()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=item["dtype"] == "bfloat16"):
            projections = network(images)
        loss = supcontrast_loss_of_anchors(
            projections.unflatten(0, (NUM_VIEWS, -1)).transpose(0, 1), labels
        ).mean()
        loss.backward()
        optimizer.step()
        wait_for_torch()
        return loss.detach()

    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    return Prepared(step, lambda loss: summarize_training(item, loss, num_parameters))


def summarize_training(item: dict[str, Any], loss: Any, num_parameters: int) -> dict[str, Any]:
    if not math.isfinite(float(loss)):
        raise ArithmeticError(f"the loss is {float(loss)}")
    return {"loss": float(loss), "parameters": num_parameters}


def num_features(item: dict[str, Any]) -> int:
    """Returns the width of the encoder's output.

    The hidden layer of the head has the same width in the authors' code.
    """
    return int((2048 if item["depth"] >= 50 else 512) * item["width"])


def random_images(item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    shape = (item["batch_size"], item["input_size"], item["input_size"], 3)
    return generator.integers(0, 256, shape, "uint8"), generator.integers(
        0, NUM_CLASSES, item["batch_size"]
    )


def random_views(item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    shape = (item["batch_size"], NUM_VIEWS, item["image_size"], item["image_size"], 3)
    return generator.random(shape, "float32"), generator.integers(
        0, NUM_CLASSES, item["batch_size"]
    )


def to_numpy(array: Any) -> np.ndarray:
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)


PREPARE = {
    "loss": prepare_loss,
    "training_step": prepare_training_step,
    "augmentation": prepare_augmentation,
    "gradient_caching": prepare_gradient_caching,
}


def reason_not_to_run(
    item: dict[str, Any],
    earlier: list[dict[str, Any]],
    free_gigabytes: float | None,
    seconds: float,
) -> str:
    """Returns why a measurement does not fit into the memory or the time, or an empty string.

    Args:
        item: Subject of the measurement; one with `"rows"` grows with their square, one with
            `"micro_batch_size"` with its batch.
        earlier: Records of this process.
        free_gigabytes: Memory of the device, or None where it is not known.
        seconds: Time that is left.
    """
    if seconds <= 0:
        return OUT_OF_TIME
    size_name, power = (
        ("rows", 2)
        if "rows" in item
        else ("batch_size", 1)
        if "micro_batch_size" in item
        else (None, 0)
    )
    if size_name is None:
        return ""
    size = item[size_name]
    if any(
        record.get("note") == "out of memory" and record[size_name] <= size for record in earlier
    ):
        return "not run: less did not fit into the memory"
    measured = {record[size_name]: record for record in earlier if "step_seconds" in record}
    gigabytes_of = {
        number: record["extra_memory_mb"] / 1e3
        for number, record in measured.items()
        if "extra_memory_mb" in record and not record.get("extra_memory_is_bound")
    }
    gigabytes = 0.0
    if "rows" in item and LOSSES[item["implementation"]].is_dense:
        gigabytes = expected_gigabytes(size, gigabytes_of)
    elif "micro_batch_size" in item and item["micro_batch_size"] is None and gigabytes_of:
        gigabytes = gigabytes_of[max(gigabytes_of)] * size / max(gigabytes_of)
    if free_gigabytes is not None and gigabytes > USABLE_MEMORY * free_gigabytes:
        return f"not run: about {gigabytes:.{0 if gigabytes >= 10 else 1}f} GB"
    # The first step, and at least two timed steps.
    if (
        measured
        and 3 * measured[max(measured)]["median_seconds"] * (size / max(measured)) ** power
        > seconds
    ):
        return OUT_OF_TIME
    return ""


def measure(item: dict[str, Any], arguments: argparse.Namespace, memory: Any) -> dict[str, Any]:
    """Returns the times and the memory of a measurement, or a note why there are none."""
    try:
        prepared = PREPARE[arguments.section](item, arguments.framework)
        memory.start()
        start = time.perf_counter()
        prepared.step()  # traces and compiles
        first_step_seconds = time.perf_counter() - start
        times, result = time_steps(prepared.step, arguments.repeats, arguments.step_seconds)
        record = {
            "median_seconds": float(np.median(times)),
            "first_step_seconds": first_step_seconds,
            "step_seconds": times,
        }
        return {**record, **memory.extra(), **prepared.summarize(result)}
    except ModuleNotFoundError as error:
        return {"note": f"not run: no {error.name} here"}
    except (Exception, SystemExit) as error:  # `check_views` ends programs
        if is_out_of_memory(error):
            return {"note": "out of memory"}
        message = (str(error).strip() or "no message").splitlines()[0]
        return {"note": f"failed: {type(error).__name__}: {message[:200]}"}


def main() -> None:
    start = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--section", choices=[*SECTIONS, "describe"], required=True)
    parser.add_argument("--framework", choices=["jax", "torch"], required=True)
    parser.add_argument(
        "--platform",
        help="the kind of device on which the measurements are to be made, such as cpu",
    )
    parser.add_argument("--measurements", type=json.loads, help="what each is of, as JSON")
    parser.add_argument(
        "--seconds", type=float, default=60, help="after so many no measurement begins"
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument(
        "--step_seconds", type=float, default=2, help="after so many two timed steps are enough"
    )
    arguments = parser.parse_args()
    try:
        facts = describe(arguments.framework)
    except ModuleNotFoundError as error:
        facts = {"platform": None, "note": f"no {error.name} here"}
    if arguments.section == "describe":
        print(json.dumps(facts), flush=True)
        return
    records: list[dict[str, Any]] = []
    memory = None
    for item in arguments.measurements:
        if facts["platform"] != arguments.platform:
            reason = facts.get("note") or f"{arguments.framework} finds no accelerator"
            answer = {"note": f"not run: {reason}"}
        else:
            memory = memory or memory_of(arguments.framework, arguments.platform)
            seconds = arguments.seconds - (time.monotonic() - start)
            note = reason_not_to_run(item, records, memory.free_gigabytes(), seconds)
            answer = {"note": note} if note else measure(item, arguments, memory)
        records.append({**item, **answer})
        print(json.dumps(records[-1]), flush=True)


if __name__ == "__main__":
    main()
