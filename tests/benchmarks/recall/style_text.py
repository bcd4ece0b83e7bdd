"""Answers whose style outweighs what they say: STY002 to STY004."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from tests.benchmarks.recall.injection import Injected, Injector, Row, is_prose, prompt_of, response_of, sentences, single

__all__ = ["PHRASES", "STYLE_WORDS", "VERBOSE"]


def _named(name: str, injector: Injector) -> Injector:
    injector.__name__ = name
    return injector


def _n_words(text: str) -> int:
    return len(text.split())


def _ended(text: str) -> str:
    """A text of one line with a full stop at its end, where it has no mark there."""
    text = text.strip()
    return text if "\n" in text or not text or not text[-1].isalnum() else f"{text}."


# STY002: longer than the instruction asks for.

_ONE_LINE = re.compile(r"[^\n]{10,400}[.?!]")
_ASKS_FOR_LENGTH = re.compile(r"\b(words?|sentences?|paragraphs?|lines?|characters?|essay|each|poem|haiku|song|story)\b", re.I)
_FACT = re.compile(
    r"(who|when|where|which|(in|on) (what|which)|what (year|city|country|is the (capital|name))|"
    r"how (many|old|tall|far|much))\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"(is|are|was|were|do|does|did|can|could|has|have|will|should)\b", re.IGNORECASE)
_NUMBERS = {
    10: "ten",
    15: "fifteen",
    20: "twenty",
    25: "twenty-five",
    30: "thirty",
    40: "forty",
    50: "fifty",
    60: "sixty",
    80: "eighty",
    100: "one hundred",
}


def _limited(rng: Random, prompt: str, after: Sequence[str], before: Sequence[str] = ()) -> str:
    """A prompt of one line with a limit, which stands before it or after it."""
    form = rng.choice([*after, *before])
    return f"{form} {prompt.strip()}" if form in before else f"{prompt.strip()} {form}"


def _takes_a_limit(row: Row) -> bool:
    prompt = prompt_of(row).strip()
    return _ONE_LINE.fullmatch(prompt) is not None and not _ASKS_FOR_LENGTH.search(prompt)


def _beyond(rng: Random, text: str) -> int | None:
    """A round number of words that the text goes well beyond."""
    fitting = [number for number in _NUMBERS if 1.7 * number <= _n_words(text) <= 6 * number]
    return rng.choice(fitting) if fitting else None


def words_at_most(rng: Random, row: Row) -> Injected | None:
    limit = _beyond(rng, response_of(row))
    if limit is None or not _takes_a_limit(row) or not is_prose(response_of(row)):
        return None
    after = (
        f"Answer in at most {limit} words.",
        f"Use no more than {limit} words.",
        f"Keep your answer under {limit} words.",
        f"Your response should not exceed {limit} words.",
        f"Please reply in {limit} words or fewer.",
        f"(max. {limit} words)",
        f"Word limit: {limit} words.",
    )
    before = (f"In {limit} words or less:", f"With a maximum of {limit} words, answer this.")
    return single(_limited(rng, prompt_of(row), after, before), response_of(row))


def words_spelled_out(rng: Random, row: Row) -> Injected | None:
    limit = _beyond(rng, response_of(row))
    if limit is None or not _takes_a_limit(row) or not is_prose(response_of(row)):
        return None
    word = _NUMBERS[limit]
    after = (
        f"Do not use more than {word} words.",
        f"Stay below {word} words.",
        f"Answer in {word} words at the most.",
        f"I need it in {word} words or less.",
    )
    return single(_limited(rng, prompt_of(row), after, (f"In no more than {word} words:",)), response_of(row))


def summary_of_words(rng: Random, row: Row) -> Injected | None:
    text = response_of(row).strip()
    limit = rng.choice([8, 10, 12, 15, 20, 25])
    if not is_prose(text, 3) or "\n" in text:
        return None
    parts = sentences(text)
    kept: list[str] = []
    while len(kept) < len(parts) - 1 and _n_words("".join(kept)) < 2 * limit:
        kept.append(parts[len(kept)])
    if _n_words("".join(kept)) < 2 * limit:
        return None
    asked = rng.choice(
        [
            f"Write a {limit}-word summary of the following text.",
            f"Summarize the text below in {limit} words.",
            f"Summarise this passage in {limit} words or less.",
            f"Give me a summary of at most {limit} words.",
            f"Condense the following paragraph to {limit} words.",
        ]
    )
    return single(f"{asked}\n\n{text}", "".join(kept).strip())


def in_one_word(rng: Random, row: Row) -> Injected | None:
    prompt = prompt_of(row).strip()
    asks = prompt.endswith("?") and (_FACT.match(prompt) or prompt.startswith("What "))
    if not asks or not _takes_a_limit(row) or not 4 <= _n_words(response_of(row)) <= 30:
        return None
    after = ("Answer in one word.", "Reply with a single word.", "One word only, please.", "Just one word.")
    return single(_limited(rng, prompt_of(row), after, ("In one word:",)), _ended(response_of(row)))


def in_one_sentence(rng: Random, row: Row) -> Injected | None:
    if not _takes_a_limit(row) or not is_prose(response_of(row), 3):
        return None
    after = (
        "Answer in one sentence.",
        "Use a single sentence.",
        "Please keep it to one sentence.",
        "One sentence is enough.",
        "Your answer should be one sentence long.",
    )
    return single(_limited(rng, prompt_of(row), after, ("In one sentence:", "In a single sentence:")), response_of(row))


def in_few_sentences(rng: Random, row: Row) -> Injected | None:
    count, word = rng.choice([(2, "two"), (2, "2"), (3, "three"), (3, "3")])
    if not _takes_a_limit(row) or not is_prose(response_of(row), 2 * count):
        return None
    after = (
        f"Answer in {word} sentences.",
        f"Use at most {word} sentences.",
        f"Limit your answer to {word} sentences.",
        f"No more than {word} sentences, please.",
        f"Keep it to {word} sentences or fewer.",
    )
    return single(_limited(rng, prompt_of(row), after, (f"In {word} sentences:",)), response_of(row))


def in_one_paragraph(rng: Random, row: Row) -> Injected | None:
    parts = sentences(response_of(row))
    if not _takes_a_limit(row) or not is_prose(response_of(row), 3):
        return None
    cuts = sorted(rng.sample(range(1, len(parts)), 2))
    paragraphs = [parts[: cuts[0]], parts[cuts[0] : cuts[1]], parts[cuts[1] :]]
    after = (
        "Answer in one paragraph.",
        "Write a single paragraph.",
        "Please limit yourself to one paragraph.",
        "Keep it to one paragraph.",
    )
    prompt = _limited(rng, prompt_of(row), after, ("In one paragraph:",))
    return single(prompt, "\n\n".join("".join(paragraph).strip() for paragraph in paragraphs))


def more_points_than_asked(rng: Random, row: Row) -> Injected | None:
    parts = [part.strip() for part in sentences(response_of(row))]
    if not _takes_a_limit(row) or not is_prose(response_of(row), 4) or len(parts) > 12:
        return None
    limit = rng.randint(1, len(parts) // 2)
    word = {1: "one", 2: "two", 3: "three"}.get(limit, str(limit))
    points = "point" if limit == 1 else "points"
    after = (
        f"Give {word} bullet {points}.",
        f"Answer with at most {word} bullet {points}.",
        f"List no more than {word} {points}.",
        f"Please give only {word} {points}.",
    )
    mark = rng.choice(["- {}", "* {}", "• {}", "{n}. {}"])
    answer = "\n".join(mark.format(part, n=number) for number, part in enumerate(parts, 1))
    return single(_limited(rng, prompt_of(row), after), answer)


_LISTS = (
    ("herbs that grow in the shade", ("Mint", "Parsley", "Chives", "Lemon balm", "Sweet woodruff", "Wild garlic", "Chervil")),
    ("birds that nest on cliffs", ("Gannets", "Kittiwakes", "Fulmars", "Razorbills", "Guillemots", "Puffins")),
    ("things to take to a picnic", ("A blanket", "Plates", "Lemonade", "Sandwiches", "A bottle opener", "Apples", "Napkins")),
    ("towns on the Danube", ("Ulm", "Regensburg", "Passau", "Linz", "Vienna", "Bratislava", "Budapest", "Belgrade")),
    ("tools of a carpenter", ("Saw", "Chisel", "Plane", "Hammer", "Square", "Gimlet", "Mallet")),
    ("ways to use up old bread", ("Toast it", "Fry croutons", "Bake a pudding", "Thicken a soup", "Grind it into crumbs")),
    ("instruments of a string quartet or a brass band", ("Violin", "Viola", "Cello", "Cornet", "Tuba", "Euphonium")),
)


def more_items_than_named(rng: Random, row: Row) -> Injected | None:
    things, items = rng.choice(_LISTS)
    number = rng.choice(["two", "2", "three", "3"] if len(items) > 5 else ["two", "2"])
    asked = rng.choice(["Name {} {}.", "List {} {}.", "Give me {} {}.", "What are {} {}?", "Suggest {} {}."])
    chosen = rng.sample(items, len(items))
    lines = rng.choice(["- {}", "{n}. {}", "* {}", ""])
    if not lines:
        return single(asked.format(number, things), ", ".join(chosen[:-1]) + f" and {chosen[-1]}.")
    answer = "\n".join(lines.format(item, n=place) for place, item in enumerate(chosen, 1))
    return single(asked.format(number, things), answer)


_BACKGROUND = (
    "It is one of those facts that come up again and again in lessons, in quizzes and in newspapers, often without a source.",
    "People have been interested in the matter for a long time, and a good deal has been written about it over the years.",
    "Many other things could be told here, since the subject touches on history, on geography and on everyday life.",
    "Those who want to go deeper will find it rewarding to look at the wider setting and at the people who took part.",
    "It also helps to remember how much has changed since then, and how differently such things used to be seen.",
    "Seen from a distance it is a small detail, but small details often tell us a good deal about the larger story.",
    "Libraries and archives hold further material on this, some of which has only been opened to readers in recent decades.",
    "Similar cases can be found elsewhere, and comparing them shows both what they have in common and where they differ.",
)
_ABOUT_TEXTS = (
    "A question usually begins with a word such as who or what, or with a verb, and ends with a mark of its own.",
    "A request, on the other hand, begins with a verb that tells the reader what to do, and ends with a full stop.",
    "Both forms occur in everyday speech, in letters and in schoolbooks, and speakers change from one to the other with ease.",
    "Grammarians have described the difference since antiquity, and children learn to tell them apart at an early age.",
    "In many languages the voice rises at the end of a question, while a request is spoken with a falling tone.",
)


def _is_fact(row: Row) -> bool:
    prompt = prompt_of(row).strip()
    return (
        "\n" not in prompt
        and prompt.endswith("?")
        and prompt.count("?") == 1
        and _FACT.match(prompt) is not None
        and _n_words(prompt) <= 20
        and _n_words(response_of(row)) <= 20
        and len(sentences(_ended(response_of(row)))) == 1
        and "\n" not in response_of(row).strip()
    )


def fact_then_background(rng: Random, row: Row) -> Injected | None:
    if not _is_fact(row):
        return None
    more = rng.sample(_BACKGROUND, rng.randint(3, 5))
    gap = rng.choice([" ", " ", "\n\n"])
    return single(prompt_of(row), f"{_ended(response_of(row))}{gap}{' '.join(more)}")


def fact_then_said_again(rng: Random, row: Row) -> Injected | None:
    if not _is_fact(row):
        return None
    answer = _ended(response_of(row))
    again = rng.choice(
        [
            "To put it another way, whoever asks this will be told the same by any reference book worth its name.",
            "That is the answer that one finds in the usual sources, and there is no serious dispute about it.",
            "In other words, what has just been said is all there is to the question as it stands.",
        ]
    )
    more = [again, *rng.sample(_BACKGROUND, 2), f"So, to sum up the answer once more: {answer}"]
    return single(prompt_of(row), f"{answer} {' '.join(more)}")


def yes_or_no_then_lecture(rng: Random, row: Row) -> Injected | None:
    prompt, answer = prompt_of(row).strip(), response_of(row).strip()
    said = re.match(r"(yes|no)\b", answer, re.IGNORECASE)
    if "\n" in prompt or not prompt.endswith("?") or not _YES_OR_NO.match(prompt) or said is None or _n_words(prompt) > 40:
        return None
    more = rng.sample(_BACKGROUND, rng.randint(3, 5))
    asked = prompt if rng.random() < 0.5 else f"{prompt} {rng.choice(['Yes or no?', 'Answer yes or no.'])}"
    return single(asked, f"{said[0].capitalize()}. {' '.join(more)}")


def one_of_two_then_lecture(rng: Random, row: Row) -> Injected | None:
    text = prompt_of(row).strip()
    if not re.fullmatch(r"[^\n.?!:]{10,150}[.?]", text):
        return None
    question = text.endswith("?")
    asked, answers = rng.choice(
        [
            ("Is the following a question or a request?", ("It is a request.", "It is a question.")),
            ("Classify the text as a question or a request.", ("Request", "Question")),
            ("True or false: the text below ends with a question mark.", ("False", "True")),
            ("Label the following text as either question or statement.", ("Statement", "Question")),
        ]
    )
    more = rng.sample(_ABOUT_TEXTS, rng.randint(3, 5))
    return single(f"{asked}\n{text}", f"{_ended(answers[question])} {' '.join(more)}")


VERBOSE: tuple[Injector, ...] = (
    words_at_most,
    words_spelled_out,
    summary_of_words,
    in_one_word,
    in_one_sentence,
    in_few_sentences,
    in_one_paragraph,
    more_points_than_asked,
    more_items_than_named,
    fact_then_background,
    fact_then_said_again,
    yes_or_no_then_lecture,
    one_of_two_then_lecture,
)


# STY003: a phrase of one who answers, at the head or at the end.

_PHRASES_BELONG = re.compile(
    r"\b(letters?|e-?mails?|dialog(ue)?s?|conversations?|chats?|stor(y|ies)|poems?|songs?|lyrics|scripts?|speech(es)?|posts?|"
    r"tweets?|messages?|blogs?|reviews?|greetings?|invitations?|cards?|diary|notes?|ads?|advertisements?|plays?|scenes?|"
    r"monologues?|jokes?|toasts?|hello|hi|role|pretend|imagine|paraphrase|rewrite|translate|rephrase)\b",
    re.IGNORECASE,
)
_CODE = re.compile(r"[{}<>`=;\\]|\bdef |\bSELECT\b")


def _lends_itself(row: Row) -> bool:
    """Whether the phrase is no part of what was asked for, and no yes or no."""
    prompt, response = prompt_of(row), response_of(row)
    asks_yes_or_no = any(re.search(r"\?\s*$", line) and _YES_OR_NO.match(line.strip()) for line in prompt.splitlines())
    return not (_PHRASES_BELONG.search(prompt) or asks_yes_or_no or re.match(r"\s*(yes|no|true|false)\b", response, re.I))


def _gap(rng: Random, text: str) -> str:
    return rng.choice([" ", " ", "\n\n"]) if is_prose(text, 1) else " " if _n_words(text) < 12 else "\n\n"


def _opens(name: str, *phrases: str) -> Injector:
    """The row's answer after one of the phrases."""

    def inject(rng: Random, row: Row) -> Injected | None:
        text = response_of(row).strip()
        if not _lends_itself(row) or _CODE.search(text):
            return None
        return single(prompt_of(row), f"{rng.choice(phrases)}{_gap(rng, text)}{text}")

    return _named(name, inject)


