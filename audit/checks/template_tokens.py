"""TXT011: role marks or tokens of a chat template stand inside a text.

What: special tokens such as `<|im_start|>`, `[INST]`, `</s>`, `<start_of_turn>` or `<pad>` in any turn; headings such
as `### Response:` and, in an answer, lines that open a turn (`Human: …`, `Assistant: …`) where no conversation was
asked for. Struck-out text in HTML (`<s>old</s>`), code, and texts about templates or tokens are left out. Of severity
info are headings in a prompt or in nine tenths of all responses, since texts are often kept in a template on purpose,
and one token that ends nine tenths of all responses, which somebody put there: it is right only where the training adds
none itself.

Why it matters: a tokenizer takes the text of a special token for the token itself, so that a turn ends in its middle;
and a model that has learnt to write `Human:` goes on to speak for the user.

Example: `{"instruction": "Name a river.", "output": "The Oder.</s><s>[INST] Name a lake. [/INST]"}`.

Fix: remove the tokens, and cut the answer where the invented turn begins; or `tunescope export --drop TXT011`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

from audit.checks.base import Check, NoOptions, shorten
from audit.checks.passages import blank_code
from audit.findings import Evidence, Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]

# What every mark below holds, in lower case; a search for plain strings costs a tenth of that for the patterns.
_SIGNS = (
    *("<|", "<｜", "[|", "inst]", "sys>>", "[available_tools", "[/available_tools", "[tool_", "[/tool_", "system_prompt]"),
    *("<s>", "</s>", "_of_turn>", "_of_text>", "_of_image>", "<bos>", "<eos>", "<pad>", "<unk>", "<sep>", "<cls>", "<sop>"),
    *("<eop>", "<eod>", "<eot>", "<end_of_utterance>", "[pad]", "[cls]", "[sep]", "[unk]", "[bos]", "[eos]", "mask]"),
    *("<extra_id_", "<reserved_", "<0x", "think>", "## ", "###", "###\t", "##response", "##instruction", "##human"),
)
_SPEAKERS = tuple(f"{name}{end}" for name in ("human", "user", "assistant", "ai", "bot", "gpt") for end in (":", ">:", "**:"))
# The patterns hold for Rust's expressions (columns) and Python's alike.
_TOKEN = "|".join(
    (
        r"<\|[A-Za-z][\w .:/-]{0,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[\|\w{1,20}\|\]",
        r"\[/?INST\]|<</?SYS>>|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT)\]",
        r"</?s>|<(?:start|end)_of_(?:turn|text|image)>|<(?:bos|eos|pad|unk|sep|cls|sop|eop|eod|eot|end_of_utterance)>",
        r"\[(?:PAD|CLS|SEP|UNK|BOS|EOS|gMASK|sMASK)\]|<extra_id_\d+>|<reserved_\d+>|<0x[0-9A-F]{2}>|</?think>",
    )
)
_HEADING = (
    r"(?:^|\n)[ \t]*#{2,4}[ \t]*(?:Response|Instruction|Human|Assistant|User|System(?: Prompt)?)[ \t]*:"
    r"|(?:^|\n)[ \t]*#{3}[ \t]*(?:Response|Instruction)[ \t]*(?:\n|$)"
)
_SPEAKER = r"(?:Human|User|Assistant|AI|AI Assistant|Bot|Chatbot|ChatGPT|GPT|USER|ASSISTANT|HUMAN|GPT4 Correct \w+)"
_TURN = rf"(?:^|\n)[ \t]*(?:\*\*|<)?{_SPEAKER}(?:>?:(?:\*\*)?|\*\*:)[ \t]*\S"
_INLINE_TURN = r"[.!?][ \t]+(?:USER|ASSISTANT|HUMAN|Human|User|Assistant):[ \t]*\S"

_FIND = re.compile(f"(?P<token>{_TOKEN})|(?P<heading>{_HEADING})")
_FIND_TURN = re.compile(f"{_TURN}|{_INLINE_TURN}")
_BY_USER = re.compile(r"(?i)\W*(?:human|user|gpt4 correct user)")
_ABOUT = re.compile(
    r"(?i)chat[- ]?templates?|prompt (?:template|format)|chatml|special tokens?|control tokens?|tokeni[sz]|\b[BE]OS\b"
    r"|end[- ]of[- ](?:text|sequence|turn|sentence) (?:token|marker)|(?:start|stop|padding|unknown|mask) tokens?"
    r"|strike-?through|struck|<del>|<think>|think tags?"
)
_HTML = re.compile(r"(?i)<(?:/?(?:p|div|span|b|i|a|ul|li|del|ins|html|body|h\d|em|strong|table|td|tr)\b|br\b)")
_ASKED = re.compile(
    r"(?i)\b(?:dialog(?:ue)?s?|conversations?|conversational|chat(?:s|bots?)?|interviews?|scripts?|screenplay|scenes?|"
    r"skit|transcripts?|role-?play"
    r"|exchange|bots?|assistants?|turns?|speakers?|interactions?|negotiation|discussion|debate|humans?|users?|"
    r"systems?|act as|flow|labels?|voice|use cases?)\b"
)


# A token that ends so many of the responses is a habit of the dataset.
_HABIT = 0.9
_MIN_DATASET = 20
_LONGEST_TOKEN = 50


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per turn with tokens or marks of roles, at the first of them."""
    turns = materials.corpus.turns.select("row", "turn", "role", "content").filter(pl.col("role") != "tool")
    suspects = _suspects(turns)
    last = _habitual_ending(suspects, materials.n_responses)
    if last is not None:
        body = pl.col("content").str.strip_chars_end().str.strip_suffix(last)
        ended = (pl.col("role") == "assistant") & pl.col("content").str.strip_chars_end().str.ends_with(last)
        otherwise = _suspects(suspects.filter(ended).with_columns(content=body)).select("row", "turn")
        only_ended = suspects.filter(ended).join(otherwise, on=["row", "turn"], how="anti", maintain_order="left")
        share = only_ended.height / materials.n_responses
        message = f"Ends in {shorten(last, 40)}, as {share:.0%} of the responses do."
        for row, turn, start in only_ended.select("row", "turn", body.str.len_chars()).iter_rows():
            evidence = Evidence("marks of roles and templates", 1, 1, span=(start, start + len(last)), quote=last)
            yield Finding(CHECK.code, row, turn, Severity.INFO, message, evidence)
        suspects = suspects.join(only_ended.select("row", "turn"), on=["row", "turn"], how="anti", maintain_order="left")
    n_headed = suspects.filter((pl.col("role") == "assistant") & pl.col("content").str.contains(_HEADING)).height
    in_template = n_headed >= max(_MIN_DATASET, _HABIT * materials.n_responses)  # on purpose
    asked = materials.responses.select("row", "turn", "prompt", "answer_start")
    suspects = suspects.join(asked, on=["row", "turn"], how="left", maintain_order="left")
    for row, turn, role, text, prompt, offset in suspects.iter_rows():
        is_answer = role == "assistant"
        # A leading <think> block is how reasoning is kept, not a token gone astray.
        visible = blank_code(text[: 0 if offset is None else offset].replace("<", " ") + text[offset or 0 :])
        places = _tokens(visible, prompt or "")
        severity, what = CHECK.severity, "a token of a chat template"
        if not places:
            places = [_stripped(found) for found in _FIND.finditer(visible) if found["heading"]]
            severity, what = (
                (Severity.INFO if in_template or not is_answer else CHECK.severity),
                "a heading of a prompt template",
            )
        if not places and is_answer and (leaked := _leaked_turn(visible, prompt or "")):
            places, what = [leaked], "a mark that opens a turn"
        if places:
            start, end = places[0]
            quote = shorten(text[start:end])
            more = f", and {len(places) - 1:,} more" if len(places) > 1 else ""
            evidence = Evidence("marks of roles and templates", len(places), 1, span=(start, end), quote=quote)
            yield Finding(CHECK.code, row, turn, severity, f"Holds {what}, {shorten(quote, 40)}{more}.", evidence)


