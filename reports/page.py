"""One self-contained HTML page: style, script and icons inlined, nothing fetched, no script run but the page's own.

A dataset's text cannot act: every value that a template prints passes `visible` and is then escaped, and a content
security policy allows the one script whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.visible import one_line, visible
from reports.wording import address, count, per_cent, share

__all__ = ["MAX_PAGE_BYTES", "render_page"]

MAX_PAGE_BYTES = 2_000_000
"""Larger pages are slow to open and to search; the pages show less where they would be."""

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, **values: object) -> bytes:
    """A page of `reports/templates` as UTF-8; the same values give the same bytes."""
    style, script = (Markup((_TEMPLATES / name).read_text("utf-8")) for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template(template).render(values, style=style, script=script, policy=policy).encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "address": address,
        "count": count,
        "one_line": one_line,
        "per_cent": per_cent,
        "share": share,
    }
    return environment


def _finalize(value: object) -> object:
    """What a template prints: text with its unseen characters shown; the environment escapes it afterwards."""
    return visible(value) if type(value) is str else value
