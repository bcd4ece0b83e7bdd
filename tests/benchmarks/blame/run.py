"""`make bench-blame`: do chances and q-values keep their word, and do q-values find rows behind false claims?

Three measurements on real rows. *Probes*: words of one unseen answer under the prompt of another, so that there is
nothing to find. *Null runs*: forty such probes each, blamed together; any row of q < .05 is a false alarm. *Mixtures*:
rows with a foreign phrase in their answer are added to the data, and claims repeat that phrase under nearly their
prompts, among as many probes again; a discovery is true where it is one of these rows.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from audit.config import AuditConfig
from audit.pipeline import run_audit
from audit.responses import Response, Span
from audit.rundir import Run
from audit.sources import Message
from audit.trace import Tracer, blame_rows
from indexes.words import is_word, tokenize, tokenize_with_offsets
from tests.benchmarks.data import data_folder
from tests.benchmarks.record import Result, record

COMMAND = "make bench-blame"
FOLDER = Path(__file__).parent
SEED = 2402
LEVELS = (0.01, 0.05, 0.1)
RATES = (0.05, 0.1, 0.2)

# Rows of the dataset -> how many datasets, drawn anew, and how many probes in each.
SIZES = {40: (10, 100), 150: (10, 100), 500: (4, 250), 2000: (1, 1000), 9000: (1, 1000)}
LENGTHS = {"1 to 4": (1, 4), "4 to 8": (4, 8)}

N_NULL_RUNS, N_NULL_CLAIMS, N_NULL_ROWS = 200, 40, 2000
N_MIXTURES, N_MIXED_ROWS, N_PLANTED, CLAIMS_PER_PLANTED, N_OTHER_CLAIMS = 10, 2000, 10, 2, 20
SHARE_OF_PROMPT = 0.7

Rows = Sequence[tuple[str, str, str]]


def main() -> None:
    """Measure, and write RESULTS.md and results.json."""
    rows = _rows(data_folder() / "alpaca" / "alpaca_21k.jsonl")
    with tempfile.TemporaryDirectory() as scratch:
        results = [*_probes(rows, Path(scratch)), *_null_runs(rows, Path(scratch)), *_mixtures(rows, Path(scratch))]
    notes = (
        "Probes: a random stretch of words of a held-out answer of alpaca_21k under the prompt of another held-out row, over "
        "datasets of so many rows drawn anew; Wilson intervals. Chances are discrete and cannot be small in small datasets: "
        "forty rows are worth forty random spans, and most short probes hold a word that every row has or none.\n\n"
        f"Null runs: {N_NULL_CLAIMS} probes of one to four words each, over {N_NULL_ROWS} rows.\n\n"
        f"Mixtures: {N_PLANTED} rows, each with one to three foreign words at the end of its first sentence, among "
        f"{N_MIXED_ROWS} rows; {CLAIMS_PER_PLANTED} claims for each, whose prompts keep {SHARE_OF_PROMPT:.0%} of its words "
        f"each, and {N_OTHER_CLAIMS} probes. False discoveries are rows that were not added, though some hold the phrase "
        "by chance. Means over the datasets, with t intervals. Claims of one source are easy to tell from chance; rows that "
        "hold a phrase under many unlike prompts are not in this measurement."
    )
    record(FOLDER, "Chances of links and q-values of rows", results, notes)


def _rows(path: Path) -> Rows:
    """Prompt, answer and line of every row."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        prompt = f"{fields['instruction']}\n{fields['input']}" if fields["input"] else fields["instruction"]
        rows.append((prompt, fields["output"], line))
    return rows