def _closes(name: str, *phrases: str) -> Injector:
    """The row's answer before one of the phrases."""

    def inject(rng: Random, row: Row) -> Injected | None:
        text = _ended(response_of(row))
        if not _lends_itself(row) or _CODE.search(text):
            return None
        return single(prompt_of(row), f"{text}{_gap(rng, text)}{rng.choice(phrases)}")

    return _named(name, inject)


def opens_and_closes(rng: Random, row: Row) -> Injected | None:
    text = _ended(response_of(row))
    if not _lends_itself(row) or _CODE.search(text):
        return None
    head = rng.choice(["Of course!", "Thanks for asking!", "Hello!", "Sure, no problem.", "What an interesting question!"])
    end = rng.choice(["Hope that helps!", "Just ask if anything is unclear.", "Thank you for your question!", "All the best!"])
    gap = _gap(rng, text)
    return single(prompt_of(row), f"{head}{gap}{text}{gap}{end}")


def two_openers(rng: Random, row: Row) -> Injected | None:
    text = response_of(row).strip()
    if not _lends_itself(row) or _CODE.search(text):
        return None
    first = rng.choice(["Great question!", "Sure thing!", "Hi!", "Absolutely.", "Good thinking!"])
    second = rng.choice(["Here is what I know:", "Let me walk you through it.", "I can help with that.", "Let's see."])
    return single(prompt_of(row), f"{first} {second}{_gap(rng, text)}{text}")


