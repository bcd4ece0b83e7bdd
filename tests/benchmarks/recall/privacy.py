"""Contact data, numbers of people and accounts, and secrets, all drawn by lot: PII001 to PII003.

Nothing here is stored: numbers and keys are made when the benchmark runs, with check digits that hold.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from random import Random

import phonenumbers
from stdnum import luhn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.gb import nhs
from stdnum.iban import calc_check_digits
from stdnum.nl import bsn
from stdnum.pl import pesel

from tests.benchmarks.recall.injection import Injected, Injector, Row, placed, prompt_of, response_of, single

__all__ = ["CONTACTS", "IDENTIFIERS", "SECRETS"]

Maker = Callable[[Random], str]


def _holds(name: str, *forms: str, make: Maker) -> Injector:
    """What `make` draws, in a sentence of the answer or, one time in four, of the prompt."""

    def inject(rng: Random, row: Row) -> Injected:
        piece = rng.choice(forms).format(make(rng))
        if rng.random() < 0.25:
            return single(f"{prompt_of(row)}\n\n{piece}", response_of(row))
        if "\n" in piece:
            return single(prompt_of(row), f"{response_of(row).rstrip()}\n\n{piece}")
        return single(prompt_of(row), placed(rng, response_of(row), piece))

    inject.__name__ = name
    return inject


def _digits(rng: Random, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def _letters(rng: Random, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


# PII001: how to reach a person.

_FIRST = ("marlene", "tobias", "aiko", "rosa", "gwendal", "ilse", "piotr", "samira")
_LAST = ("quist", "holloway", "brandvold", "pereira", "lindqvist", "okafor", "castellan", "vries")
_HOSTS = (
    "brombeerhof.de",
    "tidewaterclinic.org",
    "lamplight-books.co.uk",
    "nordhavn.dk",
    "gmail.com",
    "outlook.com",
    "kastanie.at",
)


def _address(rng: Random) -> str:
    first, last, host = rng.choice(_FIRST), rng.choice(_LAST), rng.choice(_HOSTS)
    local = rng.choice([f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{_digits(rng, 2)}", f"{last}"])
    return f"{local}@{host}"


def _tagged_address(rng: Random) -> str:
    local, host = _address(rng).split("@")
    return f"{local}+{rng.choice(['news', 'shop', 'club'])}@mail.{host}"


def _phone(region: str, *formats: int) -> Maker:
    """A number that could be given out in a region, as people write it."""

    def make(rng: Random) -> str:
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        length = len(str(example.national_number))
        while True:
            kept = str(example.national_number)[: rng.choice([2, 3])]
            text = kept + _digits(rng, length - len(kept))
            number = phonenumbers.PhoneNumber(country_code=example.country_code, national_number=int(text))
            if phonenumbers.is_valid_number_for_region(number, region):
                return str(phonenumbers.format_number(number, rng.choice(formats)))

    return make


def _american(rng: Random) -> str:
    text = _phone("US", phonenumbers.PhoneNumberFormat.E164)(rng)[2:]
    area, office, line = text[:3], text[3:6], text[6:]
    return rng.choice(
        [f"({area}) {office}-{line}", f"{area}-{office}-{line}", f"{area}.{office}.{line}", f"1-{area}-{office}-{line}"]
    )


_INTERNATIONAL = phonenumbers.PhoneNumberFormat.INTERNATIONAL
_E164 = phonenumbers.PhoneNumberFormat.E164
_MAIL_FORMS = (
    "You can reach me at {}.",
    "Contact: {}",
    "Please send your application to {} by Friday.",
    "My email is {}, write any time.",
    "From: {}\nSubject: the boat trip",
)
_CALL_FORMS = (
    "Call me on {}.",
    "Phone: {}",
    "My number is {}, after six.",
    "For questions, ring {}.",
    "Tel. {}",
    "WhatsApp {}",
)

CONTACTS: tuple[Injector, ...] = (
    _holds("mail", *_MAIL_FORMS, make=_address),
    _holds("tagged_mail", *_MAIL_FORMS, make=_tagged_address),
    _holds("mail_in_code", 'author = "{}"', 'git config user.email "{}"', '<a href="mailto:{}">Write</a>', make=_address),
    _holds("american_phone", *_CALL_FORMS, make=_american),
    _holds("british_phone", *_CALL_FORMS, make=_phone("GB", _INTERNATIONAL, _E164)),
    _holds("german_phone", *_CALL_FORMS, make=_phone("DE", _INTERNATIONAL, _E164)),
    _holds("french_phone", *_CALL_FORMS, make=_phone("FR", _INTERNATIONAL, _E164)),
    _holds("indian_phone", *_CALL_FORMS, make=_phone("IN", _INTERNATIONAL, _E164)),
    _holds("brazilian_phone", *_CALL_FORMS, make=_phone("BR", _INTERNATIONAL, _E164)),
)


# PII002: numbers with a check digit.


def _grouped(text: str, *sizes: int, mark: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size
    return mark.join(parts)


def _card(rng: Random) -> str:
    kind = rng.choice(["visa", "mastercard", "amex"])
    head, length = {"visa": ("4", 16), "mastercard": (str(rng.randint(51, 55)), 16), "amex": (rng.choice(["34", "37"]), 15)}[
        kind
    ]
    body = head + _digits(rng, length - len(head) - 1)
    number = body + luhn.calc_check_digit(body)
    sizes = (4, 6, 5) if kind == "amex" else (4, 4, 4, 4)
    return rng.choice([number, _grouped(number, *sizes, mark=" "), _grouped(number, *sizes, mark="-")])


_BANK_CODES: dict[str, Maker] = {
    "DE": lambda rng: _digits(rng, 18),
    "AT": lambda rng: _digits(rng, 16),
    "NL": lambda rng: rng.choice(["INGB", "ABNA", "RABO"]) + _digits(rng, 10),
    "GB": lambda rng: rng.choice(["BARC", "NWBK", "LOYD"]) + _digits(rng, 14),
    "PL": lambda rng: _digits(rng, 24),
    "CH": lambda rng: _digits(rng, 17),
    "DK": lambda rng: _digits(rng, 14),
}


def _iban(rng: Random) -> str:
    country = rng.choice(list(_BANK_CODES))
    body = _BANK_CODES[country](rng)
    number = country + calc_check_digits(f"{country}00{body}") + body
    if rng.random() < 0.5:
        return number
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def _social_security(rng: Random) -> str:
    area = rng.choice([number for number in range(101, 899) if number != 666])
    return f"{area}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"


def _until(valid: Callable[[str], bool], draw: Maker) -> Maker:
    """Drawn again until the library's checksum holds."""

    def make(rng: Random) -> str:
        while not valid(text := draw(rng)):
            pass
        return text

    return make