def _suspects(turns: pl.DataFrame) -> pl.DataFrame:
    """The turns in which a pattern matches at all."""
    content, answers = pl.col("content"), pl.col("role") == "assistant"
    return turns.filter(
        content.str.contains_any(list(_SIGNS), ascii_case_insensitive=True)
        | (answers & content.str.contains_any(list(_SPEAKERS), ascii_case_insensitive=True))
    ).filter(content.str.contains(f"{_TOKEN}|{_HEADING}") | (answers & content.str.contains(f"{_TURN}|{_INLINE_TURN}")))


def _habitual_ending(suspects: pl.DataFrame, n_responses: int) -> str | None:
    """The token that ends nine tenths of the responses; None where there is none."""
    if suspects.height < max(_MIN_DATASET, _HABIT * n_responses):
        return None
    tails = suspects.filter(pl.col("role") == "assistant").select(
        last=pl.col("content").str.strip_chars_end().str.tail(_LONGEST_TOKEN).str.extract(rf"({_TOKEN})$")
    )
    for token, count in tails.drop_nulls().to_series().value_counts(sort=True).head(1).iter_rows():
        return str(token) if count >= _HABIT * n_responses else None
    return None


def _tokens(text: str, prompt: str) -> list[tuple[int, int]]:
    """Where special tokens stand that are neither markup nor taken from the prompt nor what the text is about."""
    places = [(found.start(), found.end()) for found in _FIND.finditer(text) if found["token"] and found["token"] not in prompt]
    bare = text.strip()
    struck = [text[start:end] for start, end in places if text[start:end] in ("<s>", "</s>")]
    whole = bare.startswith("<s>") and bare.endswith("</s>")
    if struck and (_HTML.search(text) or (struck.count("<s>") == struck.count("</s>") and not whole)) and "[INST]" not in text:
        places = [(start, end) for start, end in places if text[start:end] not in ("<s>", "</s>")]
    # What ends or begins the whole text is no word of it.
    outer = [(start, end) for start, end in places if not text[end:].strip() or not text[:start].strip()]
    return outer if len(outer) < len(places) and (_ABOUT.search(text) or _ABOUT.search(prompt)) else places


def _leaked_turn(text: str, prompt: str) -> tuple[int, int] | None:
    """Where a turn opens in an answer that should hold none."""
    turns = list(_FIND_TURN.finditer(text))
    if not turns or _ASKED.search(prompt) or _FIND_TURN.search(prompt):
        return None
    for number, found in enumerate(turns):
        start, end = _stripped(found)
        at_start = not text[:start].strip()
        by_user = _BY_USER.match(text[start:end]) is not None
        # One speaker's name before a colon may be any label; a turn of the user, or a reply to it, is none.
        if by_user and (number + 1 < len(turns) or "\n" not in text[end:].strip() or at_start):
            return start, end
        if at_start and not by_user:
            return start, end
    return None


def _stripped(found: re.Match[str]) -> tuple[int, int]:
    """The place of a match without white space around it and, for a turn, without what is said."""
    start, label = found.start(), found.group()
    start += len(label) - len(label.lstrip(" \t\n.!?"))
    end = found.end() - (0 if label.rstrip().endswith((":", "#")) or "###" in label else 1)
    return start, start + len(found.string[start:end].rstrip())


CHECK = Check(
    code="TXT011",
    name="role or template token",
    severity=Severity.WARNING,
    advice="Remove the tokens and what follows an invented turn, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
)