PHRASES: tuple[Injector, ...] = (
    _opens("agrees", "Sure!", "Certainly!", "Of course!", "Absolutely!", "Sure thing.", "Certainly.", "Gladly!", "No problem!"),
    _opens(
        "agrees_at_length",
        "I'd be glad to help you with this.",
        "Sure, I can help with that!",
        "Of course, I would be more than happy to assist.",
        "Yes, I can certainly do that for you.",
        "I’d love to help with that!",
        "It would be my pleasure to answer this.",
        "Happy to help!",
        "Okay, let me help you with that.",
    ),
    _opens(
        "praises_the_question",
        "What a great question!",
        "That's a very good question.",
        "Excellent question!",
        "That is an interesting topic.",
        "This is such an important question!",
        "Wonderful question, and one that many people ask.",
        "I love this question!",
    ),
    _opens(
        "thanks_for_the_question",
        "Thank you for your question.",
        "Thanks for asking!",
        "Thank you for bringing this up.",
        "Thanks for reaching out about this!",
        "Thank you so much for this interesting question!",
        "I appreciate your question.",
    ),
    _opens(
        "greets",
        "Hello!",
        "Hi there!",
        "Hey there, friend!",
        "Good day!",
        "Hello and welcome!",
        "Hi! 😊",
        "Greetings!",
        "Dear user,",
        "Hello! I hope you are doing well.",
    ),
    _opens(
        "speaks_of_itself",
        "As an AI language model, I have no garden of my own, but this is what I can say.",
        "As an AI, I don't have personal experience, but I can share what is generally known.",
        "As a large language model, I can offer the following.",
        "I am only an AI, but I will do my best.",
        "I'm an AI assistant, and I am here to help.",
        "As your virtual assistant, I have looked into this.",
        "As an artificial intelligence, I can't have opinions; still, here is an answer.",
    ),
    _opens(
        "announces_itself",
        "Here is the answer to your question:",
        "Here is what you asked for:",
        "Here's a possible answer:",
        "Below you will find my answer:",
        "The following is a response to your request:",
        "Here's what I came up with:",
        "My answer is as follows:",
        "Here is some information on this topic:",
    ),
    _opens(
        "announces_an_explanation",
        "Let me explain.",
        "Let's break it down.",
        "Let's dive in!",
        "Let me give you a quick overview:",
        "I will now answer your question.",
        "Allow me to explain this step by step.",
        "Let us take a closer look at this.",
    ),
    two_openers,
    opens_and_closes,
    _closes(
        "hopes_that_it_helped",
        "I hope this helps!",
        "Hope this helps you out!",
        "I hope this answers your question.",
        "I hope that clears things up.",
        "Hopefully this is useful to you.",
        "I hope you find this information helpful!",
        "I trust this answers your question.",
        "Does that help?",
    ),
    _closes(
        "offers_more_help",
        "Is there anything else I can help you with?",
        "I'm always here if you need further assistance.",
        "I would be happy to tell you more about it.",
        "If you need more examples, I can provide them.",
        "Would you like me to go into more detail?",
        "Just say the word if you'd like to know more!",
        "I’m here to help with anything else you need.",
    ),
    _closes(
        "invites_questions",
        "Let me know if you have any other questions.",
        "Feel free to ask if anything is unclear!",
        "Please don't hesitate to reach out if you have further questions.",
        "If you have any more questions, just ask.",
        "Should you have any questions, I will gladly answer them.",
        "Let me know if you'd like me to change anything.",
        "Do let me know what you think!",
    ),
    _closes(
        "wishes",
        "Good luck!",
        "Have a great day!",
        "Best of luck with your project!",
        "Enjoy!",
        "Happy learning!",
        "I wish you all the best.",
        "Take care and stay safe!",
        "Have fun!",
    ),
)


