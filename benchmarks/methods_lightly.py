"""One method as lightly's users build it, trained on arrays of images, in a process of its own.

`benchmarks/methods.py` starts this file once per run. Its last line is JSON. Losses, memory banks,
moving averages and views are lightly's; network, optimizer, schedule and sizes are those of
`methods_keras_supcon.py`.
"""

import copy
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from harness import PeakMemory, torch_device, versions, wait_for_torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules import NNMemoryBankModule
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms import SimCLRTransform
from lightly.utils.scheduler import cosine_schedule
from methods_run import Run, parse_run, training_steps
from PIL import Image
from torch import nn
from torch_resnet import ResNet, projection_head

NUM_WORKERS = 2
DIM, HIDDEN_UNITS = 128, 256


class Views(torch.utils.data.Dataset):
    """Two views of each image, as lightly's transform makes them."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = images[..., 0]
        # As the small recipes have it; a normalization is part of the encoder.
        self._transform = SimCLRTransform(
            input_size=images.shape[1],
            cj_strength=0.5,
            min_scale=0.2,
            gaussian_blur=0.0,
            normalize=None,
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> list[torch.Tensor]:
        return self._transform(Image.fromarray(self._images[place]))


class Method(nn.Module):
    """Encoder and heads of a method, and the loss of two views.

    Args:
        run: The run.
        batch_norm: Whether the hidden layer of the head is normalized.
        predicts: Whether there is a prediction head.
        follows: Whether a second encoder and head follow the first by a moving average.
    """

    def __init__(
        self, run: Run, batch_norm: bool = False, predicts: bool = False, follows: bool = False
    ) -> None:
        super().__init__()
        self.encoder = ResNet(run.depth, run.width, "cifar", image_channels=1)
        head = projection_head(self.encoder.num_features, HIDDEN_UNITS, DIM, batch_norm)
        self.project = nn.Sequential(self.encoder, head)
        self.predict = projection_head(DIM, HIDDEN_UNITS, DIM, batch_norm) if predicts else None
        self.project_slowly = copy.deepcopy(self.project) if follows else None
        if follows:
            deactivate_requires_grad(self.project_slowly)

    def loss(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def momentum(self, step: int) -> float:
        raise NotImplementedError

    def follow(self, step: int) -> None:
        if self.project_slowly is not None:
            update_momentum(self.project, self.project_slowly, self.momentum(step))


class SimCLR(Method):
    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.criterion = NTXentLoss(0.2)

    def loss(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.project(first), self.project(second))


class MoCo(Method):
    def __init__(self, run: Run) -> None:
        super().__init__(run, follows=True)
        self.criterion = NTXentLoss(0.2, memory_bank_size=(run.queue_size, DIM))

    def momentum(self, step: int) -> float:
        return 0.99

    def loss(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            key = self.project_slowly(second)
        return self.criterion(self.project(first), key)


class BYOL(Method):
    def __init__(self, run: Run) -> None:
        super().__init__(run, batch_norm=True, predicts=True, follows=True)
        self.criterion = NegativeCosineSimilarity()
        self._steps = training_steps(run)

    def momentum(self, step: int) -> float:
        return cosine_schedule(step, self._steps, 0.97, 1.0)

    def loss(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            targets = self.project_slowly(second), self.project_slowly(first)
        predictions = (self.predict(self.project(view)) for view in (first, second))
        return sum(map(self.criterion, predictions, targets)) / 2


class SimSiam(Method):
    def __init__(self, run: Run) -> None:
        super().__init__(run, batch_norm=True, predicts=True)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        projections = self.project(first), self.project(second)
        first, second = (self.predict(projection) for projection in projections)
        return (
            self.criterion(first, projections[1].detach())
            + self.criterion(second, projections[0].detach())
        ) / 2


class NNCLR(Method):
    def __init__(self, run: Run) -> None:
        super().__init__(run, batch_norm=True, predicts=True)
        self.criterion = NTXentLoss(0.1)
        self.memory = NNMemoryBankModule((run.queue_size, DIM))

    def loss(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        projections = self.project(first), self.project(second)
        first, second = (self.predict(projection) for projection in projections)
        neighbors = (
            self.memory(projections[0].detach(), update=False),
            self.memory(projections[1].detach(), update=True),
        )
        return (self.criterion(neighbors[0], second) + self.criterion(neighbors[1], first)) / 2


METHODS: dict[str, Callable[[Run], Method]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "simsiam": SimSiam,
    "nnclr": NNCLR,
}


class Training:
    """Takes training steps of a method with Adam, a linear warm-up and half a cosine."""

    def __init__(self, run: Run) -> None:
        self.device = torch_device()
        self.method = METHODS[run.method](run).to(self.device).train()
        trained = [one for one in self.method.parameters() if one.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=run.learning_rate, eps=1e-7)
        warmup, steps = run.steps_per_epoch, training_steps(run)

        def share(step: int) -> float:
            if step < warmup:
                return step / warmup
            return (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2

        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, share)
        self._step = 0

    def epoch(self, batches: Iterable[list[torch.Tensor]]) -> float:
        """Trains one epoch and returns its seconds."""
        begin = time.perf_counter()
        for views in batches:
            first, second = (view.to(self.device) for view in views)
            self.method.follow(self._step)
            loss = self.method.loss(first, second)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self._schedule.step()
            self._step += 1
        wait_for_torch()
        return time.perf_counter() - begin

    @torch.no_grad()
    def embed(self, images: np.ndarray) -> np.ndarray:
        self.method.eval()
        batches = torch.tensor(images).permute(0, 3, 1, 2).float().split(256)
        features = [self.method.encoder(batch.to(self.device)).cpu() for batch in batches]
        return torch.cat(features).numpy()


def main() -> None:
    run, paths = parse_run(__doc__)
    torch.manual_seed(run.seed)
    with np.load(paths.data) as arrays:
        images = {name: arrays[f"{name}_images"] for name in run.SPLITS}
    loader = torch.utils.data.DataLoader(
        Views(images["train"]),
        batch_size=run.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=NUM_WORKERS,
        persistent_workers=True,
    )
    answer: dict[str, Any] = {}
    with PeakMemory() as memory:
        training = Training(run)
        answer["epoch_seconds"] = [training.epoch(loader) for _ in range(run.epochs)]
    answer["peak_megabytes"] = memory.megabytes
    np.savez(paths.features, **{name: training.embed(array) for name, array in images.items()})
    del loader
    if run.ready_batches:
        number = run.ready_batches * run.batch_size
        views = torch.tensor(images["train"][:number]).permute(0, 3, 1, 2).float()
        batches = [[batch, batch] for batch in views.split(run.batch_size)]
        training = Training(run)
        seconds = [training.epoch(batches) for _ in range(4)]
        answer["ready_images_per_second"] = number / statistics.median(seconds[1:])
    answer["versions"] = versions(("lightly", "torch", "torchvision"))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
