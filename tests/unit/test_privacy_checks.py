"""PII001 to PII003: what is found, exactly where, and the near misses that are not.

Every key, number and address is invented; those with the form of a secret are put together when the tests run.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from audit.findings import Evidence, Finding, Severity
from tests.conftest import FindIn, alpaca, chat


def marked(text: str) -> tuple[str, str, tuple[int, int]]:
    """A text with what is to be found between ⟦ and ⟧: the plain text, the quote, the span."""
    start, end = text.index("⟦"), text.index("⟧") - 1
    plain = text.replace("⟦", "").replace("⟧", "")
    return plain, plain[start:end], (start, end)


def random_like(n_characters: int, alphabet: str = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789") -> str:
    """Characters without a pattern, always the same."""
    state, out = 12345, ""
    for _ in range(n_characters):
        state = (1103515245 * state + 12345) % (1 << 31)
        out += alphabet[(state >> 16) % len(alphabet)]
    return out


HEX = "0123456789abcdef"


# --- PII001 ---------------------------------------------------------------------------------------------------------


def test_an_address_is_a_finding_with_its_place(find_in: FindIn) -> None:
    rows = [alpaca("Who runs the mill?", "Ask Mara, mara.velten@tidemill.org, on Mondays.")]
    assert find_in("PII001", rows) == [
        Finding(
            "PII001",
            0,
            1,
            Severity.WARNING,
            "An e-mail address in the assistant's turn.",
            Evidence("e-mail addresses", 1, 1, span=(10, 34), quote="mara.velten@tidemill.org"),
        )
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Ask ⟦theodora@tidemill.org⟧.",
        "Ask ⟦myra.h@tidemill.org⟧.",
        "Ask ⟦bob@tidemill.org⟧.",
        "Write to ⟦pellworm.anke@fischhaus.de⟧ by noon.",
        "From: ⟦ines_carrow+boats@mail.harborline.co.uk⟧",
        "<a href='mailto:x'>⟦k.osei@kelpfarm.io⟧</a>",
        "Grüße an ⟦jörg.bär@bärenhof.ch⟧!",
        "Her address (⟦tove99@skagennet.dk⟧).",
        "Mail ⟦mara [at] tidemill [dot] org⟧ please.",
        "Mail ⟦mara(at)tidemill.org⟧ please.",
        "It is ⟦mara at tidemill dot org⟧, she said.",
        "✉️ e\u0301 ⟦ruth@lantern.press⟧ 👋",
        '{"to": "⟦r.quill@inkwell.studio⟧"}',
        "Call me at ⟦(207) 348-6192⟧ tonight.",
        "Ring ⟦+44 113 496 8821⟧ or write.",
        "Tel.: ⟦(503) 226-8147⟧, Portland",
        "WhatsApp ⟦+49 171 8837264⟧.",
        "Her mobile is ⟦07911 843265⟧.",
        "Fax ⟦212.736.8841⟧",
        "phone: ⟦6178642093⟧",
        "⟦1-617-864-2093⟧ is her line",
        "请记下来,我的电话是⟦13876540928⟧,晚上打给我。",
        "Contact: ⟦+91 98450 27316⟧",
    ],
)
def test_contact_data_in_many_forms(find_in: FindIn, text: str) -> None:
    plain, quote, span = marked(text)
    findings = find_in("PII001", [chat(("user", plain), ("assistant", "Noted."))])
    assert [(f.turn, f.evidence.span, f.evidence.quote, f.severity) for f in findings] == [(0, span, quote, Severity.WARNING)]


@pytest.mark.parametrize(
    "text",
    [
        "jo@example.com",
        "info@sub.example.org",
        "john.doe@gmail.com",
        "your_email@gmail.com",
        "user123@hotmail.com",
        "anna@yourcompany.com",
        "anna@domain.com",
        "git clone git@github.com:mill/wheel.git",
        "icon@2x.png and lodash@4.17.21",
        "postgres://wheel:Grist@db.mill.net/flour",
        "meet me at noon dot",
        "@handle@mastodon.social",
        "123-456-7890",
        "(555) 226-8147",
        "Call 207-555-0143.",
        "Call +44 20 7946 0958.",
        "phone: 9999999999",
        "Generation 4 (1987-1991), phone 1987-1991",
        "The total is 2073486192.",
        "On 2024-05-17 10:30 we called 12 people.",
        "doi 10.1038/2073486192",
        "ISBN 978-3-16-148410-0",
        "pi is 3.14159265358979",
        "12 18 24 30 36 42 48 54",
        "192.168.100.200",
        "Call 0123456789 for help",
    ],
)
def test_what_is_nobody_s_contact(find_in: FindIn, text: str) -> None:
    assert find_in("PII001", [alpaca("Tell me.", text)]) == []


@pytest.mark.parametrize(
    ("prompt", "response", "message"),
    [
        ("Who?", "press@tidemill.org", "An e-mail address in the assistant's turn (of a function, not a person)."),
        ("Who?", "harbourpictures@tidemill.org", "An e-mail address in the assistant's turn (of a function, not a person)."),
        ("Whom do I call?", "Call 1-888-628-9454.", "A telephone number in the assistant's turn (of a service, not a person)."),
        (
            "Write a contact page.",
            "mara.velten@tidemill.org",
            "An e-mail address in the assistant's turn (the row asks for something made up).",
        ),
    ],
)
def test_what_is_likely_no_person_is_information(find_in: FindIn, prompt: str, response: str, message: str) -> None:
    assert [(f.severity, f.message) for f in find_in("PII001", [alpaca(prompt, response)])] == [(Severity.INFO, message)]


def test_an_address_of_the_request_is_not_made_up_by_the_answer(find_in: FindIn) -> None:
    findings = find_in("PII001", [alpaca("Write to mara.velten@tidemill.org.", "To mara.velten@tidemill.org: hello.")])
    assert [(f.turn, f.severity) for f in findings] == [(0, Severity.WARNING), (1, Severity.WARNING)]


def test_a_value_is_one_finding_a_turn_and_says_how_often(find_in: FindIn) -> None:
    text = "mara@tidemill.org, again mara@tidemill.org, and ruth@tidemill.org"
    findings = find_in("PII001", [alpaca("Who?", text)])
    assert [(f.message, f.evidence.value, f.evidence.span) for f in findings] == [
        ("An e-mail address in the assistant's turn, 2 times.", 2, (0, 17)),
        ("An e-mail address in the assistant's turn.", 1, (48, 65)),
    ]


def test_reasoning_and_tool_calls_are_looked_at_too(find_in: FindIn) -> None:
    row: dict[str, Any] = chat(("system", "You serve mara@tidemill.org."), ("user", "Go."), ("assistant", "Done."))
    row["messages"][2]["reasoning_content"] = "I should write to ruth@tidemill.org."
    row["messages"][2]["tool_calls"] = [{"function": {"name": "send", "arguments": '{"to": "tove@tidemill.org"}'}}]
    findings = find_in("PII001", [row])
    assert [(f.turn, f.message, f.evidence.span, f.evidence.quote) for f in findings] == [
        (0, "An e-mail address in the system prompt.", (10, 27), "mara@tidemill.org"),
        (2, "An e-mail address in the reasoning of the assistant's turn.", None, "ruth@tidemill.org"),
        (2, "An e-mail address in the tool calls of the assistant's turn.", None, "tove@tidemill.org"),
    ]


# --- PII002 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Charge ⟦4398 2597 9190 7482⟧ please.", "A payment card's number"),
        ("Charge ⟦5133-7887-6232-8606⟧ please.", "A payment card's number"),
        ("My credit card is ⟦4398259791907482⟧.", "A payment card's number"),
        ("Amex: ⟦3469 725102 73462⟧", "A payment card's number"),
        ("card ⟦6011468695896939⟧, cvv 831", "A payment card's number"),
        ("card=⟦4398-2597-9190-7482⟧", "A payment card's number"),
        ("ssn=⟦536-22-7184⟧", "A US social security number"),
        ("Wire it to ⟦DE44500105175407324931⟧ today.", "An IBAN"),
        ("IBAN ⟦NL39 RABO 0300 0652 64⟧ PLEASE PAY", "An IBAN"),
        ("My IBAN is ⟦CH86 7154 6622 8320 6079 3⟧.", "An IBAN"),
        ("His number is ⟦536-22-7184⟧.", "A US social security number"),
        ("SSN: ⟦536227184⟧", "A US social security number"),
        ("DNI ⟦16204661B⟧", "A Spanish identity number"),
        ("NIE ⟦X7499525F⟧", "A Spanish identity number"),
        ("CPF ⟦755.438.002-82⟧", "A Brazilian CPF number"),
        ("Aadhaar ⟦4376 4500 6029⟧", "An Indian Aadhaar number"),
        ("Mijn BSN is ⟦394242543⟧.", "A Dutch BSN"),
        ("PESEL ⟦87011668504⟧", "A Polish PESEL"),
        ("NHS number ⟦751 057 6156⟧", "A British NHS number"),
        ("SIN ⟦347 724 783⟧", "A Canadian social insurance number"),
        ("AHV ⟦756.6585.9344.66⟧", "A Swiss social security number"),
        ("身份证 ⟦110105198507128580⟧", "A Chinese identity number"),
        ("Steuer-ID ⟦93515746501⟧", "A German tax number"),
    ],
)
def test_numbers_with_a_checksum(find_in: FindIn, text: str, what: str) -> None:
    plain, quote, span = marked(text)
    findings = find_in("PII002", [chat(("user", plain), ("assistant", "Noted."))])
    assert [(f.message, f.evidence.span, f.evidence.quote, f.severity) for f in findings] == [
        (f"{what} in the user's turn.", span, quote, Severity.WARNING)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1111",
        "card 4242424242424242",
        "card 5555 5555 5555 4444",
        "card 4398 2597 9190 7483",
        "card 9398 2597 9190 7482",
        "IBAN GB82 WEST 1234 5698 7654 32",
        "IBAN DE89 3704 0044 0532 0130 00",
        "IBAN DE45500105175407324931",
        "SSN 123-45-6789",
        "SSN 078-05-1120",
        "SSN 000-22-7184",
        "536227184 seeds",
        "394242543 is a large number.",
        "Order 751 057 6156",
        "Build 16204661C",
        "CPF 755.438.002-83",
        "0.4398259791907482",
        "https://mill.net/item/4398259791907482",
        "https://mill.net/?id=4398259791907482&card=1",
        "12345678901234567890",
        "EAN 4006381333931",
        "Phone 030-123456",
        "3.141592653589793",
    ],
)
def test_numbers_that_are_no_identifiers(find_in: FindIn, text: str) -> None:
    assert find_in("PII002", [alpaca("Tell me.", text)]) == []


def test_a_bare_card_number_without_a_word_is_information(find_in: FindIn) -> None:
    (finding,) = find_in("PII002", [alpaca("What is it?", "The value is 4398259791907482.")])
    assert finding.severity is Severity.INFO
    assert finding.message == "What may be a payment card's number in the assistant's turn (nothing near it says so)."


def test_a_bitcoin_address_is_information_and_a_known_one_nothing(find_in: FindIn) -> None:
    address = "1" + "BoatSLRHtKNngkdXEeobR76b53LETtpyT"
    assert find_in("PII002", [alpaca("Where?", f"Send it to {address}.")]) == []
    other = "1" + "Fh7ajXabJBpZPZw8bjD3QU4CuQ3pRty9u"
    (finding,) = find_in("PII002", [alpaca("Where?", f"Send it to {other}.")])
    assert (finding.severity, finding.evidence.quote) == (Severity.INFO, other)


# --- PII003 ---------------------------------------------------------------------------------------------------------


def jwt(claims: dict[str, Any]) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, random_like(43)])


SECRETS = [
    ("aws_key = ⟦" + "AKIA" + random_like(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") + "⟧", "An AWS key"),
    ("GH: ⟦" + "ghp_" + random_like(36) + "⟧.", "A GitHub token"),
    ("⟦" + "github_pat_" + random_like(22) + "_" + random_like(59) + "⟧", "A GitHub token"),
    ("⟦" + "glpat-" + random_like(20) + "⟧", "A GitLab token"),
    ("⟦" + "AIza" + random_like(35) + "⟧", "A Google API key"),
    ("⟦" + "sk-proj-" + random_like(48) + "⟧", "An OpenAI key"),
    ("⟦" + "hf_" + random_like(34) + "⟧", "A Hugging Face token"),
    ("⟦" + "hf_" + random_like(34, "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ") + "⟧", "A Hugging Face token"),
    ("passwd: ⟦" + "kT%*NrWtmAqx" + "⟧", "A password"),
    ("password = '⟦" + "GWXuuEiSGUq" + "⟧'", "A password"),
    ("⟦" + "xoxb-" + "7294018362-" * 2 + random_like(24) + "⟧", "A Slack token"),
    ("⟦" + "sk_live_" + random_like(24) + "⟧", "A Stripe key"),
    ("⟦" + "SG." + random_like(22) + "." + random_like(43) + "⟧", "A SendGrid key"),
    ("Authorization: Bearer ⟦" + random_like(40) + "⟧", "A bearer token"),
    ("token ⟦" + jwt({"sub": "u-7731", "role": "miller"}) + "⟧ expires", "A JSON web token"),
    ("url = 'postgres://ledger:⟦vR8-kq2Lw⟧@db.harborline.net/flour'", "A password in an address"),
    ('password = "⟦' + "Tq7#mLw2!z" + '⟧"', "A password"),
    ("DB_PASSWORD=⟦" + "gN4t-xW92q" + "⟧\n", "A password"),
    ("api_key: '⟦" + random_like(32, HEX) + "⟧'", "A secret"),
    ('{"client_secret": "⟦' + random_like(28) + '⟧"}', "A secret"),
    ("My password is ⟦" + "Wq82$kLpz" + "⟧, keep it.", "A password"),
    ("The API key for the mill is ⟦" + random_like(30) + "⟧.", "A secret"),
    ("Authorization: Basic ⟦" + base64.b64encode(b"ledger:vR8-kq2Lw").decode() + "⟧", "Credentials of basic authentication"),
]


@pytest.mark.parametrize(("text", "what"), SECRETS, ids=[what for _, what in SECRETS])
def test_secrets_of_many_forms(find_in: FindIn, text: str, what: str) -> None:
    plain, quote, span = marked(text)
    findings = find_in("PII003", [chat(("user", plain), ("assistant", "Noted."))])
    assert [(f.message, f.evidence.span, f.evidence.quote, f.severity) for f in findings] == [
        (f"{what} in the user's turn.", span, quote, Severity.WARNING)
    ]


def test_a_private_key_is_found_as_a_block(find_in: FindIn) -> None:
    body = "\n".join(random_like(64) for _ in range(3)) + "\n" + random_like(40)[::-1]
    key = f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{body}\n-----END RSA {'PRIVATE'} KEY-----"
    (finding,) = find_in("PII003", [alpaca("Show it.", f"Here:\n{key}\nKeep it.")])
    assert finding.message == "A private key in the assistant's turn."
    assert finding.evidence.span == (6, 6 + len(key))


@pytest.mark.parametrize(
    "text",
    [
        'api_key = "YOUR_API_KEY"',
        "api_key: <your-token-here>",
        'password = "changeme"',
        'enc_password = "' + "x8fK2" + 'ldkf92kdX0sd"',
        'user_encrypted_password = "' + "x8fK2" + 'ldkf92kdX0sd"',
        'password = "password123"',
        'password = "xxxxxxxxxxxx"',
        "password = generate_password(8)",
        'password = os.environ["DB_PASSWORD"]',
        "password: ${DB_PASSWORD}",
        "let password = document.getElementById('password').value;",
        'password = input("Enter password: ")',
        "Password: <input type='password' name='password' />",
        "postgres://user:password@localhost/db",
        "postgres://postgres:postgres@db.mill.net/flour",
        "token = tokens[index]",
        "The secret is to knead it twice.",
        'secret = "HttpServerFactory"',
        "token: string | undefined | null;",
        "Keep the password safe: never share it.",
        "secret: string; token: AccessToken",
        "aws_access_key_id = " + "AKIA" + "IOSFODNN7EXAMPLE",
        "sk-" + "x" * 40,
        "hf_" + "abcdefghijklmnopqrstuvwxyzabcdefgh",
        "-----BEGIN " + "PRIVATE KEY-----\n...\n-----END " + "PRIVATE KEY-----",
        "if line.startswith('-----BEGIN " + "PRIVATE KEY-----'):",
        "sha256: " + random_like(64, HEX),
        "commit " + random_like(40, HEX),
        "The author: Jane Whitmore2",
        jwt({"sub": "1234567890", "name": "John Doe"}),
        "Authorization: Bearer <token>",
    ],
)
def test_placeholders_are_no_secrets(find_in: FindIn, text: str) -> None:
    assert find_in("PII003", [alpaca("Tell me.", text)]) == []


def test_a_password_that_was_asked_for_is_information(find_in: FindIn) -> None:
    (finding,) = find_in("PII003", [alpaca("Generate a strong password.", "Your password is Wq82$kLpz.")])
    assert (finding.severity, finding.evidence.quote) == (Severity.INFO, "Wq82$kLpz")


@pytest.mark.parametrize("code", ["PII001", "PII002", "PII003"])
def test_no_message_holds_the_value_itself(find_in: FindIn, code: str) -> None:
    texts = ["mara@tidemill.org", "card 4398 2597 9190 7482", "password = 'Tq7#mLw2!z'"]
    for finding in find_in(code, [alpaca("Tell me.", "\n".join(texts))]):
        assert finding.evidence.quote
        assert finding.evidence.quote not in finding.message