# STY004: style words in place of matter.

_OPEN = re.compile(
    r"(please )?(how (?!many|much|old|far|long|tall)|why|what (are|is|makes|do|does|can|should|causes)|explain|describe|"
    r"discuss|tell me|suggest|outline|compare|give (me )?(some|a few|tips|advice|an overview))\b",
    re.IGNORECASE,
)
_MAKES = re.compile(
    r"\b(write|create|generate|compose|design|story|poem|code|function|python|java|sql|script|program|sentence|summar\w+|"
    r"rewrite|edit|translate|html|css|essay|text|words?|example)\b",
    re.IGNORECASE,
)
_NO_SENTENCES = re.compile(
    r"\b\w\.|\b(etc|vs|Mr|Mrs|Dr|St)\.|\n|[\"“”()]|[.!?][a-zA-Z]|"
    r"(^|[.!?] )(Additionally|However|Moreover|Furthermore|Finally|Also|First|Second|In addition|Lastly|Overall|But|And|So)\b"
)
"""What sentences cannot be taken apart at, or are marked by already."""
LEAST_SHARE = 0.3
"""What is added is this much of the answer, so that it is plain to see."""


def _lowered(sentence: str, known: str) -> str:
    """A sentence that something goes before: names and `I` keep their capital."""
    sentence = sentence.strip()
    first = re.match(r"[\w'’-]+", sentence)
    if first is None or first[0].split("'")[0] == "I" or (len(first[0]) > 1 and not first[0][1:].islower()):
        return sentence
    if re.search(rf"[a-z,] {re.escape(first[0])}\b", known):
        return sentence
    return sentence[0].lower() + sentence[1:]


