"""PII002: a number of a person stands in a row: payment card, bank account, social security or other identity number.

What: numbers whose form and checksum say what they are: payment cards (issuer's range and Luhn's checksum), IBANs, US
social security numbers, the identity numbers of some forty countries (rules of the `python-stdnum` library), and Bitcoin
addresses. Where a checksum lets one random number in ten through, a word such as "SSN", "NHS" or "passport" must stand
near it, or the number must be grouped as its country writes it; a bare run of digits is none. Test numbers of payment
networks (4111 1111 1111 1111), the IBANs of specifications, numbers in sequence (123-45-6789) and those never issued are
left out. INFO, and not WARNING, for Bitcoin addresses, which name nobody, and where the row asks for something to be made
up. Every turn is looked at, its reasoning and tool calls too.

Why it matters: a tuned model can give away what it has seen once, and with these numbers money is taken and identities
are borrowed.

Example: "My card is 4929 6214 3307 8518, charge it there."

Fix: replace it by a number for tests, or drop the row: `tunescope export --drop PII002`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from audit.checks.base import Check, NoOptions
from audit.checks.occurrences import Occurrence, Passage, findings_of, is_invented_number, passages
from audit.findings import Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]

_MAY_HOLD = (
    r"[0-9](?:[ \x{a0}.\-/‑–]?[0-9]){8}"  # nine digits and more
    r"|[0-9]{6}[\-+A][0-9]{3}"
    r"|[A-Z]{2}[0-9]{2}[ \-]?[0-9A-Z]{4}[ \-]?[0-9A-Z]{2}"  # IBAN
    r"|[A-Z]{4}[0-9]{2,6}[A-Z]"
    r"|[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"
    r"|[XYZ][ \-]?[0-9]{7}|[0-9]{7}[ \-]?[A-Za-z]"
    r"|(?:bc1|[13])[0-9A-Za-z]{25}"
)
# Within so many characters before a number, or fewer after it, a word that says what it is.
_BEFORE, _AFTER = 60, 25


@dataclass(frozen=True)
class _Kind:
    """A kind of number.

    Attributes:
        what: Its name, with the article.
        pattern: How it is written; matched where no letter or digit touches it.
        module: Of `stdnum`, whose `is_valid` decides; none, where the form is all there is.
        words: Those of which one must stand near; none where form and checksum suffice.
    """

    what: str
    pattern: str
    module: str = ""
    words: str = ""


_ID_WORDS = r"identi\w+|national id|\bids?\b|tax\b"
_KINDS = (
    _Kind("an IBAN", r"[A-Z]{2}\d{2}(?:[0-9A-Z]{11,30}|(?:[ \-][0-9A-Z]{4}){2,7}(?:[ \-][0-9A-Z]{1,4})?)", "iban"),
    _Kind("a US social security number", r"\d{3}[ \-]\d{2}[ \-]\d{4}", "us.ssn"),
    _Kind("a US social security number", r"\d{9}", "us.ssn", r"\bssn\b|social security"),
    _Kind("a US taxpayer number", r"9\d{2}-\d{2}-\d{4}", "us.itin", r"\bitin\b|taxpayer|tax id"),
    _Kind("a Spanish identity number", r"\d{8}[ \-]?[A-Za-z]", "es.dni"),
    _Kind("a Spanish identity number", r"[XYZ][ \-]?\d{7}[ \-]?[A-Z]", "es.nie"),
    _Kind("an Italian codice fiscale", r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", "it.codicefiscale"),
    _Kind("a French social security number", r"[12] ?\d{2} ?[0-9]{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", "fr.nir"),
    _Kind("a Brazilian CPF number", r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf"),
    _Kind("a Brazilian CPF number", r"\d{11}", "br.cpf", r"\bcpf\b"),
    _Kind("a Chinese identity number", r"\d{17}[0-9Xx]", "cn.ric"),
    _Kind("an Indian Aadhaar number", r"\d{4}[ \-]?\d{4}[ \-]?\d{4}", "in_.aadhaar", r"aadhaa?r|uidai|आधार"),
    _Kind("an Indian PAN", r"[A-Z]{5}\d{4}[A-Z]", "in_.pan", r"\bpan\b|income tax|permanent account"),
    _Kind("a Dutch BSN", r"\d{3}[ .]?\d{3}[ .]?\d{3}|\d{4}[ .]?\d{2}[ .]?\d{3}", "nl.bsn", r"\bbsn\b|burgerservice|sofi"),
    _Kind("a Polish PESEL", r"\d{11}", "pl.pesel", r"pesel"),
    _Kind("a German tax number", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", "de.idnr", r"steuer|idnr|tax"),
    _Kind("a British NHS number", r"\d{3}[ \-]?\d{3}[ \-]?\d{4}", "gb.nhs", r"\bnhs\b"),
    _Kind(
        "a British national insurance number",
        r"(?!BG|GB|NK|KN|TN|NT|ZZ|QQ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        "",
        r"national insurance|\bnino?\b|\bni (?:no|number)",
    ),
    _Kind("a Swedish personnummer", r"(?:19|20)?\d{6}[\-+]\d{4}", "se.personnummer"),
    _Kind("a Finnish henkilötunnus", r"\d{6}[\-+A]\d{3}[0-9A-Z]", "fi.hetu"),
    _Kind("a Belgian national number", r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn"),
    _Kind("a Turkish identity number", r"[1-9]\d{10}", "tr.tckimlik", rf"kimlik|\btc\b|t\.c\.|turkish|{_ID_WORDS}"),
    _Kind("a Mexican CURP", r"[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d", "mx.curp"),
    _Kind("a Korean resident number", r"\d{6}-[1-8]\d{6}", "kr.rrn"),
    _Kind("a South African identity number", r"\d{6} ?\d{4} ?\d{3}", "za.idnr", rf"south africa|\brsa\b|{_ID_WORDS}"),
    _Kind("an Australian tax file number", r"\d{3}[ \-]?\d{3}[ \-]?\d{2,3}", "au.tfn", r"\btfn\b|tax file"),
    _Kind("a Canadian social insurance number", r"\d{3}[ \-]?\d{3}[ \-]?\d{3}", "ca.sin", r"\bsin\b|social insurance"),
    _Kind("a Swiss social security number", r"756[.\-]?\d{4}[.\-]?\d{4}[.\-]?\d{2}", "ch.ssn"),
    _Kind("a Portuguese NIF", r"\d{3} ?\d{3} ?\d{3}", "pt.nif", r"\bnif\b|contribuinte"),
    _Kind("a Romanian CNP", r"[1-8]\d{12}", "ro.cnp", r"\bcnp\b|personal"),
    _Kind("a Danish CPR number", r"\d{6}-?\d{4}", "dk.cpr", r"\bcpr\b|personnummer"),
    _Kind("a Norwegian fødselsnummer", r"\d{6} ?\d{5}", "no.fodselsnummer", r"f[øo]dsels|personnummer|norwegian"),
    _Kind("an Israeli identity number", r"\d{8}-?\d", "il.idnr", r"teudat|israel|תעודת"),
    _Kind("a Czech or Slovak birth number", r"\d{6}/\d{4}", "cz.rc"),
    _Kind("a Bulgarian EGN", r"\d{10}", "bg.egn", r"\begn\b|егн"),
    _Kind("an Estonian isikukood", r"[3-6]\d{10}", "ee.ik", r"isikukood|estonia"),
    _Kind("a Lithuanian asmens kodas", r"[3-6]\d{10}", "lt.asmens", r"asmens|lithuania"),
    _Kind("a Croatian OIB", r"\d{11}", "hr.oib", r"\boib\b"),
    _Kind("a Greek AMKA", r"\d{11}", "gr.amka", r"\bamka\b|αμκα"),
    _Kind("an Irish PPS number", r"\d{7}[A-W][A-IW]?", "ie.pps", r"\bppsn?\b|personal public"),
    _Kind("a Chilean RUT", r"\d{1,2}\.\d{3}\.\d{3}-[0-9Kk]", "cl.rut"),
    _Kind("a Malaysian NRIC", r"\d{6}-\d{2}-\d{4}", "my.nric"),
    _Kind("a Thai identity number", r"\d-\d{4}-\d{5}-\d{2}-\d", "th.pin"),
    _Kind("a Pakistani CNIC", r"\d{5}-\d{7}-\d", "pk.cnic"),
    _Kind("a Russian INN", r"\d{12}", "ru.inn", r"\binn\b|инн"),
)
_COMPILED = tuple(
    (kind, re.compile(rf"(?<![\w.,\-+/#$€£¥])(?:{kind.pattern})(?![\w]|[.,\-/]\d)"), re.compile(kind.words, re.IGNORECASE))
    for kind in _KINDS
)

# --- payment cards --------------------------------------------------------------------------------------------------

_CARD = re.compile(r"(?<![\w.,\-+/#$€£¥])\d(?:[ \-‑]?\d){12,18}(?!\w|[.,\-/]\d)")
_GROUPED_CARD = re.compile(r"\d{4}([ \-‑])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ \-‑])\d{6}\2\d{4,5}")
_CARD_WORDS = re.compile(
    r"\bcards?\b|credit|debit|visa\b|master ?card|\bamex\b|american express|discover\b|payment|\bpay\b"
    r"|\bcharge|billing|checkout|tarjeta|\bcarte\b|karte\b|carta\b|cartão|карт|卡|\bcvv\b|\bcvc\b|\bexp",
    re.I,
)
# ISO/IEC 7812: first digits and lengths of the networks.
_ISSUERS = re.compile(
    r"4\d{15}(?:\d{3})?"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]\d|095|[689]\d\d)\d{10}"  # Diners Club
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)
# The networks' and payment services' published numbers for tests.
_TEST_CARDS = frozenset(
    "4111111111111111 4012888888881881 4242424242424242 4000056655665556 4005519200000004 4009348888881881 4012000033330026 "
    "4012000077777777 4217651111111119 4500600000000061 4007000000027 4222222222222 4000000000000002 4000002500003155 "
    "4917610000000000 4917300800000000 4484070000000000 4988438843884305 4166676667666746 4646464646464644 4444333322221111 "
    "5555555555554444 5105105105105100 5200828282828210 5454545454545454 5424000000000015 5431111111111111 5399999999999999 "
    "5436031030606378 2223003122003222 2223000048400011 2222400010000008 5555341244441115 5577000055770004 5555444433331111 "
    "378282246310005 371449635398431 378734493671000 370000000000002 374251018720018 340000000000009 341111111111111 "
    "30569309025904 38520000023237 36227206271667 36006666333344 3056930009020004 6011111111111117 6011000990139424 "
    "6011000000000012 6011000400000000 6011981111111113 6445644564456445 3530111333300000 3566002020360505 3569990010095841 "
    "6200000000000005 6205500000000000004 6250947000000014 6759649826438453 6771798021000008 6304000000000000 5018000000000009 "
    ""
    "5425233430109903 4263982640269299 374245455400126 4001919257537193 4007702835532454 6362970000457013 "
    "4917484589897107 5495734000000000 5500000000000004 5500005555555559 30000000000004 6011000000000004 "
    "4000123456789010".split()
)
# Of registries' and specifications' examples, the part after country and check digits.
_EXAMPLE_IBANS = frozenset(
    "WEST12345698765432 NWBK60161331926819 BARC20035360925500 370400440532013000 20041010050500013M02606 "
    "20041010050500013M02606"
    " 30006000011234567890189 ABNA0417164300 INGB0001234567 00762011623852957 21000418450200051332 X0542811101000000123456 "
    "19043002"
    "34573201 1904300234573201 539007547034 0400440116243 AIBK93115212345678 50000000058398257466 05083000100009543".split()
)
_EXAMPLE_NUMBERS = frozenset(
    "078051120 219099999 457555462 111111111 333333333 123456789 987654321 12345678Z 00000000T 11111111H X1234567L "
    "RSSMRA85T10A562S "
    "RSSMRA80A01H501U RSSMRA85M01H501Z 12345678909 11144477735 ABCDE1234F AAAPL1234C QQ123456C AB123456C 11010119900307 "
    "110101199003074477 11010519491231002X 255081416802538 8001015009087 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa "
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq "
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyT 7569217076985 46454286 10000000146 044051458 131052308T 19811218987 8112189876 "
    "811228-9874 121212-1212 1212121212 131052-308T 4567857 046454286 900101011".split()
)
_BITCOIN = re.compile(r"(?<![\w/=])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,87})(?!\w)")


def _found(passage: Passage) -> Iterator[Occurrence]:
    """Every number of the passage."""
    from stdnum import bitcoin, luhn

    text = passage.text
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        usual = _GROUPED_CARD.fullmatch(match.group()) is not None
        if re.search(r"://\S*$", text[max(0, match.start() - 200) : match.start()]):
            continue
        if not _ISSUERS.fullmatch(digits) or not luhn.is_valid(digits) or digits in _TEST_CARDS or _is_sample(digits):
            continue
        if usual or _near(text, match.start(), match.end(), _CARD_WORDS):
            yield Occurrence(match.start(), match.end(), "a payment card's number", Severity.WARNING)
        elif len(digits) == 16 and match.group() == digits and digits[0] in "456":
            yield Occurrence(
                match.start(), match.end(), "what may be a payment card's number", Severity.INFO, "nothing near it says so"
            )
    for kind, pattern, words in _COMPILED:
        for match in pattern.finditer(text):
            start, value = match.start(), match.group()
            if kind.module == "iban":
                value = _longest_iban(value)
            bare = re.sub(r"[ .\-/‑–]", "", value)
            if not value or bare in _EXAMPLE_NUMBERS or value in _EXAMPLE_NUMBERS or bare[4:] in _EXAMPLE_IBANS:
                continue
            given = value.replace(" ", "-") if kind.module == "us.ssn" else value
            if _is_sample(re.sub(r"\D", "", bare)) or (kind.module and not _module(kind.module).is_valid(given)):
                continue
            if not kind.words or _near(text, start, start + len(value), words):
                yield Occurrence(start, start + len(value), kind.what, Severity.WARNING)
    for match in _BITCOIN.finditer(text):
        if match.group() not in _EXAMPLE_NUMBERS and bitcoin.is_valid(match.group()):
            yield Occurrence(match.start(), match.end(), "a Bitcoin address", Severity.INFO, "it names nobody by itself")


def _longest_iban(value: str) -> str:
    """An IBAN with the word that follows it cut off; empty where there is none."""
    from stdnum import iban

    ends = [len(value), *(match.start() for match in reversed(list(re.finditer(r"[ \-]", value))))]
    return next((value[:end] for end in ends if end >= 15 and iban.is_valid(value[:end], check_country=False)), "")


def _is_sample(digits: str) -> bool:
    return len(digits) >= 8 and is_invented_number(digits)


def _near(text: str, start: int, end: int, words: re.Pattern[str]) -> bool:
    return bool(words.search(text[max(0, start - _BEFORE) : start]) or words.search(text[end : end + _AFTER]))


@cache
def _module(name: str) -> ModuleType:
    return import_module(f"stdnum.{name}")


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per number and turn."""
    for passage in passages(materials.corpus, _MAY_HOLD):
        found = (passage.judged(one) for one in _found(passage))
        yield from findings_of(CHECK, passage, found, "numbers of valid form and checksum")


CHECK = Check(
    code="PII002",
    name="identity or account number",
    severity=Severity.WARNING,
    advice="Replace it by a number for tests, or drop the row.",
    explanation=__doc__,
    find=find,
)
"""Numbers with a checksum that belong to a person."""
