"""PII003: a secret stands in a row: a key, a token, a password.

What: tokens that their issuers make recognisable (the patterns of the `detect-secrets` library, and newer ones: AWS,
Google, GitHub, GitLab, Slack, Stripe, OpenAI, Anthropic, Hugging Face and more), private key blocks, JSON web tokens,
addresses with a password in them, headers with a bearer token or basic credentials, and values that are given to a name
such as `password`, `api_key` or `token`, or announced by "the password is". Such a value counts only where it looks
random enough to be one: eight characters of three kinds, or sixteen with letters and digits. Placeholders are none:
YOUR_API_KEY, xxxx, <token>, changeme, ${SECRET}, os.environ["KEY"], vendors' documented keys, values of words alone. INFO,
and not WARNING, where the row asks for something made up, such as a strong password. Whether a key still works is not
tried: nothing is sent anywhere. Every turn is looked at, its reasoning and tool calls too.

Why it matters: a tuned model can give away what it has seen once. A key that stood in a dataset is no secret any more.

Example: `DATABASE_URL = "postgres://ledger:vR8-kq2Lw@db.harborline.net/ledger"`

Fix: have the key revoked, replace it by a placeholder, or drop the row: `tunescope export --drop PII003`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from audit.checks.base import Check, NoOptions
from audit.checks.occurrences import Occurrence, Passage, findings_of, passages
from audit.findings import Finding, Severity
from audit.materials import Materials

__all__ = ["CHECK"]

_NAMES = (
    r"passw(?:or)?d|passwort|pwd|passphrase|passcode|contrase[ñn]a|mot de passe|secret|api[_\- ]?key|access[_\- ]?key|token"
    r"|private[_\- ]?key|auth[_\- ]?key|account[_\- ]?key|credential|encryption[_\- ]?key|signing[_\- ]?key"
)
_TOKENS = (
    ("a GitHub token", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{50,}"),
    ("a Google API key", r"AIza[A-Za-z0-9_\-]{35}"),
    ("a Google client secret", r"GOCSPX-[A-Za-z0-9_\-]{28}"),
    ("an OpenAI key", r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_\-]{20,}"),
    ("a Hugging Face token", r"hf_[A-Za-z0-9]{30,40}"),
    ("an npm token", r"npm_[A-Za-z0-9]{36}"),
    ("a Slack token", r"x(?:ox[abeoprs]|app)-[A-Za-z0-9\-]{20,}"),
    ("a DigitalOcean token", r"do[opr]_v1_[a-f0-9]{64}"),
    ("a Shopify token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("a Databricks token", r"dapi[a-f0-9]{32}"),
    ("a Docker token", r"dckr_pat_[A-Za-z0-9_\-]{27}"),
    ("a Linear key", r"lin_api_[A-Za-z0-9]{40}"),
    ("a Notion token", r"(?:secret|ntn)_[A-Za-z0-9]{40,}"),
    ("an Atlassian token", r"ATATT3[A-Za-z0-9_\-=]{60,}"),
    ("a Groq key", r"gsk_[A-Za-z0-9]{40,}"),
    ("a Replicate token", r"r8_[A-Za-z0-9]{37}"),
    ("a Stripe key", r"(?:[sr]k_live|whsec)_[A-Za-z0-9]{24,}"),
    ("a Discord webhook", r"https://discord(?:app)?\.com/api/webhooks/\d{17,20}/[A-Za-z0-9_\-]{60,}"),
    ("a Sentry token", r"sntry[su]_[A-Za-z0-9_\-=]{40,}"),
    ("a Fly token", r"FlyV1 fm\d_[A-Za-z0-9_\-+/=]{60,}"),
    ("an age key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("a HashiCorp Vault token", r"hv[sb]\.[A-Za-z0-9_\-]{24,}"),
)
# Plug-ins of detect-secrets whose patterns are sharp enough for prose; its keyword and entropy plug-ins are made for
# files of code, and take sentences for secrets. Only the patterns are used: the library's scanner reads global settings
# and starts processes, and its `verify` sends the key to the vendor.
_PLUGINS = (
    ("an AWS key", "aws.AWSKeyDetector"),
    ("an Azure storage key", "azure_storage_key.AzureStorageKeyDetector"),
    ("a Discord token", "discord.DiscordBotTokenDetector"),
    ("a GitHub token", "github_token.GitHubTokenDetector"),
    ("a GitLab token", "gitlab_token.GitLabTokenDetector"),
    ("a Mailchimp key", "mailchimp.MailchimpDetector"),
    ("an npm token", "npm.NpmDetector"),
    ("an OpenAI key", "openai.OpenAIDetector"),
    ("a PyPI token", "pypi_token.PypiTokenDetector"),
    ("a SendGrid key", "sendgrid.SendGridDetector"),
    ("a Slack token", "slack.SlackDetector"),
    ("a Square key", "square_oauth.SquareOAuthDetector"),
    ("a Stripe key", "stripe.StripeDetector"),
    ("a Telegram token", "telegram_token.TelegramBotTokenDetector"),
    ("a Twilio key", "twilio.TwilioKeyDetector"),
)
# Without Unicode's \b and without long bounded runs, both of which cost Rust's engine a hundred times the rest.
_MAY_HOLD = (
    rf"(?i:{_NAMES})(?:\w*[^\w\n]{{0,8}}[:=]|s? (?:is|was|to|are|lautet|es|est|for|of)[ :]| [\"'`]?[0-9A-Za-z_\-]{{24}})"
    r"|PRIVATE KEY|(?i:bearer|basic) [A-Za-z0-9+/]{12}|://[^\s/@:]*:[^\s@]+@|hooks\.slack|/api/webhooks/|eyJ[\w\-]{8}"
    r"|(?:AKIA|ASIA|ABIA|ACCA|A3T)[0-9A-Z]{10}"
    r"|(?:gh[porsu]_|github_pat_|gl[a-z]{2,6}-|AIza|GOCSPX-|sk-|hf_|npm_|xox[a-z]-|xapp-|do[opr]_v1_|shp[a-z]{2}_|dapi"
    r"|dckr_pat_"
    r"|lin_api_|secret_|ntn_|ATATT|gsk_|r8_|[sr]k_live|whsec_|sntry|FlyV1 |AGE-SECRET-KEY-|hv[sb]\.|SG\.|sq0csp-|pypi-"
    r"|GR1348941)"
    r"[0-9A-Za-z_\-]{10}"
    r"|(?:AC|SK)[a-z0-9]{32}|[0-9a-z]{16}-us[0-9]|[0-9]{8}:[0-9A-Za-z_\-]{35}|[MNO][0-9A-Za-z_\-]{23,25}\.[0-9A-Za-z_\-]{6}\."
    r"|AccountKey="
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?P<body>(?:\s|\\n|\\r"
    r"|[A-Za-z0-9+/=:,.\-](?!----))*)(?:-{5}END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?"
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{16,}")
_URL = re.compile(
    r"\b[A-Za-z][A-Za-z0-9+.\-]*://(?P<user>[^\s/:@'\"`<>]*):(?P<value>[^\s/@'\"`<>]+)@(?P<host>[^\s/:'\"`?#<>]+)"
)
_HEADER = re.compile(r"\b(?P<kind>bearer|basic) +(?P<value>[A-Za-z0-9._~+/=\-]{12,})", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?<![A-Za-z])(?P<name>[\w.\-]*(?:{_NAMES})[\w\-]*)(?:\s?\[\d*\])?\\?[\"'`*]{{0,3}}\)?\s{{0,3}}(?:=>|:=|={{1,3}}|:"
    rf"|=)[*\s]{{0,4}}(?:[@frbu](?=[\"'`]))?(?P<quote>\\?[\"'`]?)"
    r"(?P<value>[^\s\"'`<>\\]{6,300})",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    rf"\b(?:{_NAMES})s?\b(?: (?:for|of|to) [^.\n:]{{1,40}}?)? (?:is|was|to|are|lautet|es|est)(?: now| still"
    rf"| set to)?:? (?P<quote>[\"'`“]?)(?P<value>[^\s\"'`<>“”]{{6,300}})",
    re.IGNORECASE,
)
_ENCRYPTED = re.compile(r"(?<![A-Za-z])(?:enc|encrypted|cipher)(?![a-z])|ciphertext", re.IGNORECASE)
_FOLLOWED = re.compile(rf"\b(?:{_NAMES}) [\"'`]?(?P<value>(?=\S*\d)[A-Za-z0-9_\-]{{24,}})(?![\w.])", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"your|example|sample|dummy|placeholder|redact|change.?me|replace|insert|enter|fill|here$|todo|xxx|\.\.\.|\*\*\*|•|…"
    r"|####|____"
    r"|^[<{\[$%#@&]|\$\{|\{\{|%\(|foo.?bar|lorem|test|demo|fake|mock|mypass|pass.?phrase|p[a4@][s5$]{2}|secret|qwert|letme"
    r"|welcome|admin|hunter2|correct.?horse"
    r"|abcdef|bcdefg|123456|234567|987654|abc123|deadbeef|cafebabe|^(?:none|null|true|false|undefined|string|str|int|bytes"
    r"|optional)$",
    re.IGNORECASE,
)
_HEX = re.compile(r"[0-9a-fA-F]+")
_LEET = str.maketrans("@4301!5$7", "aaeolisst")
# What the documentation of vendors shows, beyond those with EXAMPLE in them.
_DOCUMENTED = ("sk_test_", "pk_test_", "4eC39HqLyjWDarjtT1zdp7dc", "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c")
_CODE = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)+|[A-Za-z_][A-Za-z_\-]*|[A-Z][A-Z0-9_]*")


def _secrets(passage: Passage) -> Iterator[Occurrence]:
    for start, end, what in _found(passage.text):
        yield passage.judged(Occurrence(start, end, what, Severity.WARNING))


def _found(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and kind of every secret; of those that overlap the one that begins first counts, then the longer."""
    for match in _PRIVATE_KEY.finditer(text):
        body = re.sub(r"\\[nr]|\s", "", match["body"])
        if len(body) >= 40 and not _is_placeholder(body[:200]) and _bits_per_character(body) > 3.5:
            yield match.start(), match.start() + len(match.group().rstrip()), "a private key"
    for what, pattern in _token_patterns():
        for match in pattern.finditer(text):
            start, end = match.span(match.lastindex or 0) if what == "an AWS key" else match.span()
            if what == "an Azure storage key":
                start = text.index("=", start) + 1
            value = text[start:end]
            if not _is_placeholder(value) and _bits_per_character(value[4:]) >= (2.8 if _HEX.fullmatch(value[4:]) else 3.2):
                yield start, end, what
    for match in _JWT.finditer(text):
        if _is_signed_claim(match.group()):
            yield match.start(), match.end(), "a JSON web token"
    for match in _URL.finditer(text):
        user, value, host = match["user"], match["value"], match["host"].lower()
        local = host in ("localhost", "127.0.0.1", "host", "hostname", "0.0.0.0") or "example" in host or "domain" in host
        if (
            not local
            and value.lower() != user.lower()
            and len(value) >= 5
            and not _is_placeholder(value)
            and not _is_plain(value)
        ):
            yield *match.span("value"), "a password in an address"
    for match in _HEADER.finditer(text):
        value = match["value"]
        if match["kind"].lower() == "basic":
            if _is_credentials(value):
                yield *match.span("value"), "credentials of basic authentication"
        elif len(value) >= 20 and not _is_placeholder(value) and _is_random(value):
            yield *match.span("value"), "a bearer token"
    for match in _FOLLOWED.finditer(text):
        if not _is_placeholder(match["value"]) and _is_random(match["value"]):
            yield *match.span("value"), "a secret"
    for pattern in (_ASSIGNED, _ANNOUNCED):
        for match in pattern.finditer(text):
            start, value = match.start("value"), match["value"]
            quote = match["quote"]
            if not quote:
                if text[match.end() : match.end() + 1] in ('"', "'") or re.match(r"[\w.\[\]>\-]*[(\[]", value):
                    continue  # the beginning of an expression
                value = value.rstrip(".,;:)]}!?*" if not value.endswith("!") or pattern is _ANNOUNCED else ".,;:)]}*")
            elif re.search(r"[\s]", value):
                continue
            if _ENCRYPTED.search(match.group()[: start - match.start()]):
                continue
            if _looks_like_password(value, bool(quote)):
                yield (
                    start,
                    start + len(value),
                    "a password" if re.search(r"pass|pwd|contra|mot de", match.group(), re.I) else "a secret",
                )


