"""How fast this machine makes the matrix products of a model's forward pass, and nothing else of it.

In a module of its own: processes are told functions by the name of their module, and a script has none.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.engines import LocalPool
from audit.models import LanguageModel
from audit.signals.forward_cost import ForwardCost, ForwardWork

__all__ = ["Rates", "Shapes", "mean_rates", "measured_rates", "product_seconds", "shapes_of"]

_TOKENS_AT_ONCE = (128, 256, 512, 1024, 2048)
_LENGTHS = (64, 128, 256, 512)
_SECONDS_EACH = 0.15
_REPEATS = 3
_LARGE = 2048


@dataclass(frozen=True)
class Shapes:
    """The matrix products of a model: those of its weights as (inputs, outputs), with how many a layer's token passes."""

    layers: tuple[tuple[int, int], ...]
    output: tuple[int, int]
    head: int
    n_heads: int


@dataclass(frozen=True)
class Rates:
    """Floating point operations a second of one process, while as many as there are cores measure the same.

    Attributes:
        by_shape: Of each shape over and over.
        layers: Of the layers' products one after the other, each with weights of its own, as a forward pass does them.
        attention: Of queries with keys and of probabilities with values.
        large: Of large square matrices.
    """

    by_shape: dict[tuple[int, int], float]
    layers: float
    attention: float
    large: float


def shapes_of(model: LanguageModel) -> Shapes:
    import torch

    inner = model.model.base_model
    layers = tuple(
        (module.in_features, module.out_features) for module in inner.modules() if isinstance(module, torch.nn.Linear)
    )
    output = model.model.get_output_embeddings().weight
    config = model.model.config
    return Shapes(layers, (output.shape[1], output.shape[0]), int(config.head_dim), int(config.num_attention_heads))


def product_seconds(cost: ForwardCost, shapes: Shapes, work: ForwardWork, rates: Rates, *, in_order: bool = True) -> float:
    """Of one process doing all of the matrix products."""
    seconds = cost.output_flop(work) / rates.by_shape[shapes.output] + cost.attention_flop(work) / rates.attention
    if in_order:
        return seconds + cost.layer_flop(work) / rates.layers
    return seconds + sum(2 * n_in * n_out * work.n_tokens / rates.by_shape[n_in, n_out] for n_in, n_out in shapes.layers)


def measured_rates(shapes: Shapes, n_processes: int) -> list[Rates]:
    """What each of several processes at a time makes of the products."""
    with LocalPool(n_workers=n_processes, n_threads=1) as pool:
        return list(pool.run(_measure_rates, [shapes] * n_processes))


def mean_rates(rates: Sequence[Rates]) -> Rates:
    """The mean of processes that measured at the same time."""
    shapes = rates[0].by_shape
    return Rates(
        {shape: statistics.mean(each.by_shape[shape] for each in rates) for shape in shapes},
        statistics.mean(each.layers for each in rates),
        statistics.mean(each.attention for each in rates),
        statistics.mean(each.large for each in rates),
    )


def _measure_rates(shapes: Shapes) -> Rates:
    import torch

    with torch.inference_mode():
        by_shape = {shape: max(_mm_rate(n, *shape) for n in _TOKENS_AT_ONCE) for shape in {*shapes.layers, shapes.output}}
        attention = max(_attention_rate(length, shapes) for length in _LENGTHS)
        layers = max(_layers_rate(n, shapes) for n in _TOKENS_AT_ONCE)
        return Rates(by_shape, layers, attention, _mm_rate(_LARGE, _LARGE, _LARGE))


def _mm_rate(n: int, n_in: int, n_out: int) -> float:
    import torch

    left, right, out = torch.randn(n, n_in), torch.randn(n_out, n_in).t(), torch.empty(n, n_out)
    return _rate(lambda: torch.mm(left, right, out=out), 2 * n * n_in * n_out)


def _layers_rate(n: int, shapes: Shapes) -> float:
    """Of the layers' products in their order."""
    import torch

    weights = [torch.randn(n_out, n_in).t() for n_in, n_out in shapes.layers]
    lefts, outs = ({width: torch.randn(n, width) for shape in shapes.layers for width in shape} for _ in range(2))

    def multiply() -> None:
        for (n_in, n_out), weight in zip(shapes.layers, weights, strict=True):
            torch.mm(lefts[n_in], weight, out=outs[n_out])

    return _rate(multiply, 2 * n * sum(n_in * n_out for n_in, n_out in shapes.layers))


def _attention_rate(length: int, shapes: Shapes) -> float:
    """Of the two products of attention together."""
    import torch

    n = max(1, 1024 // length) * shapes.n_heads
    queries, keys, out = (torch.randn(n, length, shapes.head) for _ in range(3))
    square, transposed = torch.randn(n, length, length), keys.transpose(1, 2)
    flop = 2 * n * length * length * shapes.head
    first = _rate(lambda: torch.bmm(queries, transposed, out=square), flop)
    second = _rate(lambda: torch.bmm(square, keys, out=out), flop)
    return 2 / (1 / first + 1 / second)


def _rate(multiply: Callable[[], object], flop: int) -> float:
    """The best of some rounds, by the clock of the processor, which other work on the machine does not stop."""
    multiply()
    best = 0.0
    for _ in range(_REPEATS):
        begun, n = time.process_time(), 0
        while (passed := time.process_time() - begun) < _SECONDS_EACH:
            multiply()
            n += 1
        best = max(best, flop * n / passed)
    return best
