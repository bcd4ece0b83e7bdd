"""What a trainer makes of every row before the first step: tokens that are fed, trained and cut, and what is lost on the way.

It is TRL's `SFTTrainer` as users run it, with its defaults where nothing else is named; no weights are loaded. The price is
two renderings and two tokenizations of each row with a prompt, some 15 s for 21,000 rows of Alpaca on one core.

Sources: TRL 1.16 (`SFTTrainer`, `pack_dataset`); `audit.preprocessing` names those of the single steps.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from audit.chat_templates import NAMED_TEMPLATES, has_generation_marks, offered_templates, read_chat_template
from audit.config import AuditConfig, LossOn, Packing
from audit.corpus import Corpus
from audit.errors import InputError
from audit.materials import TRAINER_FILES
from audit.models import find_model_folder
from audit.preprocessing.cost import count_parameters
from audit.preprocessing.examples import Example, Form, form_of, trainer_examples
from audit.preprocessing.packing import BATCH_SIZE, expected_padding, n_split, packed_sequences
from audit.preprocessing.tokens import End, Prepared, TrainerTokenizer, kept_of
from audit.rendering import load_tokenizer
from audit.sources import (
    Format,
    Message,
    Problem,
    Source,
    Status,
    format_of_columns,
    parse_row,
    read_records,
    recognize_format,
)
from indexes.store import write_bytes, write_file

__all__ = ["TRAINER_SCHEMA", "Trainer", "build_trainer", "open_trainer", "trainer_signals"]

TRAINER_SCHEMA = pl.Schema(
    {
        "row": pl.UInt32(),
        "form": pl.String(),
        "refused": pl.String(),
        "is_dropped": pl.Boolean(),
        "input_tokens": pl.Int64(),
        "trained_tokens": pl.Int64(),
        "cut_tokens": pl.Int64(),
        "trained_cut_tokens": pl.Int64(),
        "end": pl.String(),
        "prompt_left_out": pl.UInt32(),
        "lost": pl.List(pl.String()),
        "double_bos": pl.Boolean(),
        "special": pl.List(pl.Struct({"turn": pl.UInt16(), "start": pl.UInt32(), "end": pl.UInt32(), "token": pl.String()})),
    }
)
"""One line per row that a trainer could be given: its form; what TRL stops at ("" where it goes on); whether TRL leaves it
out; its tokens that are fed and trained, those that are not, null where TRL stops; "trained", "masked", "absent" or "cut" for
the token that ends its last answer ("" without an answer); tokens of the prompt that the row does not begin with; what the
template loses, in words; whether it begins with two beginning-of-sequence tokens; special tokens inside its texts."""

_VERSION = 1
_COUNTS = ("input_tokens", "trained_tokens", "cut_tokens", "trained_cut_tokens")
_FALLBACK = "alpaca"


@dataclass(frozen=True)
class Trainer:
    """A tokenizer and chat template that rows are told to a trainer with.

    Attributes:
        name: Folder or hub name, as it was given.
        tokenizer: Of transformers.
        template: The template in place of the tokenizer's own; `None` for that.
        template_name: How it was named; "its own" for the tokenizer's.
        is_plain: Whether it is the plain one, because a base model has none.
        n_parameters: Of the model beside the tokenizer; `None` where there are no weights.
        digest: SHA-256 over tokenizer and template.
    """

    name: str
    tokenizer: Any
    template: str | None
    template_name: str
    is_plain: bool
    n_parameters: int | None
    digest: str


def open_trainer(config: AuditConfig, source: Source) -> Trainer | None:
    """The tokenizer that the settings name, or that of the base model; `None` where they name neither.

    Args:
        config: The settings.
        source: The dataset; the first record of each file tells whether a chat template is needed.

    Raises:
        InputError: It cannot be read, tells no character offsets, or has no end-of-sequence token; the chat template is
            unknown, no valid Jinja, or missing; settings speak of a trainer, and no tokenizer is named.
    """
    name = config.tokenizer or config.base_model
    if name is None:
        if config.chat_template is not None:
            raise InputError("--chat-template needs a tokenizer", remedy="name it with --tokenizer, or --base-model")
        return None
    folder, _ = find_model_folder(name)
    tokenizer = load_tokenizer(folder)
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "a tokenizer without character offsets",
            where=name,
            why="no tokenizer.json",
            remedy="convert it: AutoTokenizer.from_pretrained(…).save_pretrained(…)",
        )
    forms = list(_forms(source, config))
    # A base model that is only measured may end turns with another token; whoever names a tokenizer means to tune with it.
    needs_eos = config.tokenizer is not None or not all(form.is_conversation for form in forms)
    if needs_eos and tokenizer.eos_token_id is None:
        raise InputError(
            "the tokenizer has no end-of-sequence token",
            where=name,
            why="TRL ends texts and fills batches with it",
            remedy="set eos_token in its tokenizer_config.json",
        )
    template, template_name, is_plain = None, "its own", False
    if config.chat_template is not None:
        template, template_name = read_chat_template(config.chat_template, tokenizer), config.chat_template
    elif not tokenizer.chat_template and config.tokenizer is None:
        template, template_name, is_plain = read_chat_template(_FALLBACK, tokenizer), _FALLBACK, True
    whole = hashlib.sha256(f"{_VERSION} {template or ''} {json.dumps(tokenizer.chat_template)} ".encode())
    whole.update(json.dumps(tokenizer.special_tokens_map, sort_keys=True, default=str).encode())
    whole.update(tokenizer.backend_tokenizer.to_str().encode())
    trainer = Trainer(name, tokenizer, template, template_name, is_plain, count_parameters(folder), whole.hexdigest())
    for form in forms:
        _check_form(form, trainer, config)
    return trainer


def _forms(source: Source, config: AuditConfig) -> Iterator[Form]:
    """The form of the first record of each file, where it can be told."""
    for file in source.files:
        columns = config.columns or file.columns
        for record in islice(read_records(file.path, file.container), 1):
            if isinstance(record.fields, Problem):
                continue
            format_ = config.input_format or format_of_columns(columns) or recognize_format(record.fields)
            parsed = Problem(Status.MALFORMED, "") if format_ is None else parse_row(record.fields, format_, columns)
            if format_ is not None and not isinstance(parsed, Problem):
                yield form_of(format_, parsed.messages, {} if columns else record.fields, config.rows_as, config.loss_on)


def build_trainer(folder: Path, corpus: Corpus, trainer: Trainer, config: AuditConfig, source: Source) -> Mapping[str, Any]:
    """Prepare every row as TRL does and write `TRAINER_FILES`.

    Args:
        folder: The run folder.
        corpus: The rows.
        trainer: Tokenizer and template.
        config: The settings of the trainer.
        source: Where the rows came from.

    Returns:
        What the manifest and the reports say of it; no text of the dataset.

    Raises:
        InputError: There are conversations and no chat template, or the loss cannot be taken as it was asked for.
    """
    own = None if config.columns else source  # of renamed columns nothing stands in TRL's form
    tokens = TrainerTokenizer(trainer.tokenizer, trainer.template)
    examples = trainer_examples(corpus, own, rows_as=config.rows_as, loss_on=config.loss_on)
    losses: dict[str, str] = {}
    columns: dict[str, list[Any]] = {name: [] for name in TRAINER_SCHEMA}
    lengths: list[int] = []
    for prepared in tokens.prepare(_checked(examples, trainer, config, losses)):
        for name, value in _line(prepared, config).items():
            columns[name].append(value)
        if not prepared.refused:
            lengths.append(len(prepared.ids))
    frame = pl.DataFrame(columns, schema=TRAINER_SCHEMA)
    facts = {
        "tokenizer": trainer.name,
        "template": trainer.template_name,
        "is_plain": trainer.is_plain,
        "digest": trainer.digest,
        "turn_end": tokens.turn_end,
        "max_length": config.max_length,
        "truncation": str(config.truncation),
        "packing": str(config.packing),
        "forms": dict(sorted(Counter(frame["form"]).items())),
        "loss_on": dict(sorted(losses.items())),
        "renamed_roles": corpus.rows.filter(pl.col("format") == str(Format.SHAREGPT)).height,
        "n_parameters": trainer.n_parameters,
        "rows": _row_counts(corpus, frame),
        "tokens": {name: int(frame[name].sum()) for name in _COUNTS} | {"whole": sum(lengths)},
        "of_template": _of_template(tokens, frame, config),
        "losses": _losses(frame),
        "packings": list(_packings(lengths, frame, config)),
    }
    write_file(folder / TRAINER_FILES[0], lambda file: frame.write_parquet(file, compression="zstd"))
    write_bytes(folder / TRAINER_FILES[1], json.dumps(facts, ensure_ascii=False, sort_keys=True).encode())
    return facts


def trainer_signals(rows: pl.DataFrame) -> pl.DataFrame:
    """One line per row: `row`, `input_tokens`, `trained_tokens`, `cut_tokens` and `trained_cut_tokens`.

    Args:
        rows: A frame of `TRAINER_SCHEMA`.
    """
    return rows.select("row", *_COUNTS)


def _checked(examples: Iterable[Example], trainer: Trainer, config: AuditConfig, losses: dict[str, str]) -> Iterator[Example]:
    """The same examples, the first of each form held against tokenizer and settings; notes what each form is trained on."""
    for example in examples:
        if str(example.form) not in losses:
            _check_form(example.form, trainer, config)
            losses[str(example.form)] = str(example.loss_on)
        yield example


def _check_form(form: Form, trainer: Trainer, config: AuditConfig) -> None:
    """Whether rows of a form can be given to TRL at all."""
    template = trainer.template or trainer.tokenizer.chat_template
    if form.is_conversation and not template:
        raise InputError(
            "the tokenizer has no chat template",
            where=trainer.name,
            why="the rows are conversations, or have to become such",
            remedy=f"name one with --chat-template: {', '.join(_names(trainer))}, or a .jinja file",
        )
    if config.loss_on is not LossOn.ASSISTANT:
        return
    if not form.is_conversation:
        raise InputError(
            "--loss-on assistant needs conversations",
            why=f"there are rows of {form}, at which TRL stops",
            remedy="give them as such: --rows-as conversation" if form is Form.STRINGS else "take another --loss-on",
        )
    if not has_generation_marks(trainer.template or _own_template(trainer.tokenizer)):
        raise InputError(
            "the chat template does not mark what the assistant says",
            where=trainer.name if trainer.template is None else trainer.template_name,
            why="--loss-on assistant needs {% generation %} in it; TRL puts a template of its own in the place of some "
            "models' and stops at all others",
            remedy=f"name a template that does: --chat-template FILE.jinja, or {', '.join(_names(trainer))}",
        )


def _own_template(tokenizer: Any) -> str:
    """The tokenizer's template; of several, the one that TRL looks at."""
    own: str | Mapping[str, str] = tokenizer.chat_template
    return own if isinstance(own, str) else own.get("default", "")


