"""PII001: an e-mail address or a telephone number stands in a row.

What: e-mail addresses, also where they are spelled out ("jo (at) mill (dot) org"), and telephone numbers that the
numbering plan of their country knows (the `phonenumbers` library, Google's metadata). A number counts where it is written
internationally ("+44 …") or as North Americans write theirs, or where a word such as "phone", "call" or "tel" stands
before it; it is then tried in the countries of the row's language as well. Nothing is reported for addresses and numbers
that are reserved for examples or plainly made up: example.com, your_email@…, john.doe@…, 555-01xx, 123-456-7890. INFO, and
not WARNING, where the address is that of a function (info@…), where the number is a free or premium-rate one, and where
the row asks for something to be made up. Every turn is looked at, its reasoning and tool calls too; postal addresses and
names are not.

Why it matters: a tuned model can give away what it has seen once, and the person never agreed to that. Data protection
law asks for the removal.

Example: "Reach me at j.tremont@harborline.net or +44 113 880 2214."

Fix: replace it by an invented one, such as jo@example.com, or drop the row: `tunescope export --drop PII001`. What the
finding names is the only place that was measured: the same person may be named elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit.checks.base import Check, NoOptions
from audit.checks.occurrences import Occurrence, Passage, findings_of, is_invented_number, passages
from audit.findings import Finding, Severity
from audit.materials import Materials, Need

__all__ = ["CHECK"]

# --- e-mail addresses -----------------------------------------------------------------------------------------------

_AT = r"(?:\s?[\[({<]\s?(?:at|AT|@)\s?[\])}>]\s?|\s(?:AT|at)\s)"
_DOT = r"(?:\s?[\[({<]\s?(?:dot|DOT|\.)\s?[\])}>]\s?|\s(?:DOT|dot)\s)"
_PLAIN_EMAIL = re.compile(r"(?<![\w.+%@/\-])[\w.%+\-]{1,64}@(?:[^\W_](?:[\w\-]{0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w@])")
_SPELLED_EMAIL = re.compile(
    rf"(?<![\w.+@\-])[\w.%+\-]{{1,64}}(?:{_AT}[\w\-]+(?:(?:{_DOT}|\.)[\w\-]+)*{_DOT}|\s?[\[({{]\s?(?:at|AT"
    rf"|@)\s?[\])}}]\s?[\w\-]+"
    r"(?:\.[\w\-]+)*\.)[A-Za-z]{2,24}\b"
)
_DEFANGED_EMAIL = re.compile(
    r"(?<![\w.+%@/\-])[\w.%+\-]{1,64}@[\w\-]+(?:\.[\w\-]+)*\s?[\[({]\s?(?:\.|dot)\s?[\])}]\s?(?:[\w\-]+\.)*[A-Za-z]{2,24}\b"
)
_MAY_HOLD_EMAIL = r"@[\w\-]+\s?[.\[({]|(?i:[\[({<]\s?(?:at|@)\s?[\])}>]|\sat\s[\w\-]+\s?[\[({<]?\s?dot\s)"

_EXAMPLE_DOMAIN = re.compile(
    r"(?:.*\.)?(?:example|test|invalid|localhost)(?:\.\w+)*"
    r"|(?:.*\.)?(?:my|your|the|some|any|a|this|new|our)?[-_]?(?:domain|company|business|organi[sz]ation|website|site|web|email"
    r"|e-?mail|mail|mailserver|server|host|provider|address|sample|demo|dummy|fake|test|foo|bar|baz|acme|abc|xyz|aaa|xxx+"
    r"|asdf|qwerty|university|school|college|somewhere|nowhere|placeholder|store|shop|name|employer|corp"
    r"|client|recipient|sender|username)"
    r"(?:[-_]?(?:name|domain|company|mail|site|corp|inc))?\d*\.(?:com|org|net|edu|io|co|gov|info|biz|de|fr|es|it|co\.uk|tld"
    r"|xyz|ac\.uk)",
)
_EXAMPLE_NAME = re.compile(
    r"your\w*|your[._-].*|(?:my|the|his|her|some|any|our)[._-]?(?:(?:g|e-?)?mail|name|address|account|id|company)?"
    r"|(?:my|the|his|her|some|any|our)[._-]\w+|(?:first|last|user|full|nick)[._-]?name.*|(?:f|first)[._-]last(?:name)?|name\d*"
    r"|users?\d*|test(?:er|ing|user|mail|email)?[._-]?\d*|example\d*|sample\d*|dummy|fake|foo|bar|baz|foobar|abc\d*|xyz\d*"
    r"|aaa+|xxx+|asdf|qwerty"
    r"|\d{1,3}|someone|somebody|anyone|nobody|me|you|email\d*|e-?mail[._-]?address|address|recipients?\d*|receivers?"
    r"|senders?|customer\d*"
    r"|(?:recipient|receiver|sender|from|to|my|customer)[._-]?(?:e-?mail|address|name|id)|login|account|placeholder|git|hg|root"
    r"|(?:jo[eh]n?|jane|j)?[._-]?doe\d{0,4}|(?:jo[eh]n|jane|j)[._-]?smith\d{0,4}|max[._-]?mustermann"
    r"|mustermann|erika[._-]?mustermann"
    r"|(?:juan|maria)[._-]?perez|mario[._-]?rossi|jean[._-]?dupont",
)
_FUNCTION_NAME = re.compile(
    r"(?:info|information|support|contacts?|sales|help|helpdesk|hello|hi|admin|administrator|office|press|media|jobs?"
    r"|careers?|hr|recruiting"
    r"|recruitment|no-?reply|do-?not-?reply|newsletter|news|letters?|feedback|webmaster|postmaster|hostmaster|abuse|privacy"
    r"|security|legal|dpo"
    r"|billing|accounts|accounting|invoices?|orders?|bookings?|reservations?|service|services|customer[._-]?(?:service|care"
    r"|support)|team|staff"
    r"|editors?|editorial|marketing|offers|events|enquir(?:y|ies)|inquir(?:y|ies)|mail|reception|frontdesk|membership"
    r"|registration|registrar"
    r"|tickets|it|tech|ask|tips|comments|submissions?|volunteers?|donations?|photos|pictures|bounces?|subscribe|unsubscribe"
    r"|kontakt"
    r"|contacto|ventas|servicio|presse"
    r"|[a-z]{3,}[._-]?(?:pictures|photos|support|sales|press|office|newsletter|editorial|services?|bookings|enquiries|tickets))"
)
_FILE_SUFFIXES = frozenset(
    "png jpg jpeg gif svg webp ico js ts jsx tsx css scss html py rb rs go json md txt xml yml yaml".split()
)


def _emails(passage: Passage) -> Iterator[Occurrence]:
    text = passage.text
    for pattern in (_PLAIN_EMAIL, _SPELLED_EMAIL, _DEFANGED_EMAIL):
        for match in pattern.finditer(text):
            start, value = match.start(), match.group()
            name = re.match(r"[\w.%+\-]+", value)
            assert name is not None  # both patterns begin with one
            start += len(value) - len(value := value.lstrip(".-%"))
            local = value[: len(name.group()) - (start - match.start())].lower()
            domain = re.sub(r"\s?[\[({<]\s?(?:dot|\.)\s?[\])}>]\s?|\sdot\s", ".", value[len(local) :].lower())
            domain = re.sub(r"^(?:@|\s?[\[({<]\s?(?:at|@)\s?[\])}>]\s?|\sat\s)", "", domain)
            in_url = re.search(r"://\S*$", text[max(0, start - 80) : start])
            if in_url or domain.rpartition(".")[2] in _FILE_SUFFIXES or not re.search(r"\w", local):
                continue
            if _EXAMPLE_DOMAIN.fullmatch(domain) or _EXAMPLE_NAME.fullmatch(local):
                continue
            severity, remark = Severity.WARNING, ""
            if _FUNCTION_NAME.fullmatch(local):
                severity, remark = Severity.INFO, "of a function, not a person"
            yield passage.judged(Occurrence(start, start + len(value), "an e-mail address", severity, remark))


# --- telephone numbers ----------------------------------------------------------------------------------------------

_GAP = r"[ \u00a0.\-/‑–()]{0,3}"
_NUMBER = re.compile(
    rf"(?<![A-Za-z0-9_.,:/#$€£¥=@&?%*+\-\\])(?:\+[ ]?|\()?\d(?:{_GAP}\d){{7,14}}(?!\d|[.,/:\-]\d|[A-Za-z_]|[%€£¥°])"
)
_MAY_HOLD_NUMBER = r"[0-9](?:[ \x{a0}.\-/‑–()]{0,3}[0-9]){7}"
_AMERICAN = re.compile(
    r"(?:1[ .\-]{1,2})?(?:\([2-9]\d\d\) ?|[2-9]\d\d[.\-])[2-9]\d\d[.\-]\d{4}|\([2-9]\d\d\) ?[2-9]\d\d[ .\-]\d{4}"
)
# Within so many characters before a number, a word that announces it.
_NEAR = 40
_ANNOUNCES = re.compile(
    r"(?:\b(?:tele)?phones?\b|\btel\b|\bcall(?:ed|ing)?\b|\bmobile\b|\bcell(?:phone|ular)?\b|\bfax\b"
    r"|whats ?app|\btext (?:me|us|him|her|them)\b"
    r"|\b(?:my|his|her|their|our|your) (?:\w+ )?number\b|\bcontact|\breach (?:me|us|him|her|them)|\bhotline\b|\bsms\b"
    r"|\bdial|\bring (?:me|us)|\bph\b|\bhandy|\btelefon|\bt[eé]l[eé]"
    r"|\bm[oó]vil\b|\bcelular\b|\bportable\b|\bmobil|\banruf|\bappel|\bllam"
    r"|\btelegram\b|\bsignal\b|电话|手机|電話|携帯|전화|тел\b|телефон)[^\n]*$",
    re.IGNORECASE,
)
_NOT_A_NUMBER_OF = re.compile(
    r"(?:isbn|issn|doi|account|order|invoice|tracking|serial|ticket|case|reference|ref|iban|card|id|ssn"
    r"|vin)\W*(?:\w+\W+){0,2}$",
    re.I,
)
# "1987-1991", "2024-05-17", "17/05/2024": nine digits or fewer, in groups as dates have them.
_DATES = re.compile(
    r"\(?(?:(?:1\d|20)\d\d ?[\-/–.] ?(?:(?:1\d|20)\d\d|[01]?\d[\-/.][0-3]?\d)|[0-3]?\d[\-/.][0-3]?\d[\-/.](?:1\d|20)\d\d)\)?"
)
_COUNTRIES = {
    "": "US GB IN AU CA DE FR ES IT NL PL BR MX CN JP KR ZA NG PH",
    "en": "US GB IN AU IE NZ ZA",
    "de": "DE AT CH",
    "fr": "FR BE CH CA",
    "es": "ES MX AR CO CL PE",
    "it": "IT",
    "pt": "BR PT",
    "nl": "NL BE",
    "pl": "PL",
    "ru": "RU",
    "zh": "CN TW HK",
    "ja": "JP",
    "ko": "KR",
    "hi": "IN",
    "tr": "TR",
    "sv": "SE",
    "da": "DK",
    "no": "NO",
    "fi": "FI",
    "cs": "CZ",
    "uk": "UA",
    "id": "ID",
    "vi": "VN",
}
# Ranges that regulators keep free for drama and examples, of the national number by country code: NANPA (555), Ofcom,
# ACMA, Arcep, Bundesnetzagentur.
_FOR_EXAMPLES = {
    1: r"555\d{7}|\d{3}555\d{4}",
    44: r"2079460\d{3}|7700900\d{3}|1632960\d{3}|1(?:1[3-8]|[2-6]1)4960\d{3}|1914980\d{3}|8081570\d{3}"
    r"|9098790\d{3}|3069990\d{3}"
    r"|2920180\d{3}|2896496\d{3}",
    61: r"[2378](?:5550|7010)\d{4}|491570\d{3}|491571\d{3}|180016040\d|1800975[67]\d\d",
    33: r"19900\d{4}|26191\d{4}|35301\d{4}|46571\d{4}|53649\d{4}|63998\d{4}",
    49: r"3023125\d{3}|6990009\d{3}|4066969\d{3}|2214710\d{3}|8999998\d{3}|1713920\d{3,4}|176040690\d{2}|1520\d*",
}


def _telephone_numbers(passage: Passage, languages: dict[tuple[int, int], str]) -> Iterator[Occurrence]:
    from phonenumbers import (
        NumberParseException,
        PhoneNumberType,
        is_valid_number,
        national_significant_number,
        number_type,
        parse,
    )

    text = passage.text
    for match in _NUMBER.finditer(text):
        value = match.group().rstrip(" (")
        if value.startswith("(") and ")" not in value:
            continue
        before = text[max(0, match.start() - _NEAR) : match.start()]
        announced = bool(_ANNOUNCES.search(before))
        if _NOT_A_NUMBER_OF.search(before) or _DATES.fullmatch(value):
            continue
        if value.startswith("+"):
            countries: list[str | None] = [None]
        elif announced:
            language = languages.get((passage.row, passage.turn), "")
            countries = [*dict.fromkeys(f"{_COUNTRIES.get(language, '')} {_COUNTRIES['']}".split())]
        elif _AMERICAN.fullmatch(value):
            countries = ["US"]
        else:
            continue
        for country in countries:
            try:
                number = parse(value, country)
            except NumberParseException:
                continue
            if is_valid_number(number):
                break
        else:
            continue
        national = national_significant_number(number)
        if is_invented_number(national) or re.fullmatch(_FOR_EXAMPLES.get(number.country_code or 0, r"\b\B"), national):
            continue
        severity, remark = Severity.WARNING, ""
        personal = (
            PhoneNumberType.FIXED_LINE,
            PhoneNumberType.MOBILE,
            PhoneNumberType.FIXED_LINE_OR_MOBILE,
            PhoneNumberType.VOIP,
        )
        if number_type(number) not in (*personal, PhoneNumberType.PERSONAL_NUMBER, PhoneNumberType.PAGER):
            severity, remark = Severity.INFO, "of a service, not a person"
        yield passage.judged(Occurrence(match.start(), match.start() + len(value), "a telephone number", severity, remark))


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per address or number and turn."""
    for passage in passages(materials.corpus, _MAY_HOLD_EMAIL):
        yield from findings_of(CHECK, passage, _emails(passage), "e-mail addresses")
    languages: dict[tuple[int, int], str] | None = None
    for passage in passages(materials.corpus, _MAY_HOLD_NUMBER):
        if languages is None:
            languages = _languages(materials)
        yield from findings_of(CHECK, passage, _telephone_numbers(passage, languages), "telephone numbers")


def _languages(materials: Materials) -> dict[tuple[int, int], str]:
    """The language of each response, and of the turns that it answers."""
    languages: dict[tuple[int, int], str] = {}
    for row, turn, of_prompt, of_response in materials.responses.select(
        "row", "turn", "prompt_language", "language"
    ).iter_rows():
        languages[row, turn] = of_response or of_prompt
        for earlier in range(turn - 1, -1, -1):
            if (row, earlier) in languages:
                break
            languages[row, earlier] = of_prompt or of_response
    return languages


CHECK = Check(
    code="PII001",
    name="contact data",
    severity=Severity.WARNING,
    advice="Replace it by an invented one, or drop the row.",
    explanation=__doc__,
    find=find,
    needs=frozenset({Need.LANGUAGES}),
)
"""E-mail addresses and telephone numbers."""
