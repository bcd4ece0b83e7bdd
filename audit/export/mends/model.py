"""What is to be mended and what was: requests, plans and results, whatever way it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from audit.config import member_of
from audit.endpoints import Endpoint
from audit.errors import InputError
from audit.export.places import Change, Place
from audit.export.survival import Fault, PlainWords
from audit.sources import Message
from audit.style.need import n_words

__all__ = [
    "IDK_TEXT",
    "MEND_CODES",
    "UNKNOWN",
    "Mend",
    "MendPlan",
    "MendRequest",
    "Mended",
    "Mends",
    "Shots",
    "Target",
    "Unmended",
    "mend_request",
]

MEND_CODES = ("STY002", "STY004")
"""Findings whose rows are made concise unless others are named: verbose for the instruction, and a share of style words."""

IDK_TEXT = "I don't know."
"""What an answer becomes whose question the base model cannot answer."""

UNKNOWN = "slick:Unknown"
"""What names the rows of the other mends unless codes do: their SliCK class."""


class Mend(StrEnum):
    """How rows are mended."""

    CONCISE = "concise"
    """Say the same in fewer words."""
    IDK = "idk"
    """Say that one does not know."""
    SELF = "self"
    """Say what the base model itself answers."""


@dataclass(frozen=True)
class MendRequest:
    """What is to be mended.

    Attributes:
        mend: How.
        codes: Codes, or prefixes, whose findings name the rows; the usual ones of the mend where there are none.
        endpoint: Who rewrites or answers; `None` for a plan alone, for `idk`, and where the base model answers here.
        idk_text: What `idk` says in place of an answer, in whatever language the answer was; `None` for `IDK_TEXT` in place
            of English ones alone.
        base_model: Folder or hub name of the model that answers for `self`; `None` for the one of the audit.
        device: Where it runs, as torch names it, or `auto`.
        dtype: Its number format, or `auto`.
    """

    mend: Mend = Mend.CONCISE
    codes: tuple[str, ...] = ()
    endpoint: Endpoint | None = None
    idk_text: str | None = None
    base_model: str | None = None
    device: str = "auto"
    dtype: str = "auto"


def mend_request(
    mend: str | None,
    codes: Sequence[str] | None = None,
    url: str | None = None,
    model: str | None = None,
    key_env: str | None = None,
    *,
    idk_text: str | None = None,
    base_model: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    is_dry: bool = False,
) -> MendRequest | None:
    """What is to be mended and by whom, as a user says it; `None` for nothing.

    Args:
        mend: How.
        codes: Codes, or prefixes, whose findings name the rows.
        url: Where the model is served that rewrites, or answers.
        model: Its name.
        key_env: The variable that holds the key.
        idk_text: What `idk` says in place of an answer.
        base_model: The model that answers for `self`, where it is not the one of the audit.
        device: Where it runs.
        dtype: Its number format.
        is_dry: Whether a plan is all that is wanted, for which nobody need be named.

    Raises:
        InputError: The way is not known, half an endpoint is named, or something is named that the mend does not use.
    """
    served = {"--mend-endpoint": url, "--mend-model": model, "--mend-key-env": key_env}
    local = {"--base-model": base_model, "--device": device, "--dtype": dtype}
    of_idk = {"--idk-text": idk_text}
    if mend is None:
        _refuse({"--mend-codes": codes, **served, **local, **of_idk}, "without --mend", "add --mend concise, idk or self")
        return None
    how = member_of(Mend, "value of --mend", mend)
    match how:
        case Mend.CONCISE:
            _refuse({**local, **of_idk}, "with --mend concise", "its model is served: --mend-endpoint URL")
        case Mend.IDK:
            _refuse({**served, **local}, "with --mend idk", "no model is asked")
            if idk_text is not None and not idk_text.strip():
                raise InputError("--idk-text is empty", remedy=f"say what the answers become, such as {IDK_TEXT!r}")
        case Mend.SELF:
            _refuse(of_idk, "with --mend self", "it belongs to --mend idk")
            if any(value is not None for value in served.values()):
                _refuse(local, "with --mend-endpoint", "either the model is served, or it is loaded here")
    endpoint = None
    if url is not None and model is not None:
        endpoint = Endpoint(url=url, model=model, key_env=key_env)
    elif url is not None or model is not None or (not is_dry and (how is Mend.CONCISE or key_env is not None)):
        raise InputError(
            "mending needs an endpoint and a model", remedy="give both --mend-endpoint URL and --mend-model M, or --dry-run"
        )
    usual = MEND_CODES if how is Mend.CONCISE else ()
    return MendRequest(
        how, usual if codes is None else tuple(codes), endpoint, idk_text, base_model, device or "auto", dtype or "auto"
    )


def _refuse(options: Mapping[str, object], why: str, remedy: str) -> None:
    """Refuse the first option that was given."""
    given = next((option for option, value in options.items() if value is not None), None)
    if given is not None:
        raise InputError(f"{given} {why}", remedy=f"{remedy}; else leave it out")


Shots = tuple[tuple[str, str], ...]
"""Questions and answers that show a base model how to answer, in their order."""


@dataclass(frozen=True)
class Target:
    """A response that is to be mended.

    Attributes:
        row: The row's number.
        turn: The response's number among its messages.
        codes: Of the findings that name it.
        before: The turns before it.
        text: The response.
        place: Where it stands in its record.
        fits: Whether the record can hold another text there.
        beyond: The part of the response that is beyond what was asked for, where a finding says so.
        shots: What shows the base model how to answer.
    """

    row: int
    turn: int
    codes: tuple[str, ...]
    before: tuple[Message, ...]
    text: str
    place: Place
    fits: Callable[[str], bool]
    beyond: tuple[int, int] | None = None
    shots: Shots = ()

    @property
    def asked(self) -> str:
        """All that stands before it in the row."""
        return "\n\n".join(message.content for message in self.before)


@dataclass(frozen=True)
class Mended:
    """A response that was rewritten."""

    target: Target
    text: str

    @property
    def change(self) -> Change:
        """The change of its record."""
        return self.target.place.change(self.text)


@dataclass(frozen=True)
class Unmended:
    """A response that stays as it was.

    Attributes:
        row: The row's number.
        turn: The response's number among its messages.
        codes: Of the findings that name it.
        why: Why it stays.
        reply: The last reply of the endpoint, where it was asked.
    """

    row: int
    turn: int
    codes: tuple[str, ...]
    why: Fault
    reply: str = ""


@dataclass(frozen=True)
class MendPlan:
    """What would be asked, before it is.

    Attributes:
        request: What is to be mended.
        targets: Responses to rewrite, by row and turn.
        stay: Responses that are named and stay, by row and turn.
        plain: The dataset's plain words, which `concise` tells names by.
        base_model: Which model answers for `self` here; empty where none does.
        audited_digest: The digest of the model that the audit measured; empty where it measured none.
    """

    request: MendRequest
    targets: tuple[Target, ...]
    stay: tuple[Unmended, ...]
    plain: PlainWords = field(default=PlainWords(frozenset()))
    base_model: str = ""
    audited_digest: str = ""

    @property
    def n_questions(self) -> int:
        """Distinct questions to a model, served or here."""
        match self.request.mend:
            case Mend.CONCISE:
                return len({(target.asked, target.text) for target in self.targets})
            case Mend.SELF:
                return len({(target.before, target.shots) for target in self.targets})
        return 0


@dataclass(frozen=True)
class Mends:
    """What was mended, and what was not.

    Attributes:
        mended: By row and turn.
        unmended: By row and turn.
        model, url: Who rewrote or answered; the address is empty where the model ran here, and both where none was asked.
        n_sent: Requests that were sent; others had been answered before.
        notes: What a reader should know.
    """

    mended: tuple[Mended, ...]
    unmended: tuple[Unmended, ...]
    model: str
    url: str
    n_sent: int
    notes: tuple[str, ...] = ()

    @property
    def n_words(self) -> tuple[int, int]:
        """Words of the mended responses, before and after."""
        return sum(n_words(mend.target.text) for mend in self.mended), sum(n_words(mend.text) for mend in self.mended)

    def changes(self) -> dict[int, tuple[Change, ...]]:
        """What is changed, by row."""
        changes: dict[int, tuple[Change, ...]] = {}
        for mend in self.mended:
            changes[mend.target.row] = (*changes.get(mend.target.row, ()), mend.change)
        return changes