def _polish(rng: Random) -> str:
    body = f"{rng.randint(55, 99)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}{_digits(rng, 4)}"
    return body + pesel.calc_check_digit(body)


def _spanish(rng: Random) -> str:
    if rng.random() < 0.6:
        body = _digits(rng, 8)
        return body + dni.calc_check_digit(body)
    body = rng.choice("XYZ") + _digits(rng, 7)
    return body + nie.calc_check_digit(body)


def _brazilian(rng: Random) -> str:
    number = _until(cpf.is_valid, lambda rng: _with_cpf_digits(_digits(rng, 9)))(rng)
    return rng.choice([number, cpf.format(number)])


def _with_cpf_digits(body: str) -> str:
    for length in (9, 10):
        total = sum((length + 1 - at) * int(digit) for at, digit in enumerate(body))
        body += str(-total % 11 % 10)
    return body


def _health(rng: Random) -> str:
    number = _until(nhs.is_valid, lambda rng: "4" + _digits(rng, 9))(rng)
    return _grouped(number, 3, 3, 4, mark=" ")


IDENTIFIERS: tuple[Injector, ...] = (
    _holds(
        "payment_card",
        "Pay with my card {}.",
        "Card number: {}, valid until 09/27",
        "Please charge {} for the tickets.",
        "card={}",
        make=_card,
    ),
    _holds("iban", "My IBAN is {}.", "Please transfer the rent to {}.", "IBAN: {}", "Bankverbindung: {}", make=_iban),
    _holds("social_security", "My SSN is {}.", "Social Security Number: {}", "SSN {}", make=_social_security),
    _holds(
        "german_tax",
        "Meine Steuer-ID lautet {}.",
        "Steueridentifikationsnummer: {}",
        "My German tax ID is {}.",
        make=_until(idnr.is_valid, lambda rng: rng.choice("123456789") + _digits(rng, 10)),
    ),
    _holds("spanish_identity", "Mi DNI es {}.", "DNI/NIE: {}", "Her Spanish identity number is {}.", make=_spanish),
    _holds(
        "dutch_service",
        "Mijn BSN is {}.",
        "BSN: {}",
        "Burgerservicenummer {}",
        make=_until(bsn.is_valid, lambda rng: rng.choice("123456789") + _digits(rng, 8)),
    ),
    _holds("polish_person", "PESEL: {}", "Mój numer PESEL to {}.", "The patient's PESEL is {}.", make=_polish),
    _holds("brazilian_person", "CPF: {}", "Meu CPF é {}.", "The buyer's CPF number is {}.", make=_brazilian),
    _holds("british_health", "NHS number: {}", "My NHS number is {}.", "NHS No. {}", make=_health),
)


