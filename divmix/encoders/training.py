"""How a network is trained to rebuild rows: batches, noise, moved pictures, a rate that falls."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from divmix.encoders import network as networks
from divmix.encoders.encoder import Learning
from divmix.encoders.network import Module, Tensor, Torch
from divmix.errors import FitError, UsageError

HELD_OUT_SHARE = 0.1
BATCH_ROWS, STEPS = 256, 24_000
EPOCHS = (3, 400)  # fewest and most: so many as the steps allow
PATIENCE = 20  # epochs without a better reconstruction of the held-out rows
LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-6
NOISE = 0.3  # standard deviation of the noise on inputs, in those of the features
SHIFT, TURN = 0.07, 10.0  # most that a picture is moved, share of its size, and turned, degrees


class Training(NamedTuple):
    """A network and the rows (n, d) it is trained on, a tensor; `generator` draws all chances.

    move: the same rows moved and turned a little, or the rows as they are.
    """

    torch: Torch
    network: Module
    rows: Tensor
    device: str
    generator: Any
    move: Callable[[Tensor], Tensor]

    def batches(self, index: Tensor) -> Iterator[Tensor]:
        """The index in random order, batch by batch."""
        order = self.torch.randperm(len(index), generator=self.generator)
        return iter(index[order].split(BATCH_ROWS))

    def pair(self, part: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be rebuilt of the rows `part`, and what it is to be rebuilt from."""
        clean = self.move(self.rows[part]).to(self.device)
        noise = self.torch.randn(clean.shape, generator=self.generator).to(self.device)
        return clean, clean + NOISE * noise

    def optimizer(
        self, rate: float, decay: float, epochs: int, parameters: Iterable[Tensor] | None = None
    ) -> tuple[Any, Any]:
        """AdamW over parameters, those of the network as a rule, and what lets its rate fall to 0
        over the epochs, as half a cosine: without that, a hundredth of the rows change their cluster
        to the end."""
        optim = self.torch.optim
        trained = self.network.parameters() if parameters is None else parameters
        optimizer = optim.AdamW(trained, rate, weight_decay=decay)
        return optimizer, optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)

    def state(self) -> tuple[dict[str, Any], Tensor]:
        """The network's parameters and the state of chance, to which `restore` leads back."""
        return deepcopy(self.network.state_dict()), self.generator.get_state()

    def restore(self, state: tuple[dict[str, Any], Tensor]) -> None:
        """Go back to a `state`."""
        self.network.load_state_dict(state[0])
        self.generator.set_state(state[1])

    def codes(self) -> np.ndarray:
        """Codes (n, e) of all rows."""
        with self.torch.no_grad():
            parts = [
                self.network[0](part.to(self.device)).cpu().numpy()
                for part in self.rows.split(16 * BATCH_ROWS)
            ]
        return np.ascontiguousarray(np.concatenate(parts), dtype=np.float64)


def begin(
    torch: Torch,
    rows: Tensor,
    codes: int,
    background: Tensor,
    learning: Learning,
    *,
    convolved: bool,
    moved: bool,
) -> Training:
    """A Training of an untrained network on rows (n, d), a tensor.

    convolved, moved: whether the encoder convolves pictures of size learning.image, and whether
    they are moved, `background` (d,) being an empty one. Raises UsageError for a device that is
    not there.
    """
    device = _device(torch, learning.device)
    seed = int(learning.generator.integers(2**31))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = networks.build(
            torch, rows.shape[1], codes, learning.image if convolved else None
        ).to(device)
    generator = torch.Generator().manual_seed(seed)
    move: Callable[[Tensor], Tensor] = _as_they_are
    if moved and learning.image is not None:
        move = _mover(torch, learning.image, background, generator)
    return Training(torch, network, rows, device, generator, move)


def _as_they_are(rows: Tensor) -> Tensor:
    return rows


def train(training: Training, learning: Learning) -> None:
    """Make a network rebuild rows from noisy ones; it keeps the best epoch.

    Held-out rows decide which that is and when to stop. Raises FitError where the loss is no
    number.
    """
    torch, network, rows = training.torch, training.network, training.rows
    order = torch.randperm(len(rows), generator=training.generator)
    held_out = max(1, int(HELD_OUT_SHARE * len(rows)))
    held, kept = rows[order[:held_out]].to(training.device), order[held_out:]
    epochs = int(np.clip(STEPS * BATCH_ROWS / max(len(kept), 1), *EPOCHS))
    optimizer, rate = training.optimizer(LEARNING_RATE, WEIGHT_DECAY, epochs)
    best, best_loss, waited = None, np.inf, 0
    for epoch in range(epochs):
        for part in training.batches(kept):
            clean, noisy = training.pair(part)
            loss = torch.nn.functional.mse_loss(network(noisy), clean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        rate.step()
        with torch.no_grad():
            loss = float(torch.nn.functional.mse_loss(network(held), held))
        check_loss(loss, epoch)
        learning.progress.rows(epoch + 1, epochs)
        waited += 1
        if loss < best_loss:
            best, best_loss, waited = deepcopy(network.state_dict()), loss, 0
        elif waited >= PATIENCE:
            break
    network.load_state_dict(best)


def check_loss(loss: float, epoch: int) -> None:
    """Raises FitError where it is no number."""
    if not np.isfinite(loss):
        raise FitError(
            f"the autoencoder's loss is {loss} after epoch {epoch + 1}",
            hint="use --scale standard or --scale minmax",
        )


@contextmanager
def one_thread(torch: Torch) -> Iterator[None]:
    """PyTorch on one thread: sums depend on their number, and the result must not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(torch: Torch, wanted: str) -> str:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "--device cuda: PyTorch finds no such device here", hint="use --device cpu, or auto"
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def _mover(
    torch: Torch, image: tuple[int, int], background: Tensor, generator: Any
) -> Callable[[Tensor], Tensor]:
    """Pictures (n, h w), each moved by up to SHIFT of its size and turned by up to TURN."""

    def uniform(n: int, size: float) -> Tensor:
        return size * (2 * torch.rand(n, generator=generator) - 1)

    def move(rows: Tensor) -> Tensor:
        n = len(rows)
        angle = uniform(n, np.deg2rad(TURN))
        cosine, sine = torch.cos(angle), torch.sin(angle)
        # The unit of affine_grid is half a picture.
        across, along = uniform(n, 2 * SHIFT), uniform(n, 2 * SHIFT)
        matrix = torch.stack(
            [torch.stack([cosine, -sine, across], 1), torch.stack([sine, cosine, along], 1)], 1
        )
        grid = torch.nn.functional.affine_grid(matrix, (n, 1, *image), align_corners=False)
        shown = (rows - background).reshape(n, 1, *image)
        moved = torch.nn.functional.grid_sample(shown, grid, align_corners=False)
        return moved.reshape(n, -1) + background

    return move