Change = Callable[[Random, str, list[str]], list[str] | None]
"""The prompt and the answer's sentences in, what stands in their place out."""


def _padded(change: Change) -> Injector:
    def inject(rng: Random, row: Row) -> Injected | None:
        prompt, text = prompt_of(row).strip(), response_of(row).strip()
        if "\n" in prompt or _n_words(prompt) > 20 or not _OPEN.match(prompt) or _MAKES.search(prompt):
            return None
        if not is_prose(text, 3) or not 25 <= _n_words(text) <= 150 or _NO_SENTENCES.search(text):
            return None
        known = f"{prompt}. {text}"
        parts = [_lowered(part, known) for part in sentences(text)]
        changed = change(rng, prompt, parts)
        if changed is None:
            return None
        answer = " ".join(changed)
        n_added = _n_words(answer) - _n_words(text)
        if _n_words(answer) < 50 or n_added < LEAST_SHARE * _n_words(answer):
            return None
        return single(prompt, answer)

    return _named(change.__name__, inject)


def _begun(part: str) -> str:
    return part[0].upper() + part[1:]


def _dealt(rng: Random, pieces: Sequence[str], count: int) -> list[str]:
    """So many pieces, none twice before each was dealt once."""
    dealt: list[str] = []
    while len(dealt) < count:
        dealt += rng.sample(pieces, len(pieces))
    return dealt[:count]


