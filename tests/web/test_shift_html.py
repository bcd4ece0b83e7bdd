"""The report of a shift in a real browser: inert, readable at any width, and its classes told without colour."""

from __future__ import annotations

import pytest

from reports.shift_html import shift_html
from tests.unit.test_shift_report import hostile_report, made_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, str]:
    """Addresses of the pages, by name."""
    folder = tmp_path_factory.mktemp("shifts")
    pages = {"hostile": shift_html(hostile_report()), "plain": shift_html(made_report(["The stone is old.\n\nIt is granite."]))}
    for name, page in pages.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_opens_and_nothing_runs(unfolded, scheme) -> None:
    page = unfolded("hostile", color_scheme=scheme)
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.images.length") == 0


@pytest.mark.parametrize("name", ["hostile", "plain"])
@pytest.mark.parametrize("width", [320, 360, 780, 1440])
def test_no_page_is_wider_than_the_window(unfolded, name, width) -> None:
    page = unfolded(name, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = (
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll'))"
        ".map(e => e.outerHTML)"
    )
    assert page.locator("main *:visible").evaluate_all(beyond) == []


def test_the_comparison_with_the_paper_fits_a_telephone(unfolded) -> None:
    page = unfolded("plain", viewport={"width": 360, "height": 800})
    region = page.locator(".scroll", has=page.locator("table.beside"))
    assert region.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_classes_differ_in_more_than_colour(unfolded) -> None:
    page = unfolded("plain")
    styles = {
        name: page.locator(f".legend .{name}").evaluate(
            "element => { const style = getComputedStyle(element);"
            " return [style.textDecorationLine, style.textDecorationStyle, style.backgroundColor]; }"
        )
        for name in ("unshifted", "marginal", "shifted")
    }
    assert styles["unshifted"][0] == "none"
    assert [styles[name][:2] for name in ("marginal", "shifted")] == [["underline", "dotted"], ["underline", "solid"]]
    assert len({style[2] for style in styles.values()}) == 3


def test_the_answer_reads_as_it_was(unfolded) -> None:
    page = unfolded("plain")
    shown = page.locator(".answer .tokens").inner_text()
    assert shown.replace("⏎", "").split() == "The stone is old. It is granite.".split()
    titles = page.locator(".tokens .tok:not(.unshifted)").evaluate_all("all => all.map(e => e.title)")
    assert titles
    assert all(title.startswith(("marginal: rank ", "shifted: rank ")) for title in titles)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(unfolded, scheme) -> None:
    """WCAG 2.2, criterion 1.4.3 for text on its class's colour, and 1.4.11 (3 to 1) for the lines that tell classes."""
    page = unfolded("plain", color_scheme=scheme)
    text, line = page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const light = (name) => {
                const hex = style.getPropertyValue(name).trim().slice(1);
                const [r, g, b] = [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
                    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
            return [
                Math.min(...['--unshifted', '--marginal', '--shifted'].map(ground => contrast('--ink', ground))),
                Math.min(contrast('--marginal-line', '--marginal'), contrast('--shifted-line', '--shifted')),
            ];
        }"""
    )
    assert text >= 4.5
    assert line >= 3