# PII003: what opens a door.


def _aws(rng: Random) -> str:
    return "AKIA" + _letters(rng, 16, string.ascii_uppercase + "234567")


def _web_token(rng: Random) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")

    return ".".join(
        [
            part({"alg": "HS256", "typ": "JWT"}),
            part({"sub": _digits(rng, 8), "name": rng.choice(_LAST)}),
            _letters(rng, 43, string.ascii_letters + string.digits + "-_"),
        ]
    )


def _private_key(rng: Random) -> str:
    kind = rng.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"])
    body = "\n".join(_letters(rng, 64, string.ascii_letters + string.digits + "+/") for _ in range(rng.randint(3, 8)))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


def _password(rng: Random) -> str:
    return _letters(rng, rng.randint(10, 16), string.ascii_letters + string.digits + "!%*_") + rng.choice("7!9x")


def _database(rng: Random) -> str:
    scheme = rng.choice(["postgres", "postgresql", "mysql", "mongodb+srv", "redis", "amqp"])
    return f"{scheme}://{rng.choice(_LAST)}:{_letters(rng, 14)}@db{rng.randint(1, 9)}.{rng.choice(_HOSTS[:4])}/orders"


SECRETS: tuple[Injector, ...] = (
    _holds("aws_key", "aws_access_key_id = {}", "Use the key {} for now.", 'AWS_ACCESS_KEY_ID="{}"', make=_aws),
    _holds(
        "aws_secret",
        "aws_secret_access_key = {}",
        'AWS_SECRET_ACCESS_KEY="{}"',
        make=lambda rng: _letters(rng, 40, string.ascii_letters + string.digits + "/+"),
    ),
    _holds(
        "github",
        "git clone https://{}@github.com/lanternworks/tide-clock.git",
        "GITHUB_TOKEN={}",
        "My token is {}.",
        make=lambda rng: rng.choice(["ghp_", "gho_", "ghs_"]) + _letters(rng, 36),
    ),
    _holds(
        "slack",
        "SLACK_TOKEN={}",
        'client = WebClient(token="{}")',
        make=lambda rng: f"xoxb-{_digits(rng, 12)}-{_digits(rng, 12)}-{_letters(rng, 24)}",
    ),
    _holds("stripe", 'stripe.api_key = "{}"', "STRIPE_SECRET={}", make=lambda rng: "sk_live_" + _letters(rng, 24)),
    _holds(
        "openai",
        'client = OpenAI(api_key="{}")',
        "export OPENAI_API_KEY={}",
        make=lambda rng: f"sk-{_letters(rng, 20)}T3BlbkFJ{_letters(rng, 20)}",
    ),
    _holds("google", "key={}", 'const API_KEY = "{}";', make=lambda rng: "AIza" + _letters(rng, 35)),
    _holds("web_token", "Authorization: Bearer {}", 'token = "{}"', make=_web_token),
    _holds("private_key", "{}", "Here is the key:\n\n{}", make=_private_key),
    _holds("database", "DATABASE_URL={}", 'engine = create_engine("{}")', "connect to {}", make=_database),
    _holds("password", 'password = "{}"', "DB_PASSWORD={}", "password: {}", "My password is {}", make=_password),
    _holds(
        "high_entropy",
        'api_key = "{}"',
        'SECRET_KEY = "{}"',
        'auth_token: "{}"',
        make=lambda rng: rng.choice([_letters(rng, 32, "0123456789abcdef"), _letters(rng, 40)]),
    ),
    _holds(
        "hugging_face", "HF_TOKEN={}", 'login(token="{}")', make=lambda rng: "hf_" + _letters(rng, 34, string.ascii_letters)
    ),
)
