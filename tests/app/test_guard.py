"""Who may talk to the dashboard's server: question by question, and what is answered to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app import guard
from app.guard import COOKIE, TOKEN, Guard, token_of

PORT = 8501
HERE = f"127.0.0.1:{PORT}"


async def dashboard(scope: Scope, receive: Receive, send: Send) -> None:
    """What stands behind the guard: it takes every question."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the dashboard"})


class Answer:
    """What came back."""

    def __init__(self, said: list[Message]) -> None:
        self.first = said[0]
        self.body = b"".join(each.get("body", b"") for each in said).decode()

    @property
    def status(self) -> int:
        """200 and 403 also of a connection that was taken, or not."""
        kinds = {"websocket.accept": 200, "websocket.close": 403}
        return kinds.get(self.first["type"]) or int(self.first["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.first["headers"]}


def ask(asked: Guard, path: str = "/", kind: str = "http", method: str = "GET", **headers: str | list[str]) -> Answer:
    """A question with these headers; in a name `_` stands for a dash."""
    said: list[Message] = []
    given = {"host": HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    pairs = [(name, each) for name, value in given.items() for each in ([value] if isinstance(value, str) else value)]
    place, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": kind,
        "path": place,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in pairs],
        "server": ("127.0.0.1", PORT),
        **({"method": method} if kind == "http" else {}),
    }

    async def receive() -> Message:
        return {"type": f"{kind}.request", "body": b""}

    async def send(message: Message) -> None:
        said.append(message)

    asyncio.run(asked(scope, receive, send))
    return Answer(said)


@pytest.fixture
def here() -> Guard:
    return Guard(dashboard, "127.0.0.1")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    monkeypatch.setenv(TOKEN, "the token")
    token_of.cache_clear()
    yield Guard(dashboard, "0.0.0.0")
    token_of.cache_clear()


@pytest.mark.parametrize("host", [HERE, f"localhost:{PORT}", f"[::1]:{PORT}"])
def test_the_names_of_this_machine_are_answered(here: Guard, host: str) -> None:
    assert ask(here, host=host).body == "the dashboard"
    assert ask(here, kind="websocket", host=host, origin=f"http://{host}").status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1.evil.example:{PORT}",
        "",
        "LOCALHOST",
    ],
)
def test_no_other_name_is(here: Guard, host: str) -> None:
    answer = ask(here, host=host)
    assert answer.status == 403
    assert answer.body == f"403: this dashboard is at http://{HERE}, and answers at no other address\n"
    assert ask(here, kind="websocket", host=host, origin=f"http://{host}").status == 403


def test_two_names_or_none_are_not(here: Guard) -> None:
    assert ask(here, host=[HERE, HERE]).status == 403
    assert ask(here, host=[]).status == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "file://",
        "",
        "http://127.0.0.1:9999",
        f"http://localhost:{PORT}",
        f"http://{HERE}@evil",
    ],
)
def test_pages_of_other_sites_may_not_ask(here: Guard, origin: str) -> None:
    assert ask(here, kind="websocket", origin=origin).status == 403
    assert ask(here, method="PUT", origin=origin).status == 403
    answer = ask(here, origin=origin)
    assert (answer.status, answer.body) == (403, "403: pages of other sites may not ask this dashboard\n")


def test_whoever_changes_something_says_where_from(here: Guard) -> None:
    assert ask(here, kind="websocket").status == 403
    assert ask(here, method="POST").status == 403
    assert ask(here, method="POST", origin=f"http://{HERE}").status == 200
    assert ask(here, method="POST", origin=[f"http://{HERE}"] * 2).status == 403


def test_parts_are_not_shown_by_other_sites_but_links_lead_here(here: Guard) -> None:
    assert ask(here, sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status == 403
    assert ask(here, sec_fetch_site="cross-site", sec_fetch_mode="navigate").status == 200


def test_no_page_frames_the_dashboard(here: Guard) -> None:
    for answer in (ask(here), ask(here, host="evil.example")):
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"


def test_what_is_no_question_passes(here: Guard) -> None:
    passed: list[str] = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        passed.append(scope["type"])

    asyncio.run(Guard(behind, "127.0.0.1")({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert passed == ["lifespan"]


def test_elsewhere_the_token_leaves_the_address_and_is_asked_for_from_then_on(elsewhere: Guard) -> None:
    host = f"lab.example:{PORT}"
    refused = ask(elsewhere, host=host)
    assert refused.status == 403
    assert refused.body == "403: open the address with the token that the dashboard printed when it was started\n"
    opened = ask(elsewhere, "/diagnose?run=a%26b&token=the+token&round=3", host=host)
    assert (opened.status, opened.headers["location"]) == (303, "/diagnose?run=a%26b&round=3")
    led_away = ask(elsewhere, "//evil.example/?token=the+token", host=host)
    assert (led_away.status, led_away.headers["location"]) == (303, "/evil.example/")
    cookie = opened.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax"))
    kept = cookie.partition(";")[0]
    assert kept.startswith(COOKIE)
    assert ask(elsewhere, host=host, cookie=kept).status == 200
    assert ask(elsewhere, kind="websocket", host=host, origin=f"http://{host}", cookie=kept).status == 200
    assert ask(elsewhere, kind="websocket", host=host, origin=f"http://{host}").status == 403
    assert ask(elsewhere, kind="websocket", host=host, origin="http://evil.example", cookie=kept).status == 403
    assert ask(elsewhere, host=host, cookie=f"{COOKIE}=guess").status == 403
    assert ask(elsewhere, "/?token=gu%C3%A9ss", host=host).status == 403
    assert ask(elsewhere, guard.HEALTH, host=host).status == 200


def test_a_token_is_chosen_where_nobody_chose_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    token_of.cache_clear()
    first, again = token_of("0.0.0.0"), token_of("0.0.0.0")
    token_of.cache_clear()
    assert first == again != token_of("0.0.0.0")
    assert len(first) >= 32
    assert {token_of(name) for name in guard.OWN_NAMES} == {""}
    token_of.cache_clear()


def test_what_only_shows_runs_may_stand_behind_a_proxy() -> None:
    shown = Guard(dashboard, "127.0.0.1", is_public=True)
    assert ask(shown, host="runs.example").status == 200
    assert ask(shown, kind="websocket", host="runs.example", origin="https://runs.example").status == 200
    assert ask(shown, kind="websocket", x_forwarded_host="runs.example", origin="https://runs.example").status == 200
    assert ask(shown, kind="websocket", host="runs.example", origin="https://evil.example").status == 403
    assert ask(Guard(dashboard, "0.0.0.0", is_public=True), host="runs.example").status == 200
    hidden = Guard(dashboard, "127.0.0.1")
    assert ask(hidden, kind="websocket", x_forwarded_host="runs.example", origin="https://runs.example").status == 403
