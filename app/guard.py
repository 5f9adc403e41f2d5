"""Who may talk to the dashboard's server: on this machine its own pages alone, elsewhere whoever was given the token.

A page of some other site can make a browser ask a server on the reader's machine anything. What such a page can't change is
what the browser says of the question: the address that is asked (`Host`) and the page that asks (`Origin`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_NAMES = ("127.0.0.1", "localhost", "::1")
"""Of this machine, which no other one reaches."""
TOKEN = "SNAPSHOT_INFLUENCE_TOKEN"
"""The environment variable with the token, which is in no list of processes. Where it is empty, one is chosen at random."""
COOKIE = "snapshot_influence_token"
PARAMETER = "token"
"""Of the address that is opened first; it leaves it at once."""
HEADERS = {"X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'"}
"""No other page shows the dashboard within itself, where a reader might click on what they do not see."""
HEALTH = "/_stcore/health"
"""Whether the server is up, who watches it may ask without a token."""
_ONLY_READ = ("GET", "HEAD")


@cache
def token_of(address: str, is_public: bool = False) -> str:
    """The token that a server at that address asks for; empty on this machine's own, and where it only shows runs."""
    return "" if is_public or address in OWN_NAMES else os.environ.get(TOKEN) or secrets.token_urlsafe(24)


@dataclass
class Guard:
    """Stands before all that the server answers: a middleware of Starlette's kind."""

    app: ASGIApp
    address: str
    """That the server listens on."""
    is_public: bool = False
    """Whether it only shows runs: then it may be called anything, as behind a proxy, and asks for no token."""
    token: str = field(init=False)

    def __post_init__(self) -> None:
        self.token = token_of(self.address, self.is_public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one question, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        answer = self._answer(scope, Headers(scope=scope))
        if answer is None:
            await self.app(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "not from a page of this dashboard"})
        else:
            await answer(scope, receive, _unframed(send))

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        """What is answered here; None: the dashboard answers."""
        hosts = headers.getlist("host")
        own = _own_hosts(int(scope["server"][1]))
        if len(hosts) != 1 or (self.address in OWN_NAMES and not self.is_public and hosts[0] not in own):
            return _refused(f"this dashboard is at http://{own[0]}, and answers at no other address")
        if self.is_public:  # a proxy says here what the browser called it; a page of another site can't
            hosts += headers.getlist("x-forwarded-host")
        if why := _foreign(scope, headers, hosts):
            return _refused(why)
        return self._asked_for_token(scope, headers) if self.token and scope["path"] != HEALTH else None

    def _asked_for_token(self, scope: Scope, headers: Headers) -> Response | None:
        said = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        if scope["type"] == "http" and self._fits(said.get(PARAMETER, "")):
            rest = urlencode({name: value for name, value in said.items() if name != PARAMETER})
            here = "/" + scope["path"].lstrip("/")  # two slashes would begin the name of another site
            answer = RedirectResponse(f"{here}{'?' if rest else ''}{rest}", status_code=303)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="lax")
            return answer
        if self._fits(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return None
        return _refused("open the address with the token that the dashboard printed when it was started")

    def _fits(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self.token.encode())


def _own_hosts(port: int) -> list[str]:
    """What a browser on this machine calls the server; the port of plain HTTP is not said."""
    names = [f"[{name}]" if ":" in name else name for name in OWN_NAMES]
    return [f"{name}:{port}" for name in names] + (names if port == 80 else [])


def _foreign(scope: Mapping[str, Any], headers: Headers, hosts: Sequence[str]) -> str:
    """Why a question does not come from a page of this dashboard, or from nobody's; empty where it does."""
    origins = headers.getlist("origin")
    must_be_said = scope["type"] == "websocket" or scope["method"] not in _ONLY_READ
    if len(origins) > 1 or (must_be_said and not origins):
        return "a page of this dashboard says that it is one (Origin); what asks here does not"
    if origins and urlsplit(origins[0]).netloc not in hosts:
        return "pages of other sites may not ask this dashboard"
    if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        return "pages of other sites may not show parts of this dashboard"
    return ""


def _refused(why: str) -> Response:
    return PlainTextResponse(f"403: {why}\n", status_code=403)


def _unframed(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return sent