def _names(trainer: Trainer) -> list[str]:
    return [template.name for template in offered_templates(trainer.tokenizer)] or [each.name for each in NAMED_TEMPLATES]


def _line(prepared: Prepared, config: AuditConfig) -> dict[str, Any]:
    kept = kept_of(prepared, config.max_length, config.truncation, config.packing)
    counts = (None,) * 4 if prepared.refused else (kept.n_input, kept.n_trained, kept.n_cut, kept.n_trained_cut)
    return {
        "row": prepared.row,
        "form": str(prepared.form),
        "refused": prepared.refused,
        "is_dropped": kept.is_dropped and not prepared.refused,
        **dict(zip(_COUNTS, counts, strict=True)),
        "end": str(kept.end),
        "prompt_left_out": prepared.left_out,
        "lost": list(prepared.lost),
        "double_bos": prepared.double_bos,
        "special": [
            {"turn": found.turn, "start": found.start, "end": found.end, "token": found.token} for found in prepared.special
        ],
    }


def _row_counts(corpus: Corpus, frame: pl.DataFrame) -> dict[str, int | None]:
    """How many rows meet what fate; a row may be counted under several names but `trained`, `dropped` and `refused`."""
    refused = pl.col("refused") != ""
    goes_in = ~refused & ~pl.col("is_dropped")
    trained = pl.col("trained_tokens") > 0
    counts = frame.select(
        given=pl.len(),
        trained=(goes_in & trained).sum(),
        untrained=(goes_in & ~trained).sum(),
        dropped=pl.col("is_dropped").sum(),
        refused=refused.sum(),
        cut=(goes_in & (pl.col("cut_tokens") > 0)).sum(),
        end_cut=(goes_in & trained & (pl.col("end") == "cut")).sum(),
        end_missing=(goes_in & pl.col("end").is_in([End.MASKED, End.ABSENT])).sum(),
        lost=(pl.col("lost").list.len() > 0).sum(),
        double_bos=pl.col("double_bos").sum(),
        special=(pl.col("special").list.len() > 0).sum(),
        prompt_left_out=(pl.col("prompt_left_out") > 0).sum(),
        first_refused=pl.col("row").filter(refused).min(),
    ).row(0, named=True)
    return {"unread": len(corpus) - frame.height, **counts}


