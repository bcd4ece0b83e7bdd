"""`make bench-base-model`: what the pass of a base model over 21,508 rows costs beside its matrix products alone.

The pocket model (1.0 M parameters) reads alpaca_21k, with the prompts and without. Beside it, in the same run, stand the
matrix products of the same pass at the best rate at which this machine does them, and what a user would write with
transformers. `ROWS=2000` measures on the first rows only.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from audit.corpus import Corpus, write_corpus
from audit.materials import BASE_FILES
from audit.models import LanguageModel, load_model
from audit.pocket import shipped_model
from audit.signals import build_base_model, open_base_model
from audit.signals.forward_cost import ForwardWork, estimated_seconds, forward_cost
from indexes.store import write_file
from tests.benchmarks.base_model.products import mean_rates, measured_rates, product_seconds, shapes_of
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record

COMMAND = "make bench-base-model"
_ROWS_OF_NAIVE = 320
_BATCH_OF_NAIVE = 16


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    n_cores = len(os.sched_getaffinity(0))
    base = open_base_model(str(shipped_model()))
    model = load_model(base.name, chat=base.chat)
    cost, shapes = forward_cost(model), shapes_of(model)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        limit = int(os.environ["ROWS"]) if "ROWS" in os.environ else None
        source = data_folder() / "alpaca" / "alpaca_21k.jsonl"
        write_file(folder / "rows.parquet", lambda file: write_corpus(source, file, limit=limit))
        corpus = Corpus.load(folder / "rows.parquet")
        before = measured_rates(shapes, n_cores)
        cold_s, facts = _timed(lambda: build_base_model(folder, corpus, base, cache=folder / "cache"))
        first = [(folder / name).read_bytes() for name in BASE_FILES]
        peak_mib = (_peak_kib(resource.RUSAGE_SELF) + facts["pass"]["workers"] * _peak_kib(resource.RUSAGE_CHILDREN)) / 1024
        after = measured_rates(shapes, n_cores)
        again_s, _ = _timed(lambda: build_base_model(folder, corpus, base, cache=folder / "cache"))
        same = first == [(folder / name).read_bytes() for name in BASE_FILES]
        responses = pl.read_parquet(folder / BASE_FILES[1])
        work = _work(folder, base, corpus, responses, facts["pass"])
        naive_rows_per_s, difference = _naive(model, corpus, responses)
    n_rows, flop = len(corpus), cost.flop(work)
    rates = [mean_rates(one) for one in (before, after)]
    bound_s = statistics.mean(product_seconds(cost, shapes, work, rate) for rate in rates) / n_cores
    single_s = statistics.mean(product_seconds(cost, shapes, work, rate, in_order=False) for rate in rates) / n_cores
    large = n_cores * statistics.mean(rate.large for rate in rates)
    of_pass = facts["pass"]
    results += [
        _one("rows", n_rows, ""),
        _one("tokens read: prompts and responses, and the responses alone", of_pass["tokens_read"], "tokens"),
        _one("of these, tokens of prompts", of_pass["prompt_tokens"], "tokens"),
        _one("of these, tokens of responses, each read twice", of_pass["response_tokens"], "tokens"),
        _one("matrix products", flop / 1e12, "TFLOP"),
        _one("processes of one thread", of_pass["workers"], ""),
        _one("cold pass, from the model's loading to the files", cold_s, "s"),
        _one("cold pass", n_rows / cold_s, "rows/s"),
        _one("cold pass", work.n_tokens / cold_s, "tokens/s"),
        _one("cold pass", flop / cold_s / 1e9, "GFLOP/s"),
        _one("its matrix products alone, one after the other", bound_s, "s"),
        _one("GEMM-bound rate, the same", flop / bound_s / 1e9, "GFLOP/s"),
        _one(
            "layers' products alone, all processes together",
            n_cores * statistics.mean(r.layers for r in rates) / 1e9,
            "GFLOP/s",
        ),
        _one("large matrix products (2,048 × 2,048 × 2,048), all processes together", large / 1e9, "GFLOP/s"),
        _one("cold pass beside the GEMM-bound rate", bound_s / cold_s, "share", "at least 0.5"),
        _one("the same beside each product over and over, at its best", single_s / cold_s, "share"),
        _one("seconds of the processor that went into texts, all processes together", of_pass["processor_s"], "s"),
        _one("matrix products beside these seconds", bound_s * n_cores / of_pass["processor_s"], "share"),
        _one("the same beside each product over and over", single_s * n_cores / of_pass["processor_s"], "share"),
        _one("pass with everything in the cache", again_s, "s"),
        _one("its files are the same bytes", float(same), "1 = yes", "1"),
        _one("peak memory, all processes together", peak_mib, "MiB"),
        _one(f"transformers in a loop, batches of {_BATCH_OF_NAIVE}, losses only", naive_rows_per_s, "rows/s"),
        _one("cold pass over the loop", n_rows / cold_s / naive_rows_per_s, "×"),
        _one("largest difference of an IFD from the loop's", difference, "", "at most 1e-4"),
    ]
    for name, n_parameters in (("1B", 1e9), ("7B", 7e9)):
        for rate, of_what in ((flop / cold_s, "at the pass's rate"), (large, "at the rate of large matrix products")):
            hours = estimated_seconds(n_parameters, work, rate) / 3600
            results.append(_one(f"estimate for a model of {name} on this machine, {of_what}", hours, "h"))
    record(Path(__file__).parent, "What the pass of a base model costs", results, NOTES)
    sys.stdout.write(json.dumps({f"{each.name} ({each.unit})": each.value for each in results}, indent=1) + "\n")


NOTES = """
Counted are the matrix products alone: every token with the weights of the layers, the tokens of responses with the output
layer, and in attention queries with keys and probabilities with values, the causal half of them. The GEMM-bound rate is
what the machine makes of the same products and nothing else: those of the layers one after the other, each with weights of
its own, at the number of tokens that suits them best, those of the output layer and of attention likewise; `torch.mm` and
`torch.bmm`, float32, in as many processes of one thread as the pass has, at the same time, by the processor's clock, before
and after the pass; the mean. Stricter is to take for each shape the rate of a single product over and over, which has its
weights in the cache nearest to the processor; that share is given too. The cold pass has everything in it that an audit's
stage has: loading the model, starting processes, rendering the chat template, ranks, the cache and the files. The loop is
what a user would write after Cherry LLM's code: `transformers`, padded batches in the order of the file, two passes, the
loss over the labels, as many threads as cores, on the first rows; it gives losses alone, no ranks. The estimates take two
operations for each parameter and token read, with the pocket model's tokens (a larger vocabulary has fewer), for a machine
that has the memory; a model of that size works with larger matrices, nearer to the second rate than to the first.
"""


def _work(folder: Path, base: Any, corpus: Corpus, responses: pl.DataFrame, of_pass: dict[str, Any]) -> ForwardWork:
    """What was passed, each distinct text once; its sums are those of the pass."""
    lengths, seen = [], set()
    n_tokens = responses["n_tokens"].to_list()
    for (row, turn), n in zip(corpus.responses.select("row", "turn").iter_rows(), n_tokens, strict=True):
        whole = corpus.row(row)
        key = (tuple((each.role, each.content) for each in whole.messages[: turn + 1]), whole.tools)
        if n and key not in seen:
            seen.add(key)
            n_prompt = len(
                base.chat.response(whole.messages[:turn], whole.messages[turn].content, tools=whole.tools).prompt_ids
            )
            lengths += [(n_prompt + n, n), (1 + n, n)]
    work = ForwardWork.of(lengths)
    if work.n_tokens != of_pass["tokens_read"]:
        raise SystemExit(f"counted {work.n_tokens} tokens, and the pass says {of_pass['tokens_read']}")
    return work


def _naive(model: LanguageModel, corpus: Corpus, responses: pl.DataFrame) -> tuple[float, float]:
    """Rows a second of a plain loop, and the largest difference of its IFDs from ours."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plain = AutoModelForCausalLM.from_pretrained(model.ref.base, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model.ref.base)
    places = list(corpus.responses.select("row", "turn").head(_ROWS_OF_NAIVE).iter_rows())
    ifds: list[float] = []
    n_threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    begun = time.perf_counter()
    for first in range(0, len(places), _BATCH_OF_NAIVE):
        with_prompt, alone = [], []
        for row, turn in places[first : first + _BATCH_OF_NAIVE]:
            turns = [{"role": each.role, "content": each.content} for each in corpus.row(row).messages]
            before = tokenizer.apply_chat_template(turns[:turn], tokenize=False, add_generation_prompt=True)
            prompt = tokenizer(before, add_special_tokens=False).input_ids
            answer = tokenizer(turns[turn]["content"], add_special_tokens=False).input_ids[: 1024 - len(prompt)]
            with_prompt.append((prompt, answer))
            alone.append(([tokenizer.eos_token_id], answer))
        losses = [_naive_losses(plain, batch, tokenizer.pad_token_id) for batch in (with_prompt, alone)]
        ifds += [a / b if b else float("nan") for a, b in zip(*losses, strict=True)]
    seconds = time.perf_counter() - begun
    torch.set_num_threads(n_threads)
    ours = responses["ifd"].head(len(places)).to_list()
    compared = [abs(a - b) for a, b in zip(ifds, ours, strict=True) if b is not None]
    return len(places) / seconds, max(compared)


def _naive_losses(model: Any, batch: Sequence[tuple[list[int], list[int]]], pad: int) -> list[float]:
    import torch

    longest = max(len(prompt) + len(answer) for prompt, answer in batch)
    ids, labels = (torch.full((len(batch), longest), value) for value in (pad, -100))
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(batch):
        n_prompt, n = len(prompt), len(prompt) + len(answer)
        ids[row, :n], mask[row, :n] = torch.tensor(prompt + answer), 1
        labels[row, n_prompt:n] = torch.tensor(answer, dtype=torch.long)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none")
    n_asked = (labels[:, 1:] != -100).sum(dim=1).clamp(min=1)
    return [float(loss) for loss in losses.sum(dim=1) / n_asked]


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    done = work()
    return time.perf_counter() - begun, done


def _peak_kib(who: int) -> int:
    return resource.getrusage(who).ru_maxrss


def _one(name: str, value: float, unit: str, goal: str = "") -> Result:
    return Result(name=name, value=value, unit=unit, goal=goal, command=COMMAND)


if __name__ == "__main__":
    main()
