"""The reports in a real browser: inert, filtered and sorted by mouse and keyboard, whole without JavaScript."""

from __future__ import annotations

import pytest

from reports.html import audit_html
from reports.trace_html import trace_html
from tests.hostile import hostile_audit
from tests.unit.test_report_trace import BLAME, HOLDS, NEAR, traced

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, str]:
    """Addresses of the pages, by name."""
    folder = tmp_path_factory.mktemp("reports")
    audited = hostile_audit(folder)
    pages = {
        "audit": audit_html(*audited),
        "trace": trace_html([traced("first", HOLDS, NEAR), traced("second", NEAR)], audited.corpus, BLAME),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


def listed(page) -> list[str]:
    """Check and row of every finding that is seen, in order."""
    return page.locator("table.findings tbody:visible").evaluate_all(
        "all => all.map(b => b.dataset.code + ' ' + b.dataset.row)"
    )


@pytest.mark.parametrize("name", ["audit", "trace"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_opens_and_nothing_runs(opened, name, scheme) -> None:
    page = opened(name, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.images.length") == 0


@pytest.mark.parametrize("name", ["audit", "trace"])
@pytest.mark.parametrize("width", [320, 360, 780, 1440])
def test_no_page_is_wider_than_the_window(opened, name, width) -> None:
    page = opened(name, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = (
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll')).map(e => e.outerHTML)"
    )
    assert page.locator("main *:visible").evaluate_all(beyond) == []


def test_filters_by_check_severity_and_words(opened) -> None:
    page = opened("audit")
    everything = listed(page)
    page.get_by_label("Check").select_option("TXT002")
    assert {line.split()[0] for line in listed(page)} == {"TXT002"}
    page.get_by_label("Severity").select_option("error")
    assert listed(page) == []
    assert page.locator(".shown").inner_text().startswith("0 of")
    page.get_by_role("button", name="Show all").click()
    assert listed(page) == everything
    page.get_by_role("searchbox").press_sequentially("HYPERLINK nooutput")
    assert listed(page)
    assert set(listed(page)) < set(everything)
    assert all("HYPERLINK" in text for text in page.locator("table.findings tbody:visible").all_text_contents())


def test_sorts_by_mouse_and_by_keyboard(opened) -> None:
    page = opened("audit")
    header = page.get_by_role("columnheader", name="Row")
    header.get_by_role("button").click()
    rows = [int(line.split()[1]) for line in listed(page)]
    assert rows == sorted(rows)
    assert header.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    rows = [int(line.split()[1]) for line in listed(page)]
    assert rows == sorted(rows, reverse=True)
    assert header.get_attribute("aria-sort") == "descending"
    assert page.locator("th[aria-sort]").count() == 1
    page.get_by_role("columnheader", name="Severity").get_by_role("button").press("Space")
    ranks = page.locator("table.findings tbody").evaluate_all("all => all.map(b => +b.dataset.rank)")
    assert ranks == sorted(ranks, reverse=True)


def test_a_check_leads_to_its_findings_by_keyboard(opened) -> None:
    page = opened("audit")
    summary = page.locator("details.check summary", has_text="DUP001")
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert {line.split()[0] for line in listed(page)} == {"DUP001"}
    assert page.get_by_label("Check").input_value() == "DUP001"
    detail = page.locator("table.findings tbody:visible details").first
    detail.locator("summary").focus()
    page.keyboard.press("Enter")
    assert detail.get_by_text("has the same messages").is_visible()


def test_without_javascript_all_can_be_read(opened) -> None:
    page = opened("audit", java_script_enabled=False)
    assert page.locator(".toolbar").is_hidden()
    first = page.locator("table.findings details").first
    first.locator("summary").click()
    assert first.locator(".row").is_visible()
    assert page.locator("table.findings tbody").count() == page.locator("table.findings tbody:visible").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(opened, scheme) -> None:
    """WCAG 2.2, criterion 1.4.3: at least 4.5 between text and what it stands on."""
    page = opened("audit", color_scheme=scheme)
    least = page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const light = (name) => {
                const hex = style.getPropertyValue(name).trim().slice(1);
                const [r, g, b] = [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
                    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const texts = ['--ink', '--quiet', '--accent', '--error', '--warning', '--info'];
            const grounds = ['--paper', '--raised', '--sunken'];
            const pairs = texts.flatMap(text => grounds.map(ground => contrast(light(text), light(ground))));
            return Math.min(...pairs, contrast(light('--ink'), light('--mark')));
        }"""
    )
    assert least >= 4.5
