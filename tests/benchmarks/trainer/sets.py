"""Conversations and calls of tools that were made up: what real sets seldom have together, and what preprocessing trips over.

System turns, answers without a letter, texts longer than any maximum, other scripts, the tokenizer's own tokens written out,
spaces at borders, contents that are null, arguments of all kinds, and reasoning.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["multi_turn_rows", "text_rows", "tool_call_rows"]

_PLACES = ("Tarn Hollow", "Velmora", "Ostrig", "the Ulven lakes", "Port Maddow", "Hesper Down", "Quillan", "Brava Sul")
_THINGS = ("ferry", "salt mill", "bell tower", "reed market", "glass works", "night train", "weather house", "oyster bank")
_DEEDS = ("opened", "was moved", "burned down", "was painted", "was sold", "lost its roof", "was measured", "fell silent")
_SCRIPTS = (
    "Где стоит мельница?",
    "塔在哪里？",
    "أين الجسر؟",
    "그 다리는 언제 지었나요?",
    "Ποῦ ἐστιν; 🌊🛶",
    "e\u0301té à la plage",
    "नदी कहाँ है?",
)
_SYSTEMS = (
    "Answer in one sentence.",
    "You are a guide of Velmora.\nBe kind.",
    "Sé breve y claro.",
    "You know nothing of trains.",
)
_TOKENS = ("<|endoftext|>", "<|padding|>", "<|im_end|>", "</s>", "[INST]")


def _sentence(draw: random.Random) -> str:
    return f"The {draw.choice(_THINGS)} of {draw.choice(_PLACES)} {draw.choice(_DEEDS)} in {draw.randint(1700, 1990)}."


def _text(draw: random.Random, n_sentences: int) -> str:
    return " ".join(_sentence(draw) for _ in range(n_sentences))


def _question(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.12:
        return draw.choice(_SCRIPTS)
    if kind < 0.18:
        return f"What does {draw.choice(_TOKENS)} mean in “{_sentence(draw)}”?"
    if kind < 0.24:
        return f"  Sum up:\n\n{_text(draw, draw.randint(1, 6))}  "
    return f"When was the {draw.choice(_THINGS)} of {draw.choice(_PLACES)} built?"


def _answer(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.06:
        return ""
    if kind < 0.1:
        return " \n"
    if kind < 0.18:
        return _text(draw, draw.randint(20, 110))
    if kind < 0.22:
        return f"{_sentence(draw)}<|endoftext|>"
    if kind < 0.3:
        return f"{draw.choice(_SCRIPTS)} – {_sentence(draw)}"
    return _text(draw, draw.randint(1, 4))


def multi_turn_rows(n_rows: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows of `messages` with one to five exchanges."""
    draw = random.Random(seed)
    for number in range(n_rows):
        turns: list[dict[str, Any]] = []
        if draw.random() < 0.3:
            turns.append({"role": "system", "content": draw.choice(_SYSTEMS)})
        for _ in range(draw.randint(1, 5)):
            turns.append({"role": "user", "content": _question(draw)})
            turns.append({"role": "assistant", "content": _answer(draw)})
            if draw.random() < 0.1:
                turns[-1]["reasoning_content"] = f"They ask for a year. {_sentence(draw)}"
        if draw.random() < 0.04:
            turns.append({"role": "user", "content": "Thank you."})
        if draw.random() < 0.03:
            turns = turns[:1]
        yield {"messages": turns, "row": number}


_FUNCTIONS = (
    ("tide_at", "The tide of a harbour", {"place": "string", "hour": "integer"}),
    ("bell_count", "How often a bell rings", {"tower": "string"}),
    ("convert_reeds", "Reeds into bundles", {"reeds": "number", "wet": "boolean"}),
    ("list_ferries", "Ferries of a day", {"day": "string", "stops": "array"}),
)


def _tool(name: str, what: str, arguments: dict[str, str]) -> dict[str, Any]:
    properties = {argument: {"type": kind, "description": f"the {argument}"} for argument, kind in arguments.items()}
    described = {"type": "object", "required": list(arguments), "properties": properties}
    return {"type": "function", "function": {"name": name, "description": what, "parameters": described}}


def _value(kind: str, draw: random.Random) -> Any:
    values = {
        "string": draw.choice((*_PLACES, *_SCRIPTS, 'a "quoted" one', "")),
        "integer": draw.randint(0, 23),
        "number": draw.randint(0, 400) / 4,  # others `datasets` may read as neighbours of theirs: 2.82 as 2.8200000000000003
        "boolean": draw.random() < 0.5,
        "array": [draw.choice(_PLACES), draw.choice(_THINGS)],
    }
    return values[kind]


def tool_call_rows(n_rows: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows of `messages` with calls, their results and an answer; `tools` as JSON text, as TRL advises."""
    draw = random.Random(seed)
    for number in range(n_rows):
        offered = draw.sample(_FUNCTIONS, draw.randint(1, len(_FUNCTIONS)))
        turns: list[dict[str, Any]] = []
        if draw.random() < 0.4:
            turns.append({"role": "system", "content": draw.choice(_SYSTEMS)})
        turns.append({"role": "user", "content": _question(draw)})
        for _ in range(draw.randint(0, 2)):
            calls = []
            for name, _, arguments in draw.choices(offered, k=draw.randint(1, 2)):
                values = {argument: _value(kind, draw) for argument, kind in arguments.items()}
                calls.append(
                    {"type": "function", "id": f"call_{draw.randint(0, 99)}", "function": {"name": name, "arguments": values}}
                )
            turns.append({"role": "assistant", "content": draw.choice((None, "", "I look it up.")), "tool_calls": calls})
            for call in calls:
                result = json.dumps({"found": _sentence(draw), "n": draw.randint(0, 9)})
                turns.append({"role": "tool", "name": call["function"]["name"], "tool_call_id": call["id"], "content": result})
        turns.append({"role": "assistant", "content": _answer(draw)})
        yield {"messages": turns, "tools": json.dumps([_tool(*each) for each in offered]), "row": number}


def text_rows(n_rows: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows of a plain prompt and completion, with every border between the two."""
    draw = random.Random(seed)
    for number in range(n_rows):
        prompt = draw.choice((_question(draw), f"Q: {_question(draw)}\nA:", f"Q: {_question(draw)}\nA: ", "The capital is", ""))
        completion = draw.choice((_answer(draw), f" {_answer(draw)}", "n't named.", f"{_sentence(draw)}<|endoftext|>"))
        yield {"prompt": prompt, "completion": completion, "row": number}
