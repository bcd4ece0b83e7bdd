"""The report of style in a real browser: inert, readable at any width, and told without colour."""

from __future__ import annotations

import pytest

from reports.html import audit_html
from reports.style_html import style_html
from tests.hostile import ATTACKS, SCRIPT, hostile_audit
from tests.unit.test_report_style import made_copying, made_style, made_templates, measured

pytestmark = pytest.mark.browser
PLAIN = "Sure! However, it may rain on the old harbour.\n\n1. Take a coat.\n\nI hope this helps!"


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, str]:
    """Addresses of the pages, by name."""
    folder = tmp_path_factory.mktemp("styles")
    audited = hostile_audit(folder)
    n = audited.corpus.responses.height
    hostile = made_style(n, 12, text=f"{SCRIPT} {'a' * 300}", reference=SCRIPT)
    plain = made_style(n, 3)
    none = made_style(n, 0, too_few="90 responses, of 200 that it takes")
    pages = {
        "hostile": style_html(
            measured(hostile, made_copying(hostile, list(ATTACKS)), made_templates(f"{SCRIPT} {'a' * 300}")),
            audited.corpus,
            SCRIPT,
        ),
        "plain": style_html(measured(plain, made_copying(plain, [PLAIN] * 3)), audited.corpus, "tides.jsonl"),
        "alone": style_html(measured(plain), audited.corpus, "tides.jsonl"),
        "none": style_html(measured(none), audited.corpus, "tides.jsonl"),
        "audit": audit_html(*audited, hostile),
    }
    for name, page in pages.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_opens_and_nothing_runs(unfolded, scheme) -> None:
    page = unfolded("hostile", color_scheme=scheme)
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.images.length") == 0


@pytest.mark.parametrize("name", ["hostile", "plain", "alone", "none", "audit"])
@pytest.mark.parametrize("width", [320, 780, 1440])
def test_no_page_is_wider_than_the_window(unfolded, name, width) -> None:
    page = unfolded(name, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = (
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll'))"
        ".map(e => e.outerHTML.slice(0, 200))"
    )
    assert page.locator("main *:visible").evaluate_all(beyond) == []


def test_points_lie_within_their_drawing(unfolded) -> None:
    page = unfolded("plain")
    outside = """svg => {
        const frame = svg.viewBox.baseVal;
        return [...svg.querySelectorAll('.points')].map(path => path.getBBox())
            .filter(box => box.x < 0 || box.x + box.width > frame.width || box.y < 0 || box.y + box.height > frame.height)
            .length;
    }"""
    for drawing in (".family-map > svg", ".square > svg"):
        assert page.locator(drawing).evaluate(outside) == 0
        assert page.locator(f"{drawing} .points").count() == 4


def test_a_drawing_says_in_words_what_it_shows(unfolded) -> None:
    page = unfolded("plain")
    assert page.get_by_role("img", name="Map of").count() == 1
    assert page.get_by_role("img", name="Words given against words called for").count() == 1
    titles = page.locator(".family-map .points title").all_text_contents()
    assert sum(title.startswith("Family 0: begins with") for title in titles) == 1
    assert page.get_by_role("img", name="outputs 40 % (35 to 45), base model 5 % (3 to 8)").count() == 4


def test_the_legend_leads_to_the_family_by_keyboard(unfolded) -> None:
    page = unfolded("plain")
    link = page.locator("#map .legend").get_by_role("link", name="family 2")
    link.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#family-2"
    assert page.locator("#family-2").is_visible()


def test_families_and_words_differ_in_more_than_colour(unfolded) -> None:
    page = unfolded("plain")
    marks = page.locator("#map .legend .mark path").evaluate_all("all => all.map(path => path.getAttribute('d'))")
    assert len(set(marks)) == len(marks) == 4
    lines = (
        page.locator(".kinds")
        .first.locator(".w")
        .evaluate_all(
            "all => all.map(e => { const s = getComputedStyle(e); return s.textDecorationLine + ' ' + s.textDecorationStyle })"
        )
    )
    assert sorted(line for line in lines if line.startswith("underline")) == [
        "underline dotted",
        "underline double",
        "underline solid",
        "underline wavy",
    ]


def test_an_output_reads_as_it_was(unfolded) -> None:
    page = unfolded("plain")
    assert page.locator("#outputs .styled").first.inner_text() == PLAIN
    assert page.locator("#outputs .styled .w.hedge").first.get_attribute("title") == "hedge"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_and_text_have_contrast(unfolded, scheme) -> None:
    """WCAG 2.2, criterion 1.4.3 (4.5 to 1) for text on its ground, and 1.4.11 (3 to 1) for marks and bars."""
    page = unfolded("plain", color_scheme=scheme)
    text, marks = page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const light = (name) => {
                const hex = style.getPropertyValue(name).trim().slice(1);
                const [r, g, b] = [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
                    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
            const families = [0, 1, 2, 3, 4, 5, 6, 7].map(i => contrast(`--family-${i}`, '--raised'));
            return [
                Math.min(contrast('--ink', '--style-ground'), contrast('--quiet', '--paper'), contrast('--quiet', '--raised')),
                Math.min(...families, contrast('--base-bar', '--paper'), contrast('--style-line', '--style-ground')),
            ];
        }"""
    )
    assert text >= 4.5
    assert marks >= 3
