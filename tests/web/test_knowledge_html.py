"""What the base model makes of the rows, in a real browser: inert, within the window, readable without colour or mouse."""

from __future__ import annotations

import pytest

from reports.html import audit_html
from tests.hostile import ATTACKS, hostile_audit
from tests.unit.test_report_knowledge import with_base

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, str]:
    """Addresses of the pages, by name."""
    folder = tmp_path_factory.mktemp("reports")
    name = " ".join(ATTACKS)
    audited = with_base(hostile_audit(folder), model=name, stands_for=name, not_measured=((name, 3),))
    page = folder / "audit.html"
    page.write_bytes(audit_html(*audited))
    return {"audit": page.as_uri()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 780, 1440])
def test_the_section_is_seen_whole(unfolded, scheme, width) -> None:
    page = unfolded("audit", color_scheme=scheme, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    section = page.locator("#knowledge")
    is_beyond = "!e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 0.5"
    beyond = f"all => all.filter(e => {is_beyond}).map(e => e.outerHTML)"
    assert section.locator("*:visible").evaluate_all(beyond) == []
    assert section.locator("figure").count() == 3
    ticks = "all => all.map(e => e.getBoundingClientRect().height)"
    assert max(section.locator(".ticks span:visible").evaluate_all(ticks)) < 40  # on one line


def test_the_section_is_reached_and_named(opened) -> None:
    page = opened("audit")
    page.get_by_role("link", name="Base model").click()
    assert page.url.endswith("#knowledge")
    section = page.get_by_role("region", name="What the base model makes of the rows")
    assert section.get_by_role("heading", level=3).all_text_contents() == [
        "Loss, nats per token",
        "Share of tokens shifted",
        "IFD",
    ]
    assert section.get_by_role("img", name="Histogram").count() == 3
    row = section.locator("details.knowledge-row").first
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    assert row.evaluate("e => e.open")


def test_on_paper_the_figures_stay(opened) -> None:
    page = opened("audit")
    page.emulate_media(media="print")
    assert page.locator("#knowledge svg:visible").count() == 3
    assert page.locator("#knowledge .ticks span:visible").count() > 0
