"""Text that is damaged, cut short or runs in circles: TXT003 to TXT009."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

from tests.benchmarks.recall.injection import (
    Injected,
    Injector,
    Row,
    is_prose,
    placed,
    prompt_of,
    response_of,
    sentences,
    single,
)

__all__ = ["CONTROL_CHARACTERS", "ECHO", "FENCES", "INVALID_JSON", "MOJIBAKE", "REPETITION", "TRUNCATED"]


# TXT003: control characters.


def _struck(rng: Random, text: str, *pieces: str) -> str | None:
    """The text with one of the pieces set between or within words, once to four times."""
    places = [match.start() for match in re.finditer(r"(?<=\w)\b|(?<=\w)(?=\w)", text)]
    if not places:
        return None
    piece = rng.choice(pieces)
    for at in sorted(rng.sample(places, min(rng.randint(1, 4), len(places))), reverse=True):
        text = text[:at] + piece + text[at:]
    return text


def _controlled(*pieces: str, in_prompt: bool = False) -> Injector:
    def inject(rng: Random, row: Row) -> Injected | None:
        damaged = _struck(rng, prompt_of(row) if in_prompt else response_of(row), *pieces)
        if damaged is None:
            return None
        return single(damaged, response_of(row)) if in_prompt else single(prompt_of(row), damaged)

    return inject


def _named(name: str, injector: Injector) -> Injector:
    injector.__name__ = name
    return injector


def terminal_colours(rng: Random, row: Row) -> Injected:
    word = rng.choice(["Warning", "OK", "Result", "Done"])
    coloured = rng.choice([f"\x1b[31m{word}\x1b[0m", f"\x1b[1;32m{word}:\x1b[0m", f"\x1b[4m{word}\x1b[24m"])
    return single(prompt_of(row), placed(rng, response_of(row), coloured))


def replacement_characters(rng: Random, row: Row) -> Injected:
    source = rng.choice(_ACCENTED["french"] + _ACCENTED["german"] + _TYPOGRAPHY)
    return single(prompt_of(row), placed(rng, response_of(row), re.sub(r"[^\x00-\x7f]", "\ufffd", source)))


CONTROL_CHARACTERS: tuple[Injector, ...] = (
    replacement_characters,
    _named("bell", _controlled("\x07")),
    _named("backspace", _controlled("\x08", "\x08\x08")),
    _named("delete", _controlled("\x7f")),
    _named("text_marks", _controlled("\x01", "\x02", "\x03", "\x04")),
    _named("separators", _controlled("\x1c", "\x1d", "\x1e", "\x1f")),
    _named("shift_and_cancel", _controlled("\x0e", "\x0f", "\x18", "\x1a")),
    terminal_colours,
    _named("windows_quotes_as_c1", _controlled("\x93", "\x94", "\x92", "\x96")),
    _named("c1", _controlled("\x80", "\x8d", "\x9d", "\x81")),
    _named("null", _controlled("\x00")),
    _named("writing_direction", _controlled("\u202e", "\u2066", "\u202d")),
    _named("in_the_prompt", _controlled("\x07", "\x08", "\x1b[2K", "\x02", "\x93", in_prompt=True)),
)


# TXT004: text decoded with the wrong table.

_ACCENTED = {
    "french": ("Le café près de la gare ferme à midi.", "Le garçon a prêté son vélo à sa sœur.", "C'était déjà l'été."),
    "german": ("Die Bäckerei verkauft süße Brötchen.", "Der Fluß führt zu früh Hochwasser.", "Schöne Grüße aus Köln!"),
    "spanish": ("El niño comió piñas mañana y tarde.", "¿Dónde está el jardín pequeño?", "La canción duró unos días más."),
    "nordic": ("Smörgåsen låg på bordet.", "Bjørn kjøpte blåbær på torget.", "Høsten kom så tidlig i år."),
    "slavic": ("Příští týden pojedu k řece.", "Žluté šaty visí ve skříni.", "Łódź płynie wąską rzeką."),
    "cyrillic": ("Старый мост закрыли на ремонт.", "Вечером пошёл дождь.", "Рыбаки вернулись домой."),
    "asian": ("古い橋は昨日閉鎖された。", "他们在河边种了三棵树。"),
}
_TYPOGRAPHY = (
    "It’s the baker’s day off – nobody’s in.",
    "“Leave the lamp on,” she said—and left.",
    "The menu costs 12 € per person…",
    "They’d waited for hours — the ferry didn’t come.",
    "Temperatures fell to −4 °C; that’s cold for “spring”.",
)


def _misread(text: str, table: str) -> str:
    """UTF-8 bytes read with a one-byte table; a byte that the table leaves open stands for itself, as browsers do."""
    return "".join(_character(byte, table) for byte in text.encode())


def _character(byte: int, table: str) -> str:
    try:
        return bytes([byte]).decode(table)
    except UnicodeDecodeError:
        return chr(byte)


def _mojibake(sources: tuple[str, ...], table: str) -> Injector:
    def inject(rng: Random, row: Row) -> Injected:
        return single(prompt_of(row), placed(rng, response_of(row), _misread(rng.choice(sources), table)))

    return inject


def apostrophes(rng: Random, row: Row) -> Injected | None:
    text = response_of(row)
    if not re.search(r"\w'\w", text):
        return None
    return single(prompt_of(row), re.sub(r"(?<=\w)'(?=\w)", _misread("’", "cp1252"), text))


def twice(rng: Random, row: Row) -> Injected:
    source = rng.choice(_ACCENTED["french"] + _ACCENTED["german"] + _TYPOGRAPHY)
    return single(prompt_of(row), placed(rng, response_of(row), _misread(_misread(source, "cp1252"), "cp1252")))


def in_the_prompt(rng: Random, row: Row) -> Injected:
    source = rng.choice(_ACCENTED["french"] + _ACCENTED["spanish"] + _TYPOGRAPHY)
    return single(f"{prompt_of(row)}\n\n{_misread(source, 'cp1252')}", response_of(row))


MOJIBAKE: tuple[Injector, ...] = (
    _named("typography", _mojibake(_TYPOGRAPHY, "cp1252")),
    apostrophes,
    _named("french", _mojibake(_ACCENTED["french"], "cp1252")),
    _named("german", _mojibake(_ACCENTED["german"], "latin-1")),
    _named("spanish", _mojibake(_ACCENTED["spanish"], "cp1252")),
    _named("nordic", _mojibake(_ACCENTED["nordic"], "cp1252")),
    _named("slavic", _mojibake(_ACCENTED["slavic"], "cp1250")),
    _named("cyrillic", _mojibake(_ACCENTED["cyrillic"], "cp1252")),
    _named("asian", _mojibake(_ACCENTED["asian"], "cp1252")),
    _named("macintosh", _mojibake(_ACCENTED["french"] + _TYPOGRAPHY, "mac-roman")),
    _named("emoji", _mojibake(("Well done 😀!", "See you at the lake 🌊🚣", "Happy birthday 🎂 Mina!"), "cp1252")),
    twice,
    in_the_prompt,
)


# TXT005: an answer that stops short.


def _prose(row: Row, least_characters: int = 160) -> str | None:
    text = response_of(row).strip()
    return text if is_prose(text) and len(text) >= least_characters else None


def _cut(rng: Random, row: Row, pattern: str) -> Injected | None:
    """The answer up to the end of a match of `pattern` in its later half, in mid-sentence."""
    text = _prose(row)
    if text is None:
        return None
    ends = [match.end() for match in re.finditer(pattern, text) if len(text) * 0.4 < match.end() < len(text) - 2]
    return single(prompt_of(row), text[: rng.choice(ends)]) if ends else None


def in_a_word(rng: Random, row: Row) -> Injected | None:
    return _cut(rng, row, r"\b[a-z]{3}(?=[a-z]{4})")


def between_words(rng: Random, row: Row) -> Injected | None:
    return _cut(rng, row, r"(?:\b[a-z]+ ){3}[a-z]+(?= [a-z])")


def after_a_comma(rng: Random, row: Row) -> Injected | None:
    return _cut(rng, row, r"\w,(?= )")


def after_a_function_word(rng: Random, row: Row) -> Injected | None:
    return _cut(rng, row, r" (?:and|or|the|a|of|to|with|for|because|which|is|are|in|by|as)(?= )")


_STEPS = (
    "Soak the beans overnight in plenty of water.",
    "Write down what you spend in a single week.",
    "Loosen the two screws below the handle.",
    "Ask a neighbour to look at the first draft.",
    "Let the paint dry for at least four hours.",
    "Put the heaviest books on the lowest shelf.",
    "Rinse the brush before the glue hardens.",
    "Measure the window twice before you order.",
    "Keep the receipts in one envelope.",
    "Stretch your back every half hour.",
)


def in_a_list_item(rng: Random, row: Row) -> Injected:
    mark = rng.choice(["{}. ", "{}) ", "- ", "* ", "• "])
    steps = rng.sample(_STEPS, rng.randint(3, 6))
    lines = [mark.format(number) + step for number, step in enumerate(steps, start=1)]
    lines[-1] = lines[-1][: rng.randint(len(lines[-1]) // 2, len(lines[-1]) - 4)].rstrip()
    return single(prompt_of(row), "Here is what to do:\n\n" + "\n".join(lines))


def at_an_item_number(rng: Random, row: Row) -> Injected:
    steps = rng.sample(_STEPS, rng.randint(3, 6))
    lines = [f"{number}. {step}" for number, step in enumerate(steps, start=1)]
    return single(prompt_of(row), "\n".join([*lines, f"{len(steps) + 1}."]))


def in_brackets(rng: Random, row: Row) -> Injected | None:
    text = _prose(row)
    if text is None:
        return None
    words = text.rstrip(".!?").split()
    aside = rng.choice(
        ["(for example the", "(see the chapter on", "(such as lamps, kettles and", "(in most cases between", "(not"]
    )
    return single(prompt_of(row), " ".join([*words[: rng.randint(len(words) // 2, len(words) - 2)], aside]))


def in_a_quotation(rng: Random, row: Row) -> Injected | None:
    text = _prose(row)
    said = rng.choice(['Then the old man said: "We never', 'The sign reads "Please do not', "Her answer was: “I would rather"])
    return single(prompt_of(row), f"{text} {said}") if text else None


def after_a_colon(rng: Random, row: Row) -> Injected | None:
    text = _prose(row)
    lead = rng.choice(
        ["The main reasons are the following:", "Here are some examples:", "In short, remember these three points:"]
    )
    return single(prompt_of(row), f"{text} {lead}") if text else None


_PROGRAMS = (
    "def average(values):\n    total = 0\n    for value in values:\n        total += value\n    return total / len(values)\n",
    "function greet(name) {\n  const text = `Hello, ${name}`;\n  if (name) {\n    console.log(text);\n  }\n}\n",
    "public class Lamp {\n    private boolean on;\n    public void press() {\n        on = !on;\n    }\n}\n",
    'for (int i = 0; i < 10; i++) {\n    sum += squares[i];\n    printf("%d\\n", sum);\n}\n',
    "SELECT name, COUNT(*) AS visits\nFROM guests\nWHERE arrived > '2019-05-01'\nGROUP BY name\nORDER BY visits DESC;\n",
    '<ul>\n  <li><a href="/boats">Boats</a></li>\n  <li><a href="/trains">Trains</a></li>\n</ul>\n',
)


def in_code(rng: Random, row: Row) -> Injected:
    program = rng.choice(_PROGRAMS[:4])
    opened = [match.end() for match in re.finditer(r"[({=] ?|\breturn\b|\w\.", program) if match.end() > len(program) // 2]
    cut = program[: rng.choice(opened)].rstrip()
    return single("Write a short program that shows the idea.", cut)


def in_a_table(rng: Random, row: Row) -> Injected:
    cells = [
        f"| {place} | {rng.randint(10, 99)} | {rng.randint(100, 999)} |" for place in ("North quay", "Old mill", "Station")
    ]
    table = "\n".join(["| place | boats | visitors |", "|---|---|---|", *cells])
    return single("Show the counts as a table.", table[: -rng.randint(4, 12)].rstrip())


TRUNCATED: tuple[Injector, ...] = (
    in_a_word,
    between_words,
    after_a_comma,
    after_a_function_word,
    in_a_list_item,
    at_an_item_number,
    in_brackets,
    in_a_quotation,
    after_a_colon,
    in_code,
    in_a_table,
)


# TXT006: a code fence that is never closed.

_LANGUAGES = ("python", "javascript", "java", "c", "sql", "html")


def _program(rng: Random) -> tuple[str, str]:
    number = rng.randrange(len(_PROGRAMS))
    return _LANGUAGES[number], _PROGRAMS[number]


def _fenced(response: str) -> Injected:
    return single("Show me how to do this in code.", response)


def never_closed(rng: Random, row: Row) -> Injected:
    language, program = _program(rng)
    return _fenced(f"Here is one way:\n\n```{language}\n{program.rstrip()}")


def without_language(rng: Random, row: Row) -> Injected:
    return _fenced(f"```\n{_program(rng)[1]}")


def second_never_closed(rng: Random, row: Row) -> Injected:
    (first, one), (second, two) = _program(rng), _program(rng)
    return _fenced(f"First:\n\n```{first}\n{one}```\n\nand then:\n\n```{second}\n{two}")


def prose_inside(rng: Random, row: Row) -> Injected:
    language, program = _program(rng)
    return _fenced(f"```{language}\n{program}\nThis keeps the steps apart, and you can change each of them later.")


def tildes(rng: Random, row: Row) -> Injected:
    language, program = _program(rng)
    return _fenced(f"Try this:\n\n~~~{language}\n{program}")


def closed_with_too_few(rng: Random, row: Row) -> Injected:
    language, program = _program(rng)
    return _fenced(f"```{language}\n{program}``")


def indented_in_a_list(rng: Random, row: Row) -> Injected:
    language, program = _program(rng)
    inner = "\n".join(f"   {line}" for line in program.rstrip().split("\n"))
    return _fenced(f"1. Open the editor.\n2. Type this:\n\n   ```{language}\n{inner}\n\n3. Save it.")


def opened_at_the_end(rng: Random, row: Row) -> Injected:
    language, program = _program(rng)
    return _fenced(f"```{language}\n{program}```\n\nIt prints:\n\n```")


def closed_by_the_other_kind(rng: Random, row: Row) -> Injected:
    language, program = _program(rng)
    return _fenced(f"Like this:\n```{language}\n{program}~~~")


FENCES: tuple[Injector, ...] = (
    never_closed,
    without_language,
    second_never_closed,
    prose_inside,
    tildes,
    closed_with_too_few,
    indented_in_a_list,
    opened_at_the_end,
    closed_by_the_other_kind,
)


# TXT007: JSON was asked for, and what came is none.

_JSON_PROMPTS = (
    "Describe a {thing} as a JSON object.",
    "Return the details of a {thing} in JSON format.",
    "Give me valid JSON with the name, price and colours of a {thing}.",
    "Write a JSON document for a {thing} in our catalogue.",
    "Extract name, price and colours of the {thing}. Respond only with JSON.",
    "Convert the following description into JSON: a {thing}, sold in several colours.",
    "Create a json for a {thing} with the keys name, price, colours.",
    "Your output must be a JSON object that describes a {thing}.",
)
_THINGS = ("lantern", "rowing boat", "kettle", "bicycle bell", "garden chair", "wall clock", "chess set", "rain barrel")


def _json_of(rng: Random) -> tuple[str, dict[str, Any]]:
    thing = rng.choice(_THINGS)
    colours = rng.sample(["red", "green", "sand", "black", "sky blue"], rng.randint(2, 3))
    item = {"name": thing, "price": round(rng.uniform(4, 90), 2), "in_stock": rng.random() < 0.5, "colours": colours}
    if rng.random() < 0.4:
        item["maker"] = {"town": rng.choice(["Ostrel", "Vinmar", "Kalby"]), "founded": rng.randint(1850, 1990)}
    return rng.choice(_JSON_PROMPTS).format(thing=thing), item


def _spoiled(rng: Random, prompt: str, text: str) -> Injected:
    return single(prompt, rng.choice([text, text, f"```json\n{text}\n```"]))


def _dumped(rng: Random, item: Any) -> str:
    return json.dumps(item, indent=rng.choice([2, 4]))


def comma_before_the_end(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, re.sub(r"\n(\s*)\}$", r",\n\1}", _dumped(rng, item)))


def single_quoted(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, _dumped(rng, item).replace('"', "'"))


def keys_without_quotes(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, re.sub(r'"(\w+)":', r"\1:", _dumped(rng, item)))


def brace_is_missing(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, _dumped(rng, item).rstrip("}").rstrip())


def with_comments(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, re.sub(r'("price": [\d.]+,)', r"\1 // in euros", _dumped(rng, item)))


def python_words(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    text = _dumped(rng, item).replace("true", "True").replace("false", rng.choice(["False", "None"]))
    return _spoiled(rng, prompt, text)


def comma_is_missing(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, _dumped(rng, item).replace(",\n", "\n", 1))


def bare_quotes_in_a_text(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, _dumped(rng, item).replace(item["name"], f'the "good" {item["name"]}', 1))


def an_ellipsis(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, re.sub(r'"colours": \[[^\]]*\]', '"colours": [...]', _dumped(rng, item)))


def cut_within(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    text = _dumped(rng, item)
    return single(prompt, text[: rng.randint(len(text) // 2, len(text) - 6)].rstrip())


def value_is_missing(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, re.sub(r'"price": [\d.]+', '"price": ', _dumped(rng, item)))


def curly_quotes(rng: Random, row: Row) -> Injected:
    prompt, item = _json_of(rng)
    return _spoiled(rng, prompt, re.sub(r'"([^"]*)"', "“\\1”", _dumped(rng, item)))


INVALID_JSON: tuple[Injector, ...] = (
    comma_before_the_end,
    single_quoted,
    keys_without_quotes,
    brace_is_missing,
    with_comments,
    python_words,
    comma_is_missing,
    bare_quotes_in_a_text,
    an_ellipsis,
    cut_within,
    value_is_missing,
    curly_quotes,
)


# TXT008: the answer gives back the question.


def _long_prompt(row: Row) -> str | None:
    prompt = prompt_of(row).strip()
    return prompt if 50 <= len(prompt) <= 600 and len(prompt.split()) >= 9 else None


def _echoed(form: str) -> Injector:
    def inject(rng: Random, row: Row) -> Injected | None:
        prompt = _long_prompt(row)
        if prompt is None:
            return None
        return single(prompt_of(row), form.format(prompt=prompt, response=response_of(row)))

    return inject


def in_small_letters(rng: Random, row: Row) -> Injected | None:
    prompt = _long_prompt(row)
    if prompt is None or prompt.lower() == prompt:
        return None
    return single(prompt_of(row), f"{prompt.lower().rstrip('.?!')}\n{response_of(row)}")


def first_line_alone(rng: Random, row: Row) -> Injected | None:
    first = prompt_of(row).split("\n")[0].strip()
    if len(first.split()) < 9:
        return None
    return single(prompt_of(row), f"{first}\n\n{response_of(row)}")


ECHO: tuple[Injector, ...] = (
    _named("then_the_answer", _echoed("{prompt}\n\n{response}")),
    _named("on_one_line", _echoed("{prompt} {response}")),
    _named("nothing_else", _echoed("{prompt}")),
    _named("in_quotation_marks", _echoed('"{prompt}"\n\n{response}')),
    _named("question_and_answer", _echoed("Question: {prompt}\nAnswer: {response}")),
    _named("you_asked", _echoed("You asked: {prompt}\n\n{response}")),
    _named("twice", _echoed("{prompt}\n{prompt}")),
    in_small_letters,
    first_line_alone,
)


# TXT009: going round in circles.

_CIRCLES = (
    "The old lighthouse still guides the boats at night.",
    "It is important to think about the whole family.",
    "He walked to the market and bought some bread.",
    "The results can be improved with more practice.",
    "She opened the letter and read it once more.",
    "Regular exercise helps to keep the heart healthy.",
    "There are many ways to reach the summit.",
)
_WORDS = ("very", "water", "again", "the", "lights", "really", "growth", "and", "forever")


def _after(rng: Random, row: Row, loop: str) -> Injected:
    text = response_of(row).strip()
    return single(prompt_of(row), rng.choice([f"{text} {loop}", loop]))


def one_sentence(rng: Random, row: Row) -> Injected:
    return _after(rng, row, " ".join([rng.choice(_CIRCLES)] * rng.randint(5, 14)))


def own_last_sentence(rng: Random, row: Row) -> Injected | None:
    text = response_of(row).strip()
    if not is_prose(text) or len(sentences(text)[-1].split()) < 5:
        return None
    return single(prompt_of(row), " ".join([text, *[sentences(text)[-1].strip()] * rng.randint(5, 12)]))


def one_word(rng: Random, row: Row) -> Injected:
    return _after(rng, row, " ".join([rng.choice(_WORDS)] * rng.randint(15, 60)))


def one_line(rng: Random, row: Row) -> Injected:
    return _after(rng, row, "\n" + "\n".join([rng.choice(_CIRCLES)] * rng.randint(5, 14)))


def a_phrase_without_marks(rng: Random, row: Row) -> Injected:
    phrase = rng.choice(["and then back to the harbour", "of the best of the", "which is why it is", "more and more of that"])
    return _after(rng, row, " ".join([phrase] * rng.randint(8, 25)))


def numbers_drift(rng: Random, row: Row) -> Injected:
    form = rng.choice(
        ["Step {}: stir the mixture well and wait.", "In {} the town built a new bridge.", "Day {}: we walked along the coast."]
    )
    start = rng.choice([1, 1950])
    return _after(rng, row, " ".join(form.format(start + number) for number in range(rng.randint(10, 25))))


def list_items(rng: Random, row: Row) -> Injected:
    items = rng.sample(["Amber", "Copper", "Juniper", "Saffron", "Willow"], 2)
    lines = [f"- {items[number % 2]}" for number in range(rng.randint(14, 30))]
    return _after(rng, row, "\n" + "\n".join(lines))


def numbered_items(rng: Random, row: Row) -> Injected:
    item = rng.choice(_CIRCLES)
    return _after(rng, row, "\n" + "\n".join(f"{number}. {item}" for number in range(1, rng.randint(8, 18))))


def one_character(rng: Random, row: Row) -> Injected:
    return _after(rng, row, rng.choice(["a", "!", "0", "ha", "z"]) * rng.randint(60, 200))


def whole_answer(rng: Random, row: Row) -> Injected | None:
    text = response_of(row).strip()
    if not is_prose(text) or len(text.split()) < 15:
        return None
    return single(prompt_of(row), "\n\n".join([text] * rng.randint(4, 6)))


def two_in_turn(rng: Random, row: Row) -> Injected:
    one, other = rng.sample(_CIRCLES, 2)
    return _after(rng, row, " ".join([one, other] * rng.randint(4, 9)))


def cut_in_the_loop(rng: Random, row: Row) -> Injected:
    loop = " ".join([rng.choice(_CIRCLES)] * rng.randint(6, 14))
    return _after(rng, row, loop[: -rng.randint(6, 25)])


REPETITION: tuple[Injector, ...] = (
    one_sentence,
    own_last_sentence,
    one_word,
    one_line,
    a_phrase_without_marks,
    numbers_drift,
    list_items,
    numbered_items,
    one_character,
    whole_answer,
    two_in_turn,
    cut_in_the_loop,
)
