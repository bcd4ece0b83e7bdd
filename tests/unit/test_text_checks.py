"""The checks of texts: for each, variants that it must find, with the place, and near misses that it must leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from audit.findings import Evidence, Finding, Severity
from tests.conftest import FindIn, alpaca, chat

ASKED = "Describe a willow."
WILLOW = "A willow is a tree that likes wet ground."
TOWER = "The tower stands on a hill above the town. It was built of grey stone. "
TUNNEL = "The tunnel under the bay was dug by hand over nine years."
WELL_ENDED = [
    (ASKED, f"The {kind} willow has {limbs} limbs and leaves that turn pale in {month}. It grows by the water.")
    for kind in ("old", "white", "weeping", "small")
    for limbs in ("two", "three", "four")
    for month in ("May", "June")
]

Pair = tuple[str, str]


def marked(findings: list[Finding], pairs: list[Pair]) -> dict[int, str]:
    """The text at the span of the finding of every answer that has one."""
    assert len({finding.row for finding in findings}) == len(findings)
    for finding in findings:
        assert finding.turn == 1
        assert finding.evidence.span is not None
    return {finding.row: pairs[finding.row][1][slice(*(finding.evidence.span or ()))] for finding in findings}


def rows_of(pairs: list[Pair]) -> list[dict[str, Any]]:
    return [alpaca(prompt, answer) for prompt, answer in pairs]


def quoted(findings: list[Finding]) -> list[str]:
    return [finding.evidence.quote for finding in findings]


FOUND: dict[str, list[tuple[str, str, str]]] = {
    "TXT003": [
        (ASKED, "A wil\x00low".replace("\x00", "\x01"), "\x01"),
        (ASKED, "A willow\x0bgrows", "\x0b"),
        (ASKED, "\x1b[31mwillow\x1b[0m", "\x1b"),
        (ASKED, "A willow\x9d grows", "\x9d"),
        (ASKED, "A wil\u200blow", "\u200b"),
        (ASKED, "A wil\u200dlow", "\u200d"),
        (ASKED, "A \u202ewollij\u202c", "\u202e"),
        (ASKED, "A willow\u200e grows", "\u200e"),
        (ASKED, "A \ufeffwillow", "\ufeff"),
        (ASKED, "A will\ufffdw", "\ufffd"),
        (ASKED, "\uf0b7 A willow", "\uf0b7"),
        (ASKED, "A willow\ufffc", "\ufffc"),
        (ASKED, "A willow\U000e0041", "\U000e0041"),
        (ASKED, "A willow\u2028grows", "\u2028"),
    ],
    "TXT004": [
        (ASKED, "The treeâ€™s leaves", "treeâ€™s"),
        (ASKED, "A cafÃ© by it", "cafÃ©"),
        (ASKED, "It fÃ¼hlt", "fÃ¼hlt"),
        (ASKED, "â€œWillow", "â€œWillow"),
        (ASKED, "It costs 5 â‚¬", "â‚¬"),
        (ASKED, "Grown at 20Â°C", "20Â°C"),
        (ASKED, "РїСЂРёРІРµС‚ now", "РїСЂРёРІРµС‚"),
        (ASKED, "Ð¿Ñ€Ð¸Ð²ÐµÑ‚ now", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚"),
        (ASKED, "A tree ðŸ˜€", "ðŸ˜€"),
        (ASKED, "It鈥檚 green", "鈥檚"),
        (ASKED, "Broken ï¿½ sign", "ï¿½"),
        (ASKED, "It‚Äôs green", "It‚Äôs"),
        (ASKED, "Dvě bĹ™Ă­zy", "bĹ™Ă­zy"),
        (ASKED, "A f√™te in May, “quoted” – it’s", "f√™te"),
    ],
    "TXT005": [
        (ASKED, TOWER + "Its upper part is made of", "Its upper part is made of"),
        (ASKED, TOWER + "It has a door, a roof of slate,", "It has a door, a roof of slate,"),
        (ASKED, TOWER + "The door is (as far as we know", "The door is (as far as we know"),
        (ASKED, TOWER + "The reason for it is that the", "one. The reason for it is that the"),
        (ASKED, TOWER + "It was mended in 20", "of grey stone. It was mended in 20"),
        (ASKED, TOWER + "It was mended again and aga-", "stone. It was mended again and aga-"),
        (ASKED, TOWER + "There are three parts:\n\n1. The hall.\n2.", "2."),
        (ASKED, TOWER + "Its main parts are as follows:", "Its main parts are as follows:"),
        (ASKED, "It is bent because", "It is bent because"),
        (
            ASKED,
            "1. The hall is wide.\n2. The store is dark.\n3. The roof is made of slate and",
            "The roof is made of slate and",
        ),
        (ASKED, TOWER + "Trees like it also grow by the wat", "Trees like it also grow by the wat"),
        (ASKED, TOWER + "The people who built it came by boat", "people who built it came by boat"),
        (ASKED, TOWER + 'The mason said: "We shall', 'The mason said: "We shall'),
        (ASKED, TOWER + "It was built for @masons & friends of the whole town,", "friends of the whole town,"),
        (f"Read this question.\n{TOWER * 9}\nWhat is it?", TOWER * 3 + "Here are some reasons:", "Here are some reasons:"),
        ("Make a table.", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3", "| 3"),
        ("Make a table.", "| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n| 4 | 5 |", "| 4 | 5 |"),
        ("Write code.", "def f(x):\n    y = x\n    y +=", "y +="),
        ("Write code.", "int f() {\n  int x = 1;\n  printf(", "printf("),
        ("Write code.", "int f() {\n  int x = 1;\n  if (x) {\n    x = 2;\n  }", "}"),
        ("Write code.", "let x = 1;\nif (x) {\n    console.", "console."),
        ("Write code.", "def f(x):\n    y = x\n    return", "return"),
        ("Write a poem.", "The willow bends\nbeneath the sky\nit stands so still\nand it wonders by the", "wonders by the"),
    ],
    "TXT006": [
        (ASKED, "```python\nprint(1)", "```python"),
        (ASKED, "So:\n\n```\nprint(1)\n", "```"),
        (ASKED, "So: ```python\nprint(1)\n", "```python"),
        (ASKED, "~~~\nprint(1)", "~~~"),
        (ASKED, "```py\na\n```\nthen\n```js\nb", "```js"),
        (ASKED, "```py\na\n\nthen\n```js\nb\n```", "```py"),
        (ASKED, "1. Run\n   ```bash\n   ls\n2. Stop", "```bash"),
        (ASKED, "````md\n```py\na\n```\n", "````md"),
        (ASKED, "print(1)\n```", "```"),
        (ASKED, "<think>\n```\n</think>\n```sql\nSELECT 1", "```sql"),
    ],
    "TXT007": [
        ("Describe a cat as JSON.", "{'name': 'Tom'}", "'"),
        ("Return the result in JSON format.", '{"name": "Tom",}', "}"),
        ("Create a JSON object for a cat.", '{"name": "Tom"', '"'),
        ("Convert this to JSON: name Tom", "name: Tom", "n"),
        ("Respond in valid JSON.", "{name: 1}", "n"),
        ("Give me a JSON array of three names.", '["a", "b", "c"', '"'),
        ("Output only JSON.", '```json\n{"a": True}\n```', "T"),
        ("Gib die Antwort im JSON-Format aus.", '{"a": 1 // eins\n}', "/"),
        ("Responde en formato JSON.", '{"a": NaN}', "{"),
        ("Write a JSON representation of a book.", '{"a": {"b": [1, 2]}', "}"),
        ("Summarise the review. Use JSON with the keys a and b.", "The review is kind.", "T"),
        ("Describe a cat as a JSON object.", "{'name': 'Tom'}", "'"),
    ],
    "TXT008": [
        ("When was the tunnel built?", "When was the tunnel built?", "When was the tunnel built?"),
        ("Name three rivers of Asia.", "Name three rivers of Asia.\nOb, Indus", "Name three rivers of Asia."),
        ("Name three rivers of Asia", "Name three rivers of Asia. Ob, Indus", "Name three rivers of Asia."),
        (f"Summarise the text.\n{TUNNEL}", TUNNEL, TUNNEL),
        (f"Summarise the text.\n{TUNNEL}", f"Summarise the text.\n{TUNNEL}", f"Summarise the text.\n{TUNNEL}"),
        (f"Translate to French.\n{TUNNEL}", f"  {TUNNEL}\n", TUNNEL),
        (f"Classify the sentence.\n{TUNNEL}", "Classify the sentence.", "Classify the sentence."),
        (f"Read this.\n{TUNNEL}\nHow long did it take?", "How long did it take?", "How long did it take?"),
        (f"Paraphrase: {TUNNEL}", TUNNEL, TUNNEL),
        ("Explain why the sky is blue", "EXPLAIN WHY THE SKY IS BLUE", "EXPLAIN WHY THE SKY IS BLUE"),
        ("What is the tallest tree?", '"What is the tallest tree?" A redwood.', '"What is the tallest tree?"'),
        ("How do tides work?", "<think>hm</think>How do tides work? By the moon.", "How do tides work?"),
        (f"Summarise the text.\n{TUNNEL}", f"{TUNNEL}\n\nIt took nine years.", TUNNEL),
        ("Name three rivers.", "You asked: Name three rivers.\n\nOb, Indus", "You asked: Name three rivers."),
        ("How do tides work?", "**Question:** How do tides work?\nAnswer: By the moon.", "**Question:** How do tides work?"),
        ("How do tides work ?", "How do tides work ?\nHow do tides work ?", "How do tides work ?"),
    ],
    "TXT009": [
        (ASKED, "It is tall. " * 8, ("It is tall. " * 8).strip(" .")),
        (ASKED, "It stands " + "and " * 12, ("and " * 12).strip()),
        (ASKED, "\n".join(f"{n}. Be kind" for n in range(1, 8)), "Be kind\n" + "\n".join(f"{n}. Be kind" for n in range(2, 8))),
        (ASKED, "A tree. " + "very tall and wide " * 6, ("very tall and wide " * 6).strip()),
        (
            ASKED,
            "It was put there by many hands over nine years. " * 3,
            ("It was put there by many hands over nine years. " * 3)[:-2],
        ),
        (ASKED, "willow" * 15, "willow" * 15),
        (ASKED, "- green\n" * 10, ("- green\n" * 10)[2:].strip()),
        (ASKED, "这座塔很高。" * 8, ("这座塔很高。" * 8)[:-1]),
        (ASKED, "Ива высокая. " * 6, ("Ива высокая. " * 6)[:-2]),
        ("Write a song.", "Willow, oh willow so high\n" * 12, ("Willow, oh willow so high\n" * 12).strip()),
        (ASKED, "A willow " + "!" * 60, "!" * 60),
        (ASKED, "0" * 80, "0" * 80),
        ("Remove duplicates from the list.", "tall " * 30, ("tall " * 30).strip()),
        (
            f"Sum it up.\n{TOWER}She said it many times, over and over." + TOWER * 9,
            "It is tall. " * 8,
            ("It is tall. " * 8)[:-2],
        ),
        (
            ASKED,
            "".join(f"In {year} they mended the old roof. " for year in range(1900, 1912)),
            "".join(f"In {year} they mended the old roof. " for year in range(1900, 1912))[:-2],
        ),
    ],
    "TXT010": [
        (ASKED, f"{WILLOW}\n\n11. Instruction: Name a lake.\n11. Output: Balaton", "11. Instruction: Name a lake."),
        (ASKED, f"{WILLOW}\n##\n6. Instruction: Name a lake.\n6. Input:\n<noinput>", "6. Instruction: Name a lake."),
        (ASKED, f"{WILLOW}\n\nInstruction: Name a lake.\nOutput: Balaton", "Instruction: Name a lake."),
        (ASKED, f"{WILLOW}\n\n### Instruction:\nName a lake.\n\n### Response:\nBalaton", "### Instruction:"),
        (ASKED, f"{WILLOW}\n\nQ: Which lake is deep?\nA: Baikal.", "Q: Which lake is deep?"),
        (ASKED, f"{WILLOW}\n\nQuestion: Which lake is deep?\nAnswer: Baikal.", "Question: Which lake is deep?"),
        (ASKED, f"{WILLOW}\n\nTask: Translate 'dog'.\nAnswer: chien", "Task: Translate 'dog'."),
        (ASKED, f"{WILLOW}\n\n**Instruction:** Name a lake.\n**Response:** Balaton", "**Instruction:** Name a lake."),
        (ASKED, f"{WILLOW}\n\nUser: Name a lake.\nAssistant: Balaton", "User: Name a lake."),
        (ASKED, f"{WILLOW}\n\nExample 7:\nInput: Name a lake.\nOutput: Balaton", "Example 7:"),
        ("Answer the question.\nWhen?", "May.\n\nQuestion: Name a lake.\nAnswer: Balaton", "Question: Name a lake."),
        (ASKED, f"{WILLOW}\n\nGive three synonyms of the word big.\nlarge, huge", "Give three synonyms of the word big."),
    ],
    "TXT011": [
        (ASKED, f"{WILLOW}<|im_end|>", "<|im_end|>"),
        (ASKED, f"<|im_start|>assistant\n{WILLOW}", "<|im_start|>"),
        (ASKED, f"{WILLOW}</s>", "</s>"),
        (ASKED, f"<s>{WILLOW}</s>", "<s>"),
        (ASKED, f"{WILLOW} [INST] Name a lake. [/INST]", "[INST]"),
        (ASKED, f"{WILLOW}<end_of_turn>", "<end_of_turn>"),
        (ASKED, f"{WILLOW}\n\nHuman: Name a lake.", "Human:"),
        (ASKED, f"Assistant: {WILLOW}", "Assistant:"),
        (ASKED, f"### Response: {WILLOW}", "### Response:"),
        (ASKED, f"{WILLOW} USER: And a lake? ASSISTANT: Balaton.", "USER:"),
        (ASKED, "A <unk> willow", "<unk>"),
        (ASKED, f"Hm.</think>{WILLOW}", "</think>"),
        (ASKED, f"<｜Assistant｜>{WILLOW}", "<｜Assistant｜>"),
    ],
    "TXT012": [
        (ASKED, "As an AI language model, I like no trees.", "As an AI language model, I"),
        (ASKED, "As an AI, I don't have preferences.", "As an AI, I"),
        (ASKED, "I'm sorry, but I can't assist with that.", "I'm sorry, but I can't"),
        (ASKED, "I cannot help with that request.", "I cannot help with that"),
        (ASKED, f"{WILLOW} I don't have personal opinions.", "I don't have personal opinions"),
        (ASKED, "I am ChatGPT.", "I am ChatGPT"),
        (ASKED, "I was created by OpenAI.", "I was created by OpenAI"),
        (ASKED, "A picture cannot be drawn by a language model.", "cannot be drawn by a language model"),
        (ASKED, "I’m just an AI assistant, so I cannot tell.", "I’m just an AI assistant"),
        (ASKED, "As of my last knowledge update in 2021, none.", "As of my last knowledge update"),
        (ASKED, "Sorry, the task needs a picture.", "Sorry, the task"),
        (ASKED, "I'm only a computer program, so I see none.", "I'm only a computer program"),
        (ASKED, "As a text-based assistant, I see none.", "As a text-based assistant, I"),
        (ASKED, "It would go against my guidelines.", "against my guidelines"),
        (ASKED, "I'd rather not discuss it.", "I'd rather not discuss"),
        ("Is this review kind?", "I can't in good conscience say that.", "I can't in good conscience say that"),
        (ASKED, "I don't have the ability to open files.", "I don't have the ability to open files"),
        ("What is an AI?", "A program. I am a language model trained by OpenAI.", "I am a language model"),
    ],
}

LEFT_ALONE: dict[str, list[Pair]] = {
    "TXT003": [
        (ASKED, "A willow.\n\tIt grows.\r\nBy the water.\u00a0Yes."),
        (ASKED, "A family 👩\u200d👩\u200d👧 and ❤️\u200d🔥"),
        (ASKED, "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        (ASKED, "\u0915\u094d\u200d\u0937"),
        (ASKED, "\u05e9\u05dc\u05d5\u05dd \u200ewillow\u200e"),
        (ASKED, "England \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"),
        (ASKED, "wil\u00adlow"),
        ("What is U+FFFD?", "It is \ufffd, the replacement character."),
        (ASKED, "\u0e15\u0e49\u0e19\u200b\u0e44\u0e21\u0e49"),
    ],
    "TXT004": [
        (ASKED, "A café, naïve, Größe, “quoted” – it’s"),
        (ASKED, "NÃO É AÇÃO"),
        (ASKED, "Привет, мир! В Москве «хорошо»"),
        (ASKED, "Ελληνικά και άλλα"),
        (ASKED, "20 °C – 30 °C, 5 €"),
        (ASKED, "È vero. “Ça va”"),
        (ASKED, "Tiếng Việt: cầu"),
        (ASKED, "柳树很高。"),
        ("What is mojibake?", "For instance, cafÃ©."),
        (ASKED, "Příliš žluťoučký kůň, Łódź, Ångström, šķēle"),
    ],
    "TXT005": [
        *WELL_ENDED,
        (ASKED, TOWER),
        (ASKED, "A bent tree by the water"),
        ("Write a poem.", "The willow bends\nbeneath the sky\nit stands so still\nand wonders why"),
        ("List its parts.", "1. Root\n2. Limb\n3. Leaf"),
        ("Write code.", "```python\nprint(1)\n```"),
        ("Write a letter.", "Dear Ann,\n\nThe willow is ill.\n\nBest regards,\nBob"),
        ("Quote somebody.", '"Stone lasts longer than words do." - Ann Mason'),
        ("Write code.", "def f(x):\n    return x"),
        ("Write a tweet.", "I love this willow! It is great #tree"),
        (ASKED, "柳树很高。它在水边。"),
        ("Make a table.", "| a | b |\n|---|---|\n| 1 | 2 |"),
        (ASKED, "See https://example.org/willow"),
        ("Write code.", "int f() {\n  int x = 1;\n  return x;\n}"),
        ("Write code.", "a = [1, 2]\nfor x in a:\n    print x,"),
        ("Write code.", 'let s = "{";\nlet t = 1;\nprint(s);'),
        ("Make a table.", "| a | b |\n|---|---|\n| 1 | |"),
        ("Write a song in two notes.", "A A G\nG A A\nA G G\nA A A G A"),
    ],
    "TXT006": [
        (ASKED, "```python\nprint(1)\n```"),
        (ASKED, "So: ```python\nprint(1)\n```\nDone."),
        (ASKED, "````md\n```py\na\n```\n````"),
        (ASKED, "```markdown\n# A\n```python\na\n```\nend\n```"),
        ("How is a block opened?", "With three backticks (```) on a line."),
        ("How is a block opened?", "Type ``` and the language."),
        (ASKED, "```print(1)```"),
        (ASKED, "> ```\n> a\n> ```"),
        (ASKED, "```js\nconst s = `a`;\n```"),
        (ASKED, "```\r\na\r\n```\r\n"),
    ],
    "TXT007": [
        ("Describe a cat as JSON.", '{"name": "Tom"}'),
        ("Describe a cat as JSON.", 'Here it is:\n```json\n{"name": "Tom"}\n```\nDone.'),
        ("Describe a cat as JSON.", 'Here is [the] JSON: {"name": {"first": "Tom"}}.'),
        ("What is JSON?", "A format."),
        ("Explain how JSON works.", "It has {keys}."),
        ("Convert the following JSON data into CSV.\n{}", "a,b"),
        ("Write a Python function that returns JSON.", "def f(): return {}"),
        ("Give three names as JSON Lines.", '{"a": 1}\n{"a": 2}'),
        ("Is it better to store data in JSON or XML?", "It depends."),
        ("Given the JSON data, extract all names.\n[]", "Tom"),
        ("Describe a cat as JSON.", "<think>{</think>[1, 2]"),
        ("Describe the given JSON object.\n{}", "It is empty."),
    ],
    "TXT008": [
        (f"Correct the grammar.\n{TUNNEL}", TUNNEL),
        (f"Repeat after me: {TUNNEL}", TUNNEL),
        ("When was the tunnel built?", "The tunnel was built by hand."),
        ("The benefits of long walks", "The benefits of long walks include fresh air."),
        ("Write a program to add numbers.", '"""\nWrite a program to add numbers.\n"""\nprint(1 + 2)'),
        ("Sort the list.\n1, 2, 3, 4, 5", "1, 2, 3, 4, 5"),
        (f"Continue the story.\n{TUNNEL}", f"{TUNNEL} Then it rained."),
        ("Hello!", "Hello!"),
        (f"Is this right? If not, fix it.\n{TUNNEL}", TUNNEL),
        ("Name three rivers.", "You asked: what is a river?"),
        ("Write a question about tides.", "Question: How do tides work?"),
    ],
    "TXT009": [
        ("Write a song.", "Row, row, row your boat\nRow, row, row your boat"),
        ("Laugh.", "ha ha ha ha ha ha ha ha ha ha"),
        ("Make a table.", "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"),
        ("Repeat 'willow' ten times.", "willow " * 10),
        ("List prices.", "\n".join(f"June {day}: {day * 3 % 7}" for day in range(1, 12))),
        ("Make a row.", "<tr>" + "<td>Row</td>" * 8 + "</tr>"),
        ("Give zeros.", "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"),
        (ASKED, "It is very, very, very tall. No, no, no!"),
        ("Write code.", "```python\n" + "print('a')\n" * 8 + "```"),
        (ASKED, "Nooooooooooooo way!"),
        (ASKED, "It is very very very very very very very very tall."),
        (ASKED, "Above\n" + "=" * 60 + "\nbelow" + "." * 60),
        ("Print it in a loop.", "willow " * 10),
        ("List the prices.", "".join(f"In {year} it cost {year * 7 % 11} pounds then. " for year in range(1900, 1908))),
        ("Name them.", "Student A, Student B, Student C, Student D, Student E, Student F, Student G, Student H, Student I"),
    ],
    "TXT010": [
        ("Give three synonyms of the word big.", "large, huge, vast"),
        ("Write a recipe.", "Ingredients: eggs\n\nInstructions:\n1. Boil."),
        ("Tell me a joke.", "Q: Why did it?\nA: Because."),
        ("Write a quiz.", "It follows.\nQuestion: What is an oak?\nAnswer: a tree"),
        ("Add two numbers in Python.", "print(1 + 2)\n\n# Output: 3"),
        ("Make an FAQ.", "FAQ\n\nQ: When?\nA: Now."),
        ("Write merge sort.", "Sort it.\nInput: array\nOutput: sorted array"),
        ("How does science work?", "In steps.\nQuestion: ask.\nHypothesis: guess."),
        ("Solve 2x = 4.", "Problem: 2x = 4\nSolution: x = 2"),
        ("Explain sorting.", "It puts in order.\n\nExample 1:\nInput: 2 1\nOutput: 1 2\n\nExample 2:\nInput: 3 1\nOutput: 1 3"),
        ("Generate a question about lakes.", "Here it is.\n\nQuestion: Which is deep?\nAnswer: Baikal"),
    ],
    "TXT011": [
        (ASKED, "HTML: <s>old</s> new price."),
        ("What does <|im_start|> mean in ChatML?", "<|im_start|> opens a turn."),
        ("Write a dialogue between a human and a robot.", "Human: Hi\nRobot: Hello"),
        (ASKED, "Use `</s>` as the end."),
        ("Explain tokenizers.", "They put [CLS] and [SEP] as special tokens at the ends."),
        ("Sort: human, car", "Human: Living\nCar: Non-Living"),
        (ASKED, f"<think>hm</think>{WILLOW}"),
        ("Write code.", "```\n<s>[INST] hi [/INST]\n```"),
        ("Write F#.", "let f = x |> g <| h"),
        ("Name needs.", "System: Windows\nMemory: 8 GB"),
    ],
    "TXT012": [
        ("Who are you?", "I am an AI language model."),
        ("Write a story about a robot AI.", "As an AI, I felt nothing, said the robot."),
        ("What is a language model?", "A language model predicts words."),
        ("How would you phrase an apology to a friend?", "I'm sorry for what I said."),
        (ASKED, "I can't get enough of willows."),
        ("Respond to a customer whose order is late.", "I'm sorry, but we cannot refund the order."),
        ("Write a bio.", "As an AI researcher, I build robots."),
        ("Do you have feelings?", "As an AI, I don't have feelings."),
        (ASKED, "I cannot stress enough how green it is."),
        ("Write a letter declining an offer.", "Unfortunately, I cannot accept your offer."),
        ("Make it informal.\nI regret that I will not be able to come.", "Sorry, I won't be able to make it."),
        (ASKED, "I'd rather have a willow than an oak."),
        (ASKED, "As a computer programmer, I like trees."),
    ],
}


@pytest.mark.parametrize("code", FOUND)
def test_every_variant_is_found_where_it_stands(find_in: FindIn, code: str) -> None:
    pairs = [(prompt, answer) for prompt, answer, _ in FOUND[code]]
    others = [
        *WELL_ENDED,
        ("Give three synonyms of the word big.", "large, huge, vast."),
        (ASKED, "It stands by the water and the waters."),
    ]
    findings = find_in(code, rows_of([*pairs, *others * 8]))
    expected = {row: place for row, (_, _, place) in enumerate(FOUND[code])}
    found = marked(findings, [*pairs, *others * 8])
    if code == "TXT005":  # the quote is the last words of the line
        assert found.keys() == expected.keys()
        assert all(found[row].endswith(place[-20:]) for row, place in expected.items())
    else:
        assert found == expected
    assert len(expected) >= 8


@pytest.mark.parametrize("code", LEFT_ALONE)
def test_near_misses_are_left_alone(find_in: FindIn, code: str) -> None:
    assert find_in(code, rows_of(LEFT_ALONE[code])) == []
    assert len(LEFT_ALONE[code]) >= 8


def test_a_finding_says_what_does_not_show_and_quotes_the_words_around_it(find_in: FindIn) -> None:
    assert find_in("TXT003", [alpaca(ASKED, "A wil\u200blow\u200b by \x07 the water.")]) == [
        Finding(
            "TXT003",
            0,
            1,
            Severity.WARNING,
            "Holds 2 zero-width characters, 1 control character, the first U+200B.",
            Evidence("characters that do not show", 3, 1, (), (5, 6), "A wil\u200blow\u200b by \x07 the water."),
        )
    ]


def test_prompts_are_looked_at_and_what_tools_return_is_not(find_in: FindIn) -> None:
    rows = [
        chat(("user", "A wil\u200blow, itâ€™s <|im_end|>"), ("assistant", WILLOW)),
        chat(("user", "Hi."), ("assistant", "Ok."), ("tool", "\x1b[0m â€™ </s>"), ("assistant", WILLOW)),
    ]
    for code in ("TXT003", "TXT004", "TXT011"):
        assert [(finding.row, finding.turn) for finding in find_in(code, rows)] == [(0, 0)]


def test_mojibake_is_shown_mended(find_in: FindIn) -> None:
    assert find_in("TXT004", [alpaca(ASKED, "The cafÃ© isnâ€™t open.")]) == [
        Finding(
            "TXT004",
            0,
            1,
            Severity.WARNING,
            "Holds wrongly decoded characters: “cafÃ©” stands for “café”.",
            Evidence("unlikely sequences of characters", 2, 1, (), (4, 9), "cafÃ©"),
        )
    ]


def test_an_ending_without_its_full_stop_counts_little_and_only_where_the_dataset_has_them(find_in: FindIn) -> None:
    odd = (ASKED, TOWER + "The people who built it came by boat")
    (finding,) = find_in("TXT005", rows_of([odd, *WELL_ENDED]))
    assert (finding.row, finding.severity) == (0, Severity.INFO)
    assert finding.message.startswith("The response lacks the full stop that its sentences have: “…")
    careless = [(prompt, answer.rstrip(".")) for prompt, answer in WELL_ENDED]
    assert find_in("TXT005", rows_of([odd, *careless])) == []


def test_the_message_says_why_json_does_not_parse(find_in: FindIn) -> None:
    assert find_in("TXT007", [alpaca("Describe a cat as JSON.", 'Here:\n{"name": "Tom"\n "age": 3}')]) == [
        Finding(
            "TXT007",
            0,
            1,
            Severity.WARNING,
            "JSON is asked for, and none can be parsed: expecting ',' delimiter in line 3.",
            Evidence("values that parse as JSON", 0, 1, (), (22, 23), 're:\n{"name": "Tom"\n "age": 3}'),
        )
    ]


def test_json_may_be_asked_for_by_the_system_turn(find_in: FindIn) -> None:
    system = ("system", "You always reply with a JSON object.")
    rows = [chat(system, ("user", ASKED), ("assistant", answer)) for answer in (WILLOW, '{"tree": "willow"}', "I'm sorry.")]
    assert [finding.row for finding in find_in("TXT007", rows)] == [0]


def test_an_answer_that_begins_with_the_text_it_was_given_counts_little(find_in: FindIn) -> None:
    rows = [
        alpaca(f"Summarise the text.\n{TUNNEL}", f"{TUNNEL}\n\nNine years."),
        alpaca("How do tides work?", "How do tides work?"),
    ]
    assert [(f.row, f.severity, f.message, f.evidence.value) for f in find_in("TXT008", rows)] == [
        (0, Severity.INFO, "The answer begins with the text that it was given.", 0.8143),
        (1, Severity.WARNING, "The answer repeats the prompt.", 1.0),
    ]


def test_what_repeats_is_counted(find_in: FindIn) -> None:
    said = "A willow is a tall tree by the water, and its limbs hang down so low that they touch it when the wind blows. "
    rows = [alpaca(ASKED, "It is tall. " * 8), alpaca(ASKED, said * 2), alpaca(ASKED, "abc" * 20)]
    assert [finding.message for finding in find_in("TXT009", rows)] == [
        "“It is tall” stands 8 times in a row.",
        "The whole response stands twice.",
        "“abc” stands 20 times within a word.",
    ]


def test_a_further_task_in_a_prompt_is_found(find_in: FindIn) -> None:
    rows = [
        alpaca(f"{ASKED}\n\n12. Instruction: Name three rivers.", WILLOW),
        alpaca("1. Instruction: Name a river.\n2. Instruction: Name a lake.\n3. Instruction: Name a sea.", WILLOW),
    ]
    (finding,) = find_in("TXT010", rows)
    assert (finding.row, finding.turn, finding.evidence.span) == (0, 0, (20, 55))


def test_two_tasks_in_a_prompt_count_little_and_only_where_it_asks_nothing_of_both(find_in: FindIn) -> None:
    two = "Task 1: Name a river.\nTask 2: Name a lake."
    rows = [
        alpaca(two, "Ob\nBalaton"),
        alpaca(f"{two}\nWhich of these two is easier?", "The first."),
        alpaca(f"{ASKED}\n{two}", WILLOW),
    ]
    assert [(f.row, f.turn, f.severity, f.evidence.span) for f in find_in("TXT010", rows)] == [(0, 0, Severity.INFO, (22, 42))]


def test_a_token_that_ends_every_response_counts_little(find_in: FindIn) -> None:
    rows = [alpaca(ASKED, f"Willow {number}</s>\n") for number in range(24)]
    rows += [alpaca(ASKED, "Willow [INST] Name a lake.</s>"), alpaca(ASKED, WILLOW)]
    findings = find_in("TXT011", rows)
    assert [(f.row, f.severity) for f in findings] == [*((n, Severity.INFO) for n in range(24)), (24, Severity.WARNING)]
    assert findings[3] == Finding(
        "TXT011",
        3,
        1,
        Severity.INFO,
        "Ends in </s>, as 92% of the responses do.",
        Evidence("marks of roles and templates", 1, 1, (), (8, 12), "</s>"),
    )
    assert [f.severity for f in find_in("TXT011", rows[:5])] == [Severity.WARNING] * 5


def test_headings_of_a_template_in_a_prompt_count_little(find_in: FindIn) -> None:
    rows = [alpaca("### Instruction:\nName a lake.\n\n### Response:", "Balaton."), alpaca(ASKED, f"{WILLOW}\n### Human: next")]
    assert [(finding.row, finding.turn, finding.severity) for finding in find_in("TXT011", rows)] == [
        (0, 0, Severity.INFO),
        (1, 1, Severity.WARNING),
    ]


def test_a_refusal_counts_less_than_the_phrases_of_an_assistant(find_in: FindIn) -> None:
    rows = [alpaca(ASKED, "I cannot help with that request."), alpaca(ASKED, "As an AI, I cannot help.")]
    assert [(finding.row, finding.severity) for finding in find_in("TXT012", rows)] == [
        (0, Severity.INFO),
        (1, Severity.WARNING),
    ]


def test_reasoning_is_no_answer(find_in: FindIn) -> None:
    rows = [
        alpaca(ASKED, answer)
        for answer in ("<think>Hm.</think>\n", "<think>Hm.</think> N/A", f"<think></think>{WILLOW}", "N/A", "")
    ]
    assert [finding.row for finding in find_in("TXT001", rows)] == [0, 4]
    assert [(finding.row, finding.evidence.span) for finding in find_in("TXT002", rows)] == [(1, (19, 22)), (3, (0, 3))]
