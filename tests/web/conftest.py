"""A browser for the pages that the reports write; the module's `reports` says where they lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, reports: dict[str, str]) -> Iterator[Callable[..., Page]]:
    """Opens a report; at the end it must have asked for nothing, complained of nothing and run nothing of the data's."""
    problems: list[str] = []
    contexts = []

    def open_report(name: str, **options) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(reports[name])
        return page

    yield open_report
    titles = [page.title() for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert problems == []
    assert "owned" not in titles


@pytest.fixture
def unfolded(opened: Callable[..., Page]) -> Callable[..., Page]:
    """Opens a report, and everything in it that is folded."""

    def open_report(name: str, **options) -> Page:
        page = opened(name, **options)
        page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        return page

    return open_report