_MARKERS = (
    "Additionally,",
    "Furthermore,",
    "Moreover,",
    "In addition to that,",
    "On top of that,",
    "What is more,",
    "Likewise,",
    "Besides this,",
    "In this regard,",
    "With that being said,",
)
_NOTES = (
    "it is important to note that",
    "it is worth mentioning that",
    "it should be noted that",
    "one should keep in mind that",
    "it is crucial to understand that",
    "it goes without saying that",
    "it is essential to remember that",
    "it bears repeating that",
)
_HEDGES = (
    "it could perhaps be argued that",
    "generally speaking, one might say that",
    "it would seem, at least to some extent, that",
    "it is probably fair to say that, in a sense,",
    "in many ways, it appears that",
    "one could possibly suggest that, more or less,",
    "it may well be the case that",
    "as far as one can tell, it seems that",
)
_TAILS = (
    ", which is something that everyone should keep in mind",
    ", and this cannot be stressed enough",
    ", which makes it an absolutely vital aspect to consider",
    ", and it plays a crucial role in this regard",
    ", when all is said and done",
    ", which is of the utmost importance in today's fast-paced world",
    ", as one can clearly see from all of this",
)
_HEADS = (
    "In today's fast-paced world, this is a topic of great importance that affects a wide variety of people in a wide range "
    "of ways.",
    "First and foremost, it is important to understand that there are many factors that need to be taken into account.",
    "Throughout history, this has been a subject of great interest, and it continues to play a vital role in our lives today.",
    "When it comes to this topic, there are a number of key aspects that should be carefully considered.",
    "There is no simple answer to this, as it depends on a variety of different factors, all of which are important.",
)
_ENDS = (
    "In conclusion, it is clear that this is a complex and multifaceted topic, and it is essential to take all of the relevant "
    "factors into consideration.",
    "All in all, it can be said that each of these aspects plays an important role and should not be underestimated.",
    "To sum up, there are many things to consider, and ultimately it all depends on the individual circumstances.",
    "Overall, it is safe to say that this is something of great significance, and its importance cannot be overstated.",
    "In summary, by keeping all of these important points in mind, one can make a well-informed decision.",
)