def _losses(frame: pl.DataFrame) -> dict[str, int]:
    """In how many rows the template loses what, by role; roles that are nobody's count together."""
    found: Counter[str] = Counter()
    for lost in frame.filter(pl.col("lost").list.len() > 0)["lost"]:
        found.update({_LOSS.sub(_without_number, each) for each in lost})
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


_LOSS = re.compile(r"(a call in |the reasoning of )?turn \d+(?: \((.*)\))?", re.DOTALL)
_ROLES = ("system", "user", "assistant", "tool")


def _without_number(match: re.Match[str]) -> str:
    if match[1]:
        return f"{match[1]}the assistant"
    return f"a turn of role {match[2]}" if match[2] in _ROLES else "a turn of another role"


_PROBE = (Message("user", "Name a river.", trained=False), Message("assistant", "The Oder.", trained=True))


def _of_template(tokens: TrainerTokenizer, frame: pl.DataFrame, config: AuditConfig) -> list[str]:
    """What is wrong with every row that the template renders, read off one of two short turns."""
    spoken = [form for form in frame["form"].unique().sort() if Form(form).is_conversation]
    if not spoken:
        return []
    turns = [{"role": message.role, "content": message.content} for message in _PROBE]
    found: dict[str, None] = {}
    for form in spoken:
        loss_on = LossOn.COMPLETION if form == Form.TURNS else config.loss_on or LossOn.ALL
        fields: Mapping[str, Any] = (
            {"prompt": turns[:1], "completion": turns[1:]} if form == Form.TURNS else {"messages": turns}
        )
        (prepared,) = tokens.prepare([Example(0, Form(form), fields, _PROBE, None, loss_on)])
        found |= dict.fromkeys(_defects(prepared))
    return list(found)


