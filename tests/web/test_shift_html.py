"""The report of a shift in a real browser: inert, readable at any width, and its classes told without colour."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from reports.shift_html import shift_html
from tests.unit.test_shift_report import hostile_report, made_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, str]:
    """Addresses of the pages, by name."""
    folder = tmp_path_factory.mktemp("shifts")
    pages = {"hostile": shift_html(hostile_report()), "plain": shift_html(made_report(["The stone is old.\n\nIt is granite."]))}
    for name, page in pages.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: (folder / f"{name}.html").as_uri() for name in pages}


@pytest.fixture
def opened(browser, reports):
    """Opens a report; at the end it must have asked for nothing, complained of nothing and run nothing of the answers'."""
    problems: list[str] = []
    contexts = []

    def open_report(name: str, **options) -> sync_api.Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(reports[name])
        page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        return page

    yield open_report
    titles = [page.title() for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert problems == []
    assert "owned" not in titles


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_opens_and_nothing_runs(opened, scheme) -> None:
    page = opened("hostile", color_scheme=scheme)
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.images.length") == 0


@pytest.mark.parametrize("name", ["hostile", "plain"])
@pytest.mark.parametrize("width", [320, 360, 780, 1440])
def test_no_page_is_wider_than_the_window(opened, name, width) -> None:
    page = opened(name, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = (
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll'))"
        ".map(e => e.outerHTML)"
    )
    assert page.locator("main *:visible").evaluate_all(beyond) == []


def test_the_comparison_with_the_paper_fits_a_telephone(opened) -> None:
    page = opened("plain", viewport={"width": 360, "height": 800})
    region = page.locator(".scroll", has=page.locator("table.beside"))
    assert region.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_classes_differ_in_more_than_colour(opened) -> None:
    page = opened("plain")
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


def test_the_answer_reads_as_it_was(opened) -> None:
    page = opened("plain")
    shown = page.locator(".answer .tokens").inner_text()
    assert shown.replace("⏎", "").split() == "The stone is old. It is granite.".split()
    titles = page.locator(".tokens .tok:not(.unshifted)").evaluate_all("all => all.map(e => e.title)")
    assert titles
    assert all(title.startswith(("marginal: rank ", "shifted: rank ")) for title in titles)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(opened, scheme) -> None:
    """WCAG 2.2, criterion 1.4.3 for text on its class's colour, and 1.4.11 (3 to 1) for the lines that tell classes."""
    page = opened("plain", color_scheme=scheme)
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