@cache
def _token_patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    from importlib import import_module

    own = [(what, re.compile(rf"(?<![\w\-])(?:{pattern})(?!\w)")) for what, pattern in _TOKENS]
    theirs = []
    for what, name in _PLUGINS:
        module, plugin = name.split(".")
        patterns = getattr(import_module(f"detect_secrets.plugins.{module}"), plugin).denylist
        theirs += [(what, re.compile(rf"(?<![A-Za-z0-9])(?:{one.pattern})(?![A-Za-z0-9])", one.flags)) for one in patterns]
    return (*own, *theirs)


def _looks_like_password(value: str, quoted: bool) -> bool:
    if len(value) < 8 or _is_placeholder(value) or _is_placeholder(value.translate(_LEET)):
        return False
    if quoted and len(re.findall(r"[A-Z]{2,}", value)) >= 2 and re.fullmatch(r"[A-Za-z]+", value) and not value.isupper():
        return True  # letters alone, in no order that words or names in code have
    if _CODE.fullmatch(value) and not (quoted and len(value) >= 16 and _is_random(value)):
        return False
    if re.match(r"(?:https?|file|s3|ftp)://|/|\.{1,2}/", value) or re.fullmatch(r"[\d.,:/\-+%]+", value):
        return False
    kinds = sum(bool(re.search(kind, value)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^\w.\-/:=,]"))
    if len(value) >= 16 and re.search(r"\d", value) and re.search(r"[A-Za-z]", value):
        return _is_random(value)
    digits, signs = len(re.findall(r"\d", value)), len(re.findall(r"[^\w.\-/:=,]", value))
    return kinds >= 3 and _bits_per_character(value) >= 2.5 and (quoted or digits >= 2 or signs >= 2 or kinds == 4)


def _is_placeholder(value: str) -> bool:
    return bool(_PLACEHOLDER.search(value)) or any(known in value for known in _DOCUMENTED) or len(set(value)) <= 4


def _is_plain(value: str) -> bool:
    """A lower-case word, as placeholders of passwords are."""
    return bool(re.fullmatch(r"[a-z]{1,9}|[A-Z_]+|\d{1,5}", value))


def _is_random(value: str) -> bool:
    """Whether letters and digits are as mixed as in a token, and not in words or a pattern."""
    has_both = bool(re.search(r"\d", value)) and bool(re.search(r"[A-Za-z]", value))
    return has_both and _bits_per_character(value) >= (2.8 if _HEX.fullmatch(value) else 3.2)


def _bits_per_character(text: str) -> float:
    """Shannon's entropy of the characters."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _is_signed_claim(token: str) -> bool:
    parts = token.split(".")
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except (ValueError, binascii.Error):
        return False
    shown = json.dumps(claims)
    return isinstance(header, dict) and "alg" in header and not re.search(r"1234567890|John Doe|Jane Doe|example", shown)


def _is_credentials(value: str) -> bool:
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode("ascii").partition(":")
    except (ValueError, binascii.Error):
        return False
    return (
        bool(colon) and user.isprintable() and len(password) >= 5 and not _is_placeholder(password) and not _is_plain(password)
    )


def find(materials: Materials, options: NoOptions) -> Iterator[Finding]:
    """One finding per secret and turn."""
    for passage in passages(materials.corpus, _MAY_HOLD):
        yield from findings_of(CHECK, passage, _secrets(passage), "secrets of a known form")


CHECK = Check(
    code="PII003",
    name="secret",
    severity=Severity.WARNING,
    advice="Have it revoked, and replace it by a placeholder.",
    explanation=__doc__,
    find=find,
)
"""Keys, tokens and passwords."""