def _defects(prepared: Prepared) -> Iterator[str]:
    if prepared.refused:
        yield f"it refuses a question and an answer: {prepared.refused}"
        return
    if prepared.end == End.ABSENT:
        yield "it ends no answer with a special token: the model does not learn to stop"
    if prepared.end == End.MASKED:
        yield "the token that ends an answer is not trained: the model does not learn to stop"
    if prepared.left_out:
        yield "a prompt as the model will be asked is not how a row begins: it is trained on another context"
    if prepared.double_bos:
        yield "it begins with two beginning-of-sequence tokens"
    yield from (f"of a question and an answer, {lost}" for lost in prepared.lost)


def _packings(lengths: Sequence[int], frame: pl.DataFrame, config: AuditConfig) -> Iterator[dict[str, Any]]:
    """What each strategy makes of the rows at this length: sequences, tokens, and the room in them that stays empty."""
    limit = config.max_length
    kept = np.minimum(np.asarray(lengths, np.int64), limit or max(lengths, default=0))
    if config.packing is Packing.NONE:  # rows that are left out are known only of the strategy that was asked for
        kept = frame.filter(pl.col("input_tokens") > 0)["input_tokens"].to_numpy()
    yield {
        "packing": str(Packing.NONE),
        "sequences": len(kept),
        "tokens": int(kept.sum()),
        "cut_tokens": sum(lengths) - int(kept.sum()),
        "unused_fraction": round(expected_padding(kept, BATCH_SIZE), 6),
        "split_rows": 0,
    }
    if limit is None:
        return
    for packing in (Packing.BFD, Packing.BFD_SPLIT, Packing.WRAPPED):
        sequences = [sum(pieces) for pieces in packed_sequences(lengths, limit, packing)]
        n_tokens = sum(sequences)
        yield {
            "packing": str(packing),
            "sequences": len(sequences),
            "tokens": n_tokens,
            "cut_tokens": sum(lengths) - n_tokens,
            "unused_fraction": round(1 - n_tokens / (len(sequences) * limit), 6) if sequences else 0.0,
            "split_rows": n_split(lengths, limit, packing),
        }