def _are_statements(prompt: str, parts: Sequence[str]) -> bool:
    """Whether the sentences can follow `that`: advice is given in imperatives."""
    advice = re.match(r"(please )?(how (do|can|should|could|to|would)|suggest|give|outline)\b", prompt, re.IGNORECASE)
    return advice is None and not any(part.endswith(("?", "!")) for part in parts)


def markers_and_notes(rng: Random, prompt: str, parts: list[str]) -> list[str] | None:
    if not _are_statements(prompt, parts):
        return None
    markers, notes = _dealt(rng, _MARKERS, len(parts)), _dealt(rng, _NOTES, len(parts))
    return [f"{marker} {note} {part}" for marker, note, part in zip(markers, notes, parts, strict=True)]


def notes_then_an_end(rng: Random, prompt: str, parts: list[str]) -> list[str] | None:
    if not _are_statements(prompt, parts):
        return None
    notes = _dealt(rng, _NOTES, len(parts))
    return [*(f"{_begun(note)} {part}" for note, part in zip(notes, parts, strict=True)), rng.choice(_ENDS)]


def markers_in_order(rng: Random, prompt: str, parts: list[str]) -> list[str] | None:
    order = ["First of all,", "Secondly,", "Thirdly,", "Next,", "Furthermore,"]
    if len(parts) > 6:
        return None
    markers = [*order[: len(parts) - 1], rng.choice(["Finally,", "Last but not least,"])]
    fillers = _dealt(
        rng, ["and quite importantly,", "it must be said,", "needless to say,", "as a matter of fact,"], len(parts)
    )
    changed = [f"{marker} {filler} {part}" for marker, filler, part in zip(markers, fillers, parts, strict=True)]
    return [*changed, rng.choice(_ENDS)]


def hedged_throughout(rng: Random, prompt: str, parts: list[str]) -> list[str] | None:
    if not _are_statements(prompt, parts):
        return None
    return [f"{_begun(hedge)} {part}" for hedge, part in zip(_dealt(rng, _HEDGES, len(parts)), parts, strict=True)]


def tails_of_importance(rng: Random, prompt: str, parts: list[str]) -> list[str]:
    tails = _dealt(rng, _TAILS, len(parts))
    return [f"{_begun(part)[:-1]}{tail}{part[-1]}" for part, tail in zip(parts, tails, strict=True)]


def boilerplate_around(rng: Random, prompt: str, parts: list[str]) -> list[str]:
    heads, ends = rng.sample(_HEADS, 2), rng.sample(_ENDS, 2)
    return [*heads, *map(_begun, parts), *ends]


def _said_again(prompt: str) -> str | None:
    """What the instruction is about, as `how to save water` or `the parts of a camera`, for a sentence that only repeats it."""
    asked = prompt.removeprefix("Please ").removeprefix("please ").strip(" .?")
    way = re.match(r"how (?:can|do|should|could|to)(?: (?:i|we|you|one|people))? (.+)", asked, re.IGNORECASE)
    if way and not re.search(r"\b(i|my|you|your|me)\b", way[1], re.IGNORECASE):
        return f"how to {way[1]}" if re.match(r"how (to|(can|do|should|could) (i|we|you|one|people)) ", asked, re.I) else None
    things = re.match(
        r"(?:what (?:are|is)|explain|describe|discuss|outline|tell me about)(?: (?:some|a few))?(?: of)? (.+)", asked, re.I
    )
    if things and not re.search(r"\b(i|my|you|your|me)\b", things[1], re.IGNORECASE):
        return things[1]
    return None


