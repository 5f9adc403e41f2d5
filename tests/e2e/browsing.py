"""What a person does in the browser."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, expect

PATIENCE = 120_000
"""Milliseconds; a busy machine takes half a minute for the first chart."""


def patient_page(browser: BrowserContext) -> Page:
    """An empty page that waits as long as a busy machine needs."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    return page


def messages(page: Page) -> list[str]:
    """What the browser says from now on; a list that grows."""
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"uncaught: {error.stack or error}"))
    page.on("crash", lambda _: said.append("the page crashed"))
    page.on("websocket", lambda socket: socket.on("close", lambda _: said.append("a web socket was closed")))
    page.on("requestfailed", lambda asked: said.append(f"{asked.method} {asked.url} failed: {asked.failure}"))
    return said


def idle(page: Page) -> None:
    """Wait until the script run is finished, and nothing on the page is older than that."""
    page.wait_for_timeout(200)
    expect(page.locator("[data-testid=stApp][data-test-script-state=running]")).to_have_count(0)
    expect(page.locator("[data-stale=true]")).to_have_count(0)


def visit(page: Page, name: str) -> None:
    """Follow a link of the navigation, also one that stands under `More`."""
    link = page.get_by_test_id("stTopNav").get_by_role("link", name=name, exact=True)
    if not link.count():
        page.get_by_test_id("stTopNavSection").click()
        link = page.get_by_role("menuitem", name=name, exact=True)
    link.click()


def lasso(page: Page, x0: float, y0: float, x1: float, y1: float) -> None:
    """Drag around a rectangle; fractions of the plot's area."""
    page.wait_for_timeout(1000)  # the first WebGL drawing
    box = page.locator(".st-key-records_scatter .nsewdrag").first.bounding_box()
    assert box is not None

    def at(fx: float, fy: float) -> tuple[float, float]:
        return box["x"] + fx * box["width"], box["y"] + fy * box["height"]

    page.mouse.move(*at(x0, y0))
    page.mouse.down()
    for corner in ((x1, y0), (x1, y1), (x0, y1), (x0, y0 + 0.01)):
        page.mouse.move(*at(*corner), steps=5)
    page.mouse.up()