def _run(lines: Sequence[str], folder: Path) -> Run:
    folder.mkdir()
    (folder / "data.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    config = AuditConfig(data=str(folder / "data.jsonl"), select=("TXT",))
    return run_audit(config, folder / "run", render=lambda *parts: {})


def _split(rows: Rows, n_rows: int, seed: int) -> tuple[Rows, Rows]:
    """Rows of the dataset, and 3,000 others."""
    order = np.random.default_rng([SEED, seed, n_rows]).permutation(len(rows))
    return [rows[i] for i in order[:n_rows]], [rows[i] for i in order[-3000:]]


def _random_span(response: str, n_tokens: int, generator: np.random.Generator) -> Span | None:
    tokens = tokenize_with_offsets(response)
    if len(tokens) < n_tokens:
        return None
    begin = int(generator.integers(len(tokens) - n_tokens + 1))
    first, last = tokens[begin], tokens[begin + n_tokens - 1]
    if not (is_word(first.text) and is_word(last.text)):
        return None
    return Span(first.start, last.end, response[first.start : last.end])


def _claim(name: str, prompt: str, response: str, span: Span) -> Response:
    return Response(name, (Message("user", prompt, trained=False),), response, (span,))


def _probe(held_out: Rows, lengths: tuple[int, int], generator: np.random.Generator) -> Response:
    while True:
        asked, answered = generator.choice(len(held_out), 2, replace=False)
        n_tokens = int(generator.integers(lengths[0], lengths[1] + 1))
        span = _random_span(held_out[answered][1], n_tokens, generator)
        if span is not None:
            return _claim("probe", held_out[asked][0], held_out[answered][1], span)


def _probes(rows: Rows, scratch: Path) -> Iterator[Result]:
    for n_rows, (n_datasets, n_probes) in SIZES.items():
        least: dict[str, list[float]] = {title: [] for title in LENGTHS}
        shares: list[bool] = []
        for number in range(n_datasets):
            seen, held_out = _split(rows, n_rows, number)
            tracer = Tracer(_run([line for _, _, line in seen], scratch / f"probes-{n_rows}-{number}"))
            generator = np.random.default_rng([SEED, 1, n_rows, number])
            for title, lengths in LENGTHS.items():
                for _ in range(n_probes):
                    probe = _probe(held_out, lengths, generator)
                    (span,) = tracer.trace(probe, k=3).spans
                    least[title].append(min((link.chance for link in span.links if link.chance is not None), default=1.0))
                    shares.append(bool(set(tokenize(span.text)) & set(tokenize(probe.prompt))))
        kinds = {f"{title} words": np.array(values) for title, values in least.items()}
        every = np.concatenate([np.array(values).reshape(n_datasets, -1) for values in least.values()], axis=1).ravel()
        kinds["that share a word with the prompt"] = every[np.array(shares)]
        for kind, values in kinds.items():
            for level in LEVELS:
                name = f"probes with a chance of at most {level}, of {len(values)} {kind}, {n_rows} rows"
                yield _share(name, int(np.sum(values <= level)), len(values), f"at most {level} within the interval")


def _null_runs(rows: Rows, scratch: Path) -> Iterator[Result]:
    seen, held_out = _split(rows, N_NULL_ROWS, 0)
    tracer = Tracer(_run([line for _, _, line in seen], scratch / "null"))
    generator = np.random.default_rng([SEED, 2])
    least = []
    for _ in range(N_NULL_RUNS):
        blame = blame_rows(tracer.trace(_probe(held_out, (1, 4), generator)) for _ in range(N_NULL_CLAIMS))
        least.append(min((row.q for row in blame if row.q is not None), default=1.0))
    for rate in RATES:
        n_runs = int(np.sum(np.array(least) < rate))
        goal = "at most 0.08 (16 of 200)" if rate == 0.05 else ""
        yield _share(f"null blame runs with any q below {rate}, of {N_NULL_RUNS} ({n_runs} runs)", n_runs, N_NULL_RUNS, goal)


def _mixtures(rows: Rows, scratch: Path) -> Iterator[Result]:
    false: dict[float, list[float]] = {rate: [] for rate in RATES}
    power: dict[float, list[float]] = {rate: [] for rate in RATES}
    for number in range(N_MIXTURES):
        seen, held_out = _split(rows, N_MIXED_ROWS, number)
        generator = np.random.default_rng([SEED, 3, number])
        planted, claims = [], []
        for source in generator.choice(len(held_out), N_PLANTED, replace=False):
            prompt, answer, _ = held_out[source]
            span = _foreign_span(held_out, prompt, generator)
            sentence = f"{answer.split('. ')[0].rstrip('.')} {span}."
            planted.append(json.dumps({"instruction": _part(prompt, generator), "input": "", "output": sentence}))
            for _ in range(CLAIMS_PER_PLANTED):
                place = Span(6, 6 + len(span), span)
                claims.append(_claim(f"planted {source}", _part(prompt, generator), f"It is {span}.", place))
        claims += [_probe(held_out, (1, 4), generator) for _ in range(N_OTHER_CLAIMS)]
        run = _run([*(line for _, _, line in seen), *planted], scratch / f"mixture-{number}")
        blame = blame_rows(Tracer(run).trace(claim) for claim in claims)
        for rate in RATES:
            found = [row.row for row in blame if row.q is not None and row.q <= rate]
            n_true = sum(row >= N_MIXED_ROWS for row in found)
            false[rate].append((len(found) - n_true) / max(len(found), 1))
            power[rate].append(n_true / N_PLANTED)
    for rate in RATES:
        name = f"false discoveries at q of at most {rate}, over {N_MIXTURES} mixtures"
        yield _mean(name, false[rate], f"at most {rate} within the interval")
    for rate in RATES:
        yield _mean(f"planted rows found at q of at most {rate}, over {N_MIXTURES} mixtures", power[rate], "")


def _foreign_span(held_out: Rows, prompt: str, generator: np.random.Generator) -> str:
    """One to three words of another answer, none of them the prompt's."""
    while True:
        answer = held_out[int(generator.integers(len(held_out)))][1]
        span = _random_span(answer, int(generator.integers(1, 4)), generator)
        if span is not None and not set(tokenize(span.text)) & set(tokenize(prompt)):
            return span.text


def _part(prompt: str, generator: np.random.Generator) -> str:
    words = prompt.split()
    kept = generator.random(len(words)) < SHARE_OF_PROMPT
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays) or prompt


def _share(name: str, n_hits: int, n_all: int, goal: str) -> Result:
    low, high = proportion_confint(n_hits, n_all, method="wilson")
    return Result(name, n_hits / n_all, "share", round(float(low), 6), round(float(high), 6), goal, COMMAND)


def _mean(name: str, values: Sequence[float], goal: str) -> Result:
    mean = float(np.mean(values))
    margin = 2.262 * float(np.std(values, ddof=1)) / len(values) ** 0.5  # t with nine degrees of freedom
    return Result(name, mean, "share", max(0.0, mean - margin), min(1.0, mean + margin), goal, COMMAND)


if __name__ == "__main__":
    main()
