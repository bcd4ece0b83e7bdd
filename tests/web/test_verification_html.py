"""The report of a verification in a real browser: inert, and readable at any width, in light and in the dark."""

from __future__ import annotations

import pytest

from reports.verification_html import verification_html
from tests.unit.test_report_campaign import ELSEWHERE, RESULT, hostile

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, str]:
    """Addresses of the pages, by name."""
    folder = tmp_path_factory.mktemp("verifications")
    for name, result in (("hostile", hostile()), ("plain", RESULT), ("elsewhere", ELSEWHERE)):
        (folder / f"{name}.html").write_bytes(verification_html(result))
    return {name: (folder / f"{name}.html").as_uri() for name in ("hostile", "plain", "elsewhere")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_opens_and_nothing_runs(opened, scheme) -> None:
    page = opened("hostile", color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.images.length") == 0


@pytest.mark.parametrize("name", ["hostile", "plain", "elsewhere"])
@pytest.mark.parametrize("width", [320, 360, 780, 1440])
def test_no_page_is_wider_than_the_window(opened, name, width) -> None:
    page = opened(name, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = (
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 && !e.closest('.scroll'))"
        ".map(e => e.outerHTML)"
    )
    assert page.locator("main *:visible").evaluate_all(beyond) == []


def test_marks_stand_where_the_axis_says(opened) -> None:
    page = opened("plain")
    plot = page.locator("#difference .plot")
    ticks = {text.text_content(): text.bounding_box() for text in plot.locator(".axis text").all()}
    middle = {label: box["x"] + box["width"] / 2 for label, box in ticks.items()}
    dot = plot.locator(".mean-dot").first.bounding_box()
    per_point = (middle["+10"] - middle["0"]) / 10
    assert dot["x"] + dot["width"] / 2 == pytest.approx(middle["0"] - 12.0 * per_point, abs=1.5)
    band = plot.locator(".band").first.bounding_box()
    assert band["width"] == pytest.approx(10 * per_point, abs=1.5)


def test_bars_are_as_long_as_their_shares(opened) -> None:
    page = opened("plain")
    bars = page.locator("#lora .stack").first
    widths = bars.locator("span").evaluate_all("all => all.map(e => e.getBoundingClientRect().width)")
    shares = [0.70, 0.20, 0.01, 0.04, 0.05]
    total = bars.evaluate("e => e.getBoundingClientRect().width")
    assert widths == pytest.approx([share * (total - 8) for share in shares], abs=4)


def test_without_javascript_all_can_be_read(opened) -> None:
    page = opened("plain", java_script_enabled=False)
    summary = page.locator("#lora details summary").first
    summary.click()
    assert page.get_by_text("Mended?").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(opened, scheme) -> None:
    """WCAG 2.2, criterion 1.4.3: at least 4.5 between text and what it stands on, cells of any share included."""
    page = opened("plain", color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    least = page.evaluate(
        """() => {
            const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
            const seen = (colors) => {
                canvas.clearRect(0, 0, 1, 1);
                for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
                return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
            };
            const light = (rgb) => {
                const [r, g, b] = rgb.map(v => v / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const paper = getComputedStyle(document.body).backgroundColor;
            const coloured = document.querySelectorAll('main .cell, main .verdict, main .better, main .worse, main .problem');
            return Math.min(...[...coloured].map(e => {
                const style = getComputedStyle(e);
                const ground = [paper, style.backgroundColor];
                return contrast(light(seen([...ground, style.color])), light(seen(ground)));
            }));
        }"""
    )
    assert least >= 4.5