_RESTATED = (
    "There are many things to say about {}.",
    "When it comes to {}, there is a lot to consider.",
    "Many people want to know more about {}.",
    "The subject of {} is one that many people ask about.",
    "To understand {}, one has to take a closer look at {}.",
)
_RESTATED_ENDS = (
    "These are only some of the many things that can be said about {}.",
    "So this is what there is to know about {}.",
    "In conclusion, there is a lot to know about {}.",
    "And that, in short, is what one should know about {}.",
)


def restates_at_both_ends(rng: Random, prompt: str, parts: list[str]) -> list[str] | None:
    about = _said_again(prompt)
    if about is None:
        return None
    heads = [each.format(about, about) for each in rng.sample(_RESTATED, 2)]
    return [*heads, *map(_begun, parts), rng.choice(_RESTATED_ENDS).format(about)]


def restates_then_marks(rng: Random, prompt: str, parts: list[str]) -> list[str] | None:
    about = _said_again(prompt)
    if about is None:
        return None
    lead = rng.choice(_RESTATED).format(about, about)
    return [lead, *markers_in_twos(rng, parts), rng.choice(_ENDS)]


def markers_in_twos(rng: Random, parts: list[str]) -> list[str]:
    """Every second sentence with a marker, the others with a note."""
    markers, notes = _dealt(rng, _MARKERS, len(parts)), _dealt(rng, _NOTES, len(parts))
    return [f"{_begun(notes[place])} {part}" if place % 2 else f"{markers[place]} {part}" for place, part in enumerate(parts)]


_LONGER_WORDINGS = (
    (r"\bbecause of\b", "by reason of the fact that there is"),
    (r"\bbecause\b", "due to the fact that"),
    (r"(?<!how )\b(many|several|various)\b(?! of)", "a wide variety of different"),
    (r"\bsome of\b", "a certain number of"),
    (r"\b(important|key|essential) (?=[a-z]+s\b)", "very important and absolutely essential "),
    (r"\b(is|are) used to\b", r"\1 very often used in order to"),
)
_FILLERS = (
    "as a matter of fact",
    "to a certain extent",
    "in one way or another",
    "so to speak",
    "at the end of the day",
    "for all intents and purposes",
    "in a manner of speaking",
)


def wordy_within(rng: Random, prompt: str, parts: list[str]) -> list[str]:
    """Set phrases for single words, and fillers at both ends of a sentence and before its clauses."""
    changed = []
    for part in parts:
        for pattern, wording in _LONGER_WORDINGS:
            part = re.sub(pattern, wording, part)
        first, second, third = rng.sample(_FILLERS, 3)
        part = re.sub(r", (and|but|which|while) ", rf", \1, {third}, ", part, count=1)
        changed.append(
            f"{_begun(first)}, {part[:-1]}, {second}{part[-1]}" if rng.random() < 0.6 else f"{_begun(first)}, {part}"
        )
    return changed


def emphatic_throughout(rng: Random, prompt: str, parts: list[str]) -> list[str]:
    emphases = (
        "Without a shadow of a doubt,",
        "There can be no question whatsoever that",
        "It is absolutely and undeniably true that",
        "Indeed, it is very clear that",
        "Needless to say, and quite obviously,",
        "Truly and honestly,",
        "Make no mistake about it:",
    )
    dealt = _dealt(rng, emphases, len(parts))
    return [*(f"{emphasis} {part}" for emphasis, part in zip(dealt, parts, strict=True)), rng.choice(_ENDS)]


STYLE_WORDS: tuple[Injector, ...] = tuple(
    _padded(change)
    for change in (
        markers_and_notes,
        notes_then_an_end,
        markers_in_order,
        hedged_throughout,
        tails_of_importance,
        boilerplate_around,
        restates_at_both_ends,
        restates_then_marks,
        wordy_within,
        emphatic_throughout,
    )
)
