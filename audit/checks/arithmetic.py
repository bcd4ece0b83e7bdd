"""Sums as people write them: found in a text, parsed and computed exactly.

`equations_in` reads lines such as "12 + 7 = 19", "15% of 80 is 12", "$3 × 4 = $12" and chains of them, with units,
currencies, percent signs, LaTeX and words ("12 plus 7 is 19"). What it cannot read as numbers alone is no equation: a
letter is an unknown, and so is a word that is no unit. Values are `Fraction`, so that nothing is lost on the way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

__all__ = ["Equation", "equations_in", "shown"]

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"

_MAX_SIDE_CHARS = 200
_MAX_DIGITS = 40
# Rounded constants and thirds stand for what they round; a result computed with the full value is right too.
_ROUNDED = {
    "3.14": "0.002",
    "3.1416": "0.0002",
    "3.142": "0.0005",
    "2.718": "0.0005",
    "1.414": "0.0005",
    "1.732": "0.0005",
} | dict.fromkeys(
    (
        "0.33",
        "0.34",
        "0.66",
        "0.67",
        "0.17",
        "0.16",
        "0.333",
        "0.667",
        "0.666",
        "0.167",
        "0.143",
        "0.14",
        "0.11",
        "0.111",
        ".33",
        ".67",
    ),
    "0.03",
)
_LOOSE_ABOUT = Fraction(1, 20)

_TOKEN = re.compile(
    rf"""(?x)
    (?P<num>{NUMBER}) | (?P<cur>[$€£¥₹]|\bUSD\b|\bRs\.?) | (?P<sup>[²³]) | (?P<pct>%) | (?P<root>√|\bsqrt\b)
    | (?P<op>\*\*|[-+−–*×·∙⋅÷/^]|(?<![A-Za-z])[xX](?=\s*[\d(.$€£√]|\s-\d)) | (?P<lp>[(\[{{]) | (?P<rp>[)\]}}])
    | (?P<word>[^\W\d_]+(?:['’.-][^\W\d_]+)*|°[CF]?) | (?P<space>\s+) | (?P<other>.)
    """,
    re.DOTALL,
)
_RELATION = re.compile(
    r"(?<![<>=!:+\-*/%&|^~])(?:=|≈|≅|≃)(?![=>])|\b(?:equals|is equal to|is approximately|is about|comes to|makes|gives(?: us"
    r"| you)?|is)\b"
)
_NAMED_FRACTION = re.compile(r"\d+/\d+")  # "the numerator of 2/3 is 2"
_SYMBOLS = {"−": "-", "–": "-", "×": "*", "·": "*", "∙": "*", "⋅": "*", "x": "*", "X": "*", "÷": "/", "**": "^"}
_ABOUT = re.compile(
    r"(?i)[\s~*<]*(?:(?:about|approximately|approx\.?|roughly|around|nearly|almost|just (?:over|under)|exactly|a total of"
    r"|only)\b[\s~*]*)?"
)
# Words that may not stand between numbers as units do.
_NO_UNIT = frozenset(
    "and or is are was were be been then so the a an if because which that this these those of to from by with on in at for "
    "as but while when where who what how "
    "plus minus times divided multiplied equals equal makes gives we i you he she it they has have had will would can could "
    "should must than also since after before "
    "not no yes per mod modulo rem remainder r root squared cubed half log ln sin cos tan exp e i n k hundred thousand "
    "million billion trillion dozen lakh crore".split()
)
_SCALES = frozenset(
    "hundred thousand million billion trillion dozen lakh crore k m b bn mn remainder rem r mod modulo squared cubed "
    "and".split()
)
_SI = frozenset("m g s h l L A V W N J K C F".split())
# A sum may follow these; after any other word that takes an operand, what follows is only a part of something.
_SUM_OF = frozenset(
    "total sum result value cost price answer average mean area volume perimeter amount number rate cost distance speed "
    "profit".split()
)
_TAKES_OPERAND = frozenset(
    "of log ln sin cos tan exp root mod half times by squared minus plus divided over per factorial average mean median max "
    "min sum abs gcd lcm choose sqrt "
    "negative multiplied add subtract first last page pages line lines chapter chapters age ages aged score scored won lost "
    "phone call".split()
)
_MEASURES = frozenset(
    "second sec minute min hour hr day week month year ml liter litre l g gram kg kilogram mg m cm mm km meter metre "
    "kilometer kilometre inch inche foot feet "
    "ft yard mile oz ounce pound lb ton tonne cent dollar byte kb mb gb tb bit".split()
)


class _NoSumError(Exception):
    """The tokens are no sum of numbers."""


class _AmbiguousError(Exception):
    """The tokens are a sum that people read in two ways."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    spaced: bool  # white space stands before it


@dataclass(frozen=True, slots=True)
class Equation:
    """A sum and the result stated for it.

    Attributes:
        start: First code point of the sum.
        end: Code point after the stated result.
        sum_text: The sum as it stands.
        stated_text: The stated result as it stands.
        value: What the sum comes to, a percentage taken as a hundredth.
        holds: Whether the stated result is the value, as exactly as it is written.
    """

    start: int
    end: int
    sum_text: str
    stated_text: str
    value: Fraction
    holds: bool


def equations_in(text: str) -> Iterator[Equation]:
    """Every sum of numbers in a text that has a stated result, in order. Fenced code is left out."""
    offset = 0
    for line in _FENCED.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text).split("\n"):
        if _HAS_SUM.search(line) and not _CODE_LINE.search(line):
            yield from _in_line(text, _mask(line), offset)
        offset += len(line) + 1


def shown(value: Fraction) -> str:
    """A value as a person would write it, to eight significant digits where it is no whole number."""
    if value.denominator == 1 and abs(value.numerator) < 10**15:
        return f"{value.numerator:,}"
    return f"{float(value):,.8g}"


# --- reading --------------------------------------------------------------------------------------------------------

_CODE_LINE = re.compile(
    r"==|!=|:=|\+=|-=|;\s*$|\b(?:def|return|print|let|var|const|int|float|echo|assert)\b\s*[\w(]*\s*[(=]|0[xXbB][0-9a-fA-F]|</"
    r"|\bmod\b|≡|&&|\|\|"
)
_HAS_SUM = re.compile(r"(?s)\d.*(?:[=≈≅≃]|equals?|is|makes|gives|comes to)[^\d]*\d")
_FENCED = re.compile(r"(?s)```.*?(?:```|\Z)")
_PADDED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|,|;|!|quad)|\\[()\[\]]|`|~", ""),
        (r"\\text\{\s*\w+\s*\}|\\(?:mathrm|textbf|boxed)(?=\{)", ""),
        (r"<<|\$\$", ""),
        (r">>", ";"),
        (r"\\times|\\cdot", "×"),
        (r"\\div", "÷"),
        (r"\\approx", "≈"),
        (r"\\%", "%"),
        (r"\\\$", "$"),
        (rf"\\d?frac\{{({NUMBER})\}}\{{({NUMBER})\}}", r"(\1/\2)"),
        (rf"\\sqrt\{{({NUMBER})\}}", r"√(\1)"),
        (r"(?m)^\s*(?:[-*+•>]|\(?\d{1,2}[.)]|\|)\s", ""),
        (r"(?<![\d)])\s?\*\*|\*\*(?!\s?[\d(])", ""),
        (r"(?i)(?<=[\d)%])\s+plus\s+(?=[$€£\d])", " + "),
        (r"(?i)(?<=[\d)%])\s+minus\s+(?=[$€£\d])", " - "),
        (r"(?i)(?<=[\d)%])\s+(?:times|multiplied by)\s+(?=[$€£\d])", " × "),
        (r"(?i)(?<=[\d)%])\s+divided by\s+(?=[$€£\d])", " ÷ "),
        (rf"(?i)\b(?:the )?sum of ({NUMBER}) and ({NUMBER})(?=\s+(?:is|equals|=))", r"\1 + \2"),
        (rf"(?i)\b(?:the )?product of ({NUMBER}) and ({NUMBER})(?=\s+(?:is|equals|=))", r"\1 × \2"),
        (rf"(?i)\b(?:the )?difference (?:between|of) ({NUMBER}) and ({NUMBER})(?=\s+(?:is|equals|=))", r"√((\1 - \2)^2)"),
        (rf"(?i)\b(?:the )?quotient of ({NUMBER}) and ({NUMBER})(?=\s+(?:is|equals|=))", r"\1 ÷ \2"),
        (rf"(?i)\b(?:the )?square root of ({NUMBER})(?=\s+(?:is|equals|=))", r"√\1"),
        (rf"(?i)({NUMBER}) squared(?=\s+(?:is|equals|=))", r"\1^2"),
        (rf"(?i)({NUMBER}) cubed(?=\s+(?:is|equals|=))", r"\1^3"),
        (rf"(?i)({NUMBER}) percent(?= of\b)", r"\1%"),
    )
)


def _mask(text: str) -> str:
    """A line with marks taken out and words for operators turned into signs; every character keeps its place."""
    for pattern, replacement in _PADDED:
        text = pattern.sub(partial(_padded, replacement), text)
    return text


def _padded(replacement: str, match: re.Match[str]) -> str:
    return match.expand(replacement).ljust(len(match.group()))


def _in_line(text: str, line: str, offset: int) -> Iterator[Equation]:
    before = 0
    for relation in _RELATION.finditer(line):
        left_from = max(before, relation.start() - _MAX_SIDE_CHARS)
        in_words = relation.group()[0].isalpha()
        if not in_words:
            before = relation.end()
        left = _tokens(line[left_from : relation.start()])
        right = _tokens(line[relation.end() : relation.end() + _MAX_SIDE_CHARS])
        try:
            found = _equation(left, right, line[relation.end() :], in_words, relation.group() != "=")
        except (_NoSumError, _AmbiguousError):
            continue
        first, stated_first, stated_end, value, holds = found
        start, end_of_sum = first + left_from + offset, relation.start() + offset
        stated_at, end = stated_first + relation.end() + offset, stated_end + relation.end() + offset
        if in_words and _NAMED_FRACTION.fullmatch(text[start:end_of_sum].strip()):
            continue
        yield Equation(start, end, text[start:end_of_sum].strip(), text[stated_at:end].strip(), value, holds)


def _tokens(side: str) -> list[_Token]:
    tokens: list[_Token] = []
    spaced = True
    for match in _TOKEN.finditer(side):
        kind = match.lastgroup or "other"
        if kind == "space":
            spaced = True
            continue
        tokens.append(_Token(kind, match.group(), match.start(), match.end(), spaced))
        spaced = False
    return tokens


def _equation(
    left: list[_Token], right: list[_Token], after: str, in_words: bool, about: bool
) -> tuple[int, int, int, Fraction, bool]:
    """Where the sum in `left` and the result in `right` begin, where the latter ends, the sum's value, whether they agree."""
    sum_tokens = _last_sum(left)
    hedge = _ABOUT.match(after)
    skipped = hedge.end() if hedge else 0
    about = (about and not in_words) or bool(
        hedge and hedge.group().strip(" *<\t") not in ("", "exactly", "a total of", "only")
    )
    stated = [token for token in right if token.start >= skipped]
    tree, n_used = _Parser(stated).prefix()
    result = _Parser(stated[:n_used])
    _check_end(stated, n_used, in_words)
    parser = _Parser(sum_tokens)
    whole = parser.whole()
    _check_units(parser, result)
    marked = [token.kind == "pct" for token in stated[:n_used]]
    numbers, percents = (sum(token.kind == kind for token in sum_tokens) for kind in ("num", "pct"))
    modes = _MODES if any(marked) or numbers == percents else tuple(mode for mode in _MODES if mode != "plain")
    values = [_evaluate(whole, mode) for mode in modes]
    if any(abs(value) > 10**_MAX_DIGITS for value in values):
        raise _NoSumError
    first, n_first = _Parser(stated).atom_only()
    stated_values = [(_evaluate(tree, mode), _unit_in_last_place(stated[:n_used])) for mode in _MODES]
    stated_values += [(_evaluate(first, mode), _unit_in_last_place(stated[:n_first])) for mode in _MODES]
    slack = _slack(sum_tokens)
    if sum_tokens[0].text in "-−–" and any(token.text in ("^", "**") or token.kind == "sup" for token in sum_tokens):
        values += [-value for value in values]  # -5² is read both ways
    holds = any(
        _agree(value, result_value, last_place, slack, about) for value in values for result_value, last_place in stated_values
    )
    n_shown = n_used if not any(token.kind == "op" for token in stated[1:n_used]) else n_first
    while (
        n_shown > 1
        and stated[n_shown - 1].kind in ("word", "sup")
        and stated[n_shown - 2].kind in ("num", "pct", "word", "cur", "rp")
    ):
        n_shown -= 1  # the unit
    return sum_tokens[0].start, stated[0].start, stated[n_shown - 1].end, values[0], holds


def _last_sum(left: list[_Token]) -> list[_Token]:
    """The longest run of tokens at the end that is a sum of its own."""
    for place, token in enumerate(left):
        if token.kind not in ("num", "cur", "lp", "root") and not (token.kind == "op" and token.text in "-−–"):
            continue
        if not _may_begin(left, place):
            continue
        tokens = left[place:]
        try:
            tree = _Parser(tokens).whole()
        except _NoSumError:
            continue
        if _is_joined(tokens):
            break
        if isinstance(tree, _Leaf) or (isinstance(tree, tuple) and tree[0] == "neg" and isinstance(tree[1], _Leaf)):
            break
        return tokens
    raise _NoSumError


def _is_joined(tokens: list[_Token]) -> bool:
    """Whether the tokens are numbers joined by hyphens, as in a date or a telephone number."""
    signs = [token for token in tokens if token.kind == "op"]
    if not signs or any(token.text not in "-–" or token.spaced for token in signs) or len(tokens) != 2 * len(signs) + 1:
        return False
    return len(signs) > 1 or any(len(token.text) > 1 and token.text[0] == "0" and token.text[1] != "." for token in tokens)


def _may_begin(left: list[_Token], place: int) -> bool:
    """Whether the token before lets a sum begin here."""
    if place == 0:
        return True
    token, before = left[place], left[place - 1]
    if before.kind in ("op", "num", "sup", "pct", "root", "cur"):
        return False
    if before.kind == "rp" and token.kind in ("op", "lp"):
        return False
    if before.kind == "word":
        if token.kind == "op" and (place + 1 >= len(left) or left[place + 1].spaced or not token.spaced):
            return False  # "profit - 3", a dash between words
        if not token.spaced or (len(before.text) == 1 and before.text not in "aI"):
            return False
        word = before.text.lower()
        if word == "of":
            return place >= 2 and left[place - 2].text.lower() in _SUM_OF
        return word not in _TAKES_OPERAND
    if before.kind == "other":
        return token.spaced or before.text not in ":/.,_#@&|'^\\!?<±∓°" or (before.text in "<" and place >= 1)
    return before.kind != "lp" or token.kind != "other"


def _check_end(stated: list[_Token], n_used: int, in_words: bool) -> None:
    """Raise where what follows the stated result makes it a part of something else."""
    if n_used == 0:
        raise _NoSumError
    rest = stated[n_used:]
    if not rest:
        return
    follows, after = rest[0], rest[1] if len(rest) > 1 else None
    if (
        follows.kind in ("num", "root", "sup")
        or (follows.kind == "lp" and not follows.spaced)
        or (follows.kind == "cur" and follows.spaced)
    ):
        raise _NoSumError
    if follows.kind == "op":
        is_dash = (
            follows.text in "-–−"
            and follows.spaced
            and (after is None or (after.spaced and after.kind == "word" and len(after.text) > 1))
        )
        is_markup = follows.text in ("*", "**", "-", "–") and (
            after is None or after.kind in ("other", "rp") or (follows.text == "*" and after.spaced)
        )
        is_rate = follows.text == "/" and after is not None and after.kind == "word" and len(after.text) > 2
        if not (is_dash or is_markup or is_rate):
            raise _NoSumError
    if follows.kind == "word":
        word = follows.text.lower()
        if word in _SCALES and not (word == "and" and (after is None or after.kind != "num")):
            raise _NoSumError
        if (
            not follows.spaced
            or word
            in (
                "times",
                "percent",
                "less",
                "more",
                "fewer",
                "th",
                "st",
                "nd",
                "rd",
                "to",
                "or",
                "x",
                "of",
                "out",
                "plus",
                "minus",
                "divided",
                "over",
                "hours",
                "times",
            )
        ) and word not in ("hours",):
            raise _NoSumError
    if (
        follows.kind == "other"
        and not follows.spaced
        and follows.text in ":!_^/\\'’"
        and after is not None
        and not after.spaced
    ):
        raise _NoSumError
    if follows.kind == "other" and follows.text in "±<>≠≤≥|":
        raise _NoSumError
    if follows.text in (".", ",") and after is not None and not after.spaced and after.kind == "num":
        raise _NoSumError
    if (
        in_words
        and follows.kind == "word"
        and len(rest) > 1
        and after is not None
        and after.kind in ("word", "op")
        and word_goes_on(after.text)
    ):
        raise _NoSumError


def word_goes_on(word: str) -> bool:
    """Whether a word after a result makes it one of many: "5 apples less", "3 more"."""
    return word.lower() in ("more", "less", "fewer", "times", "percent", "than", "higher", "lower", "greater")


def _check_units(left: _Parser, right: _Parser) -> None:
    """Raise where a letter is an unknown, or the result is in another unit than the sum."""
    right.reset()
    right.prefix()
    short = {name for name in left.names if len(name) == 1}
    if short - _SI or (short and not right.names):
        raise _NoSumError
    if any(len(name) == 1 and name not in _SI for name in right.names):
        raise _NoSumError
    counted, stated_in = left.names & _MEASURES, right.names & _MEASURES
    if counted and stated_in - counted:
        raise _NoSumError  # minutes stated as hours


# --- computing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leaf:
    value: Fraction
    is_percent: bool


class _Parser:
    """Recursive descent over the tokens of a sum."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self.reset()

    def reset(self) -> None:
        self._at = 0
        self.names: set[str] = set()

    def whole(self) -> object:
        """The sum that all tokens are.

        Raises:
            _NoSumError: They are no sum.
        """
        tree = self._sum()
        if self._at != len(self._tokens):
            raise _NoSumError
        return tree

    def prefix(self) -> tuple[object, int]:
        """The longest sum at the beginning, and how many tokens it takes."""
        tree = self._sum()
        return tree, self._at

    def atom_only(self) -> tuple[object, int]:
        """The first number, with its sign and power of ten, and how many tokens it takes."""
        tree = self._unary()
        return tree, self._at

    def _peek(self, *kinds: str) -> _Token | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token if token is not None and token.kind in kinds else None

    def _chain(self, operand: Callable[[], object], symbols: str) -> object:
        tree = operand()
        while (token := self._peek("op")) and _SYMBOLS.get(token.text, token.text) in symbols:
            back, names = self._at, set(self.names)
            self._at += 1
            try:
                tree = (_SYMBOLS.get(token.text, token.text), tree, operand())
            except _NoSumError:
                self._at, self.names = back, names
                break
        return tree

    def _sum(self) -> object:
        outer, self.names = self.names, set()
        all_names: list[set[str]] = []

        def product() -> object:
            self.names = set()
            tree = self._product()
            all_names.append(self.names)
            return tree

        tree = self._chain(product, "+-")
        named = [names for names in all_names if names]
        if len(all_names) > 1 and any(names != named[0] for names in named):
            raise _NoSumError  # feet and inches
        self.names = outer.union(*named) if named else outer
        return tree

    def _product(self) -> object:
        tree = self._power()
        while True:
            back = self._at
            token = self._peek("op")
            symbol = _SYMBOLS.get(token.text, token.text) if token else ""
            of = self._peek("word")
            try:
                if symbol in ("*", "/"):
                    self._at += 1
                    tree = (symbol, tree, self._power())
                elif of and of.text == "of" and self._at and self._tokens[self._at - 1].kind == "pct":
                    self._at += 1
                    tree = ("*", tree, self._power())
                elif (opening := self._peek("lp")) and not opening.spaced and self._tokens[self._at - 1].kind in ("num", "rp"):
                    if isinstance(tree, tuple) and tree[0] == "/":
                        raise _AmbiguousError  # 6 ÷ 2(1 + 2)
                    tree = ("*", tree, self._power())
                else:
                    return tree
            except _NoSumError:
                self._at = back
                return tree

    def _power(self) -> object:
        tree = self._unary()
        if (token := self._peek("op")) and _SYMBOLS.get(token.text, token.text) == "^":
            self._at += 1
            return ("^", tree, self._power())
        return tree

    def _unary(self) -> object:
        if (token := self._peek("op")) and token.text in "-−–+":
            self._at += 1
            tree = self._power()
            return ("neg", tree) if token.text != "+" else tree
        return self._atom()

    def _atom(self) -> object:
        tree: object
        if self._peek("root"):
            self._at += 1
            tree = ("root", self._atom())
        elif opening := self._peek("lp"):
            self._at += 1
            tree = self._sum()
            if not self._peek("rp"):
                raise _NoSumError
            self._at += 1
            del opening
        else:
            if self._peek("cur"):
                self._at += 1
                if (sign := self._peek("op")) and sign.text in "-−–":
                    raise _NoSumError
            token = self._peek("num")
            if token is None:
                raise _NoSumError
            self._at += 1
            follows = self._tokens[self._at] if self._at < len(self._tokens) else None
            if follows and follows.kind == "other" and not follows.spaced and follows.text in "!:_'’":
                raise _NoSumError
            percent = self._peek("pct")
            if percent:
                self._at += 1
                if (after := self._peek("num", "lp")) and after:
                    raise _NoSumError  # modulo
            tree = _Leaf(Fraction(token.text.replace(",", "")) * self._power_of_ten(), percent is not None)
            if (trailing := self._peek("cur")) and not trailing.spaced:
                self._at += 1
        if power := self._peek("sup"):
            self._at += 1
            tree = ("^", tree, _Leaf(Fraction(2 if power.text == "²" else 3), False))
        self._unit()
        return tree

    def _power_of_ten(self) -> Fraction:
        """The `× 10^b` after a number, which belongs to it."""
        parts = [token.text for token in self._tokens[self._at : self._at + 5]]
        if (
            len(parts) < 4
            or (_SYMBOLS.get(parts[0]) != "*" and parts[0] != "*")
            or parts[1] != "10"
            or parts[2] not in ("^", "**")
        ):
            return Fraction(1)
        negative = parts[3] in ("-", "−", "–")
        exponent = parts[3 + negative] if len(parts) > 3 + negative else ""
        if not exponent.isdigit() or len(exponent) > 2:
            return Fraction(1)
        self._at += 4 + negative
        return Fraction(10) ** (-int(exponent) if negative else int(exponent))

    def _unit(self) -> None:
        """Up to three words that name what is counted; a slash between words belongs to them, as in km/h."""
        n_words = 0
        while (token := self._peek("word")) and n_words < 3 and token.text.lower() not in _NO_UNIT:
            if n_words and not token.spaced:
                raise _NoSumError
            n_words += 1
            self._at += 1
            name = token.text if len(token.text) == 1 else token.text.lower().rstrip("s.")
            self.names.add(name)
            slash = self._peek("op")
            if (
                slash
                and slash.text in "/·"
                and self._at + 1 < len(self._tokens)
                and self._tokens[self._at + 1].kind == "word"
                and not slash.spaced
            ):
                self._at += 2
            if self._peek("sup"):
                self._at += 1


_MODES = ("hundredth", "plain", "share")
"""A percentage is a hundredth, or the number before the sign, or a share of what stands before it (80 + 15%)."""


def _evaluate(tree: object, mode: str) -> Fraction:
    if isinstance(tree, _Leaf):
        return tree.value / 100 if tree.is_percent and mode != "plain" else tree.value
    assert isinstance(tree, tuple)
    operator, *operands = tree
    if mode == "share" and operator in ("+", "-") and isinstance(operands[1], _Leaf) and operands[1].is_percent:
        base = _evaluate(operands[0], mode)
        return base + (base if operator == "+" else -base) * operands[1].value / 100
    values = [_evaluate(operand, mode) for operand in operands]
    if operator == "neg":
        return -values[0]
    if operator == "root":
        if values[0] < 0:
            raise _NoSumError
        return _root(values[0])
    one, other = values
    if operator == "+":
        return one + other
    if operator == "-":
        return one - other
    if operator == "*":
        return one * other
    if operator == "/":
        if other == 0:
            raise _NoSumError
        return one / other
    return _power_of(one, other)


def _root(value: Fraction) -> Fraction:
    exact = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    return exact if exact * exact == value else Fraction(math.sqrt(value))


def _power_of(base: Fraction, exponent: Fraction) -> Fraction:
    try:
        if exponent.denominator == 1:
            if abs(exponent) * max(len(str(base.numerator)), len(str(base.denominator))) > 4 * _MAX_DIGITS:
                raise _NoSumError
            return base ** int(exponent)
        return Fraction(float(base) ** float(exponent))
    except (ZeroDivisionError, OverflowError, TypeError, ValueError):
        raise _NoSumError from None


def _unit_in_last_place(tokens: list[_Token]) -> Fraction:
    """What the last digit written counts: 1 for 12, 1/100 for 3.14; of `a × 10^b`, that of `a` times 10^b."""
    numbers = [token.text for token in tokens if token.kind == "num"]
    last = Fraction(1, 10 ** len(numbers[0].partition(".")[2])) if numbers else Fraction(1)
    if len(numbers) == 3 and numbers[1] == "10":
        exponent = int(float(numbers[2])) if float(numbers[2]) < 60 else 60
        negative = any(token.text in "-−–" for token in tokens[2:])
        return last * (Fraction(1, 10**exponent) if negative else 10**exponent)
    if any(token.kind == "pct" for token in tokens):
        last /= 100
    return last if len(numbers) == 1 or not any(token.kind == "op" for token in tokens) else Fraction(0)


def _slack(tokens: list[_Token]) -> Fraction:
    """How far, as a share, a result may be off because numbers of the sum are rounded themselves."""
    slack = Fraction(0)
    for token in tokens:
        if token.kind == "num":
            slack = max(slack, Fraction(_ROUNDED.get(token.text, "0")))
            if len(token.text.partition(".")[2]) >= 3:
                slack = max(slack, Fraction(1, 500))
    return slack


def _agree(value: Fraction, stated: Fraction, last_place: Fraction, slack: Fraction, about: bool) -> bool:
    difference = abs(value - stated)
    if difference <= abs(value) / 10**9:
        return True
    share = max(slack, _LOOSE_ABOUT if about else Fraction(0))
    if difference <= share * abs(value):
        return True
    if last_place == 0:  # both sides are sums: nothing is rounded, up to what roots lose
        return difference <= abs(value) / 10**6
    return value % last_place != 0 and difference < last_place
