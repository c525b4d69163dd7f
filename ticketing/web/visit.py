"""A request as the pages see it: who, in which language, with which form; and what each answer must carry."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import Response

from ticketing.accounts import Accounts, User
from ticketing.store import Scope
from ticketing.web.errors import BadRequest, Forged, LoginNeeded, Missing, TooLarge

LANGUAGES: Final = {"en": "English", "zh_CN": "中文"}
THEMES: Final = ("auto", "light", "dark")
MAX_BODY: Final = 64 * 1024  # bytes of a form: a comment of 16,000 Chinese characters, percent-encoded, is refused
_MAX_FIELDS: Final = 32
_YEAR: Final = 365 * 86400

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": with that, browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person. `secret` is what the form token is made of: the session's, or the visitor's cookie."""

    request: Request
    form: Mapping[str, str]
    user: User | None
    secret: str
    language: str
    theme: str
    now: float

    @property
    def viewer(self) -> User:
        """Return who is signed in. Raises LoginNeeded if nobody is."""
        if self.user is None:
            raise LoginNeeded
        return self.user

    @property
    def scope(self) -> Scope:
        """Return whose incidents and devices the viewer may see: it comes from the account alone."""
        return self.viewer.scope

    @property
    def staff(self) -> bool:
        """Tell whether the viewer works for the provider, and not for a customer."""
        return self.viewer.scope.customer is None

    @property
    def csrf(self) -> str:
        """Return the token that each of this visit's forms must carry."""
        return hmac.new(self.secret.encode(), b"watchdesk form", hashlib.sha256).hexdigest()

    def check_form(self) -> None:
        """Raise Forged unless the form came from a page that we gave to this session."""
        if self.request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise Forged
        given = self.form.get("csrf", "")
        if not self.secret or not hmac.compare_digest(given.encode("utf-8", "replace"), self.csrf.encode()):
            raise Forged

    def number(self, name: str) -> int:
        """Return a number from the path, such as an incident's id; Missing if nothing can have it."""
        text = str(self.request.path_params.get(name, ""))
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise Missing
        return int(text)


def open_visit(request: Request, form: Mapping[str, str], accounts: Accounts, now: float) -> Visit:
    """Return the visit of a request, with its user if its session is valid."""
    cookies = request.cookies
    token = cookies.get(cookie_name(request, "session"), "")
    user = accounts.session(token, now=now) if token else None
    language = cookies.get(cookie_name(request, "language"), "")
    theme = cookies.get(cookie_name(request, "theme"), "auto")
    return Visit(
        request=request,
        form=form,
        user=user,
        secret=token if user else cookies.get(cookie_name(request, "visitor"), ""),
        language=language if language in LANGUAGES else preferred(request.headers.get("accept-language", "")),
        theme=theme if theme in THEMES else "auto",
        now=now,
    )


def preferred(accept: str) -> str:
    """Return which of LANGUAGES an Accept-Language header (RFC 9110, 12.5.4) likes best."""
    best, best_quality = "en", 0.0
    for part in accept[:1000].split(","):
        tag, _, parameter = part.strip().partition(";")
        found = re.fullmatch(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", parameter)
        quality = float(found[1]) if found else 0.0 if parameter else 1.0
        language = {"en": "en", "zh": "zh_CN"}.get(tag.strip().lower().partition("-")[0])
        if language and quality > best_quality:
            best, best_quality = language, quality
    return best


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form, of which no more than MAX_BODY bytes are ever held.

    Raises:
        TooLarge: more bytes than that, announced or sent.
        BadRequest: not a URL-encoded form in UTF-8, or with too many fields.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise BadRequest
    announced = request.headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdigit() or int(announced) > MAX_BODY:
        raise TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge
    try:
        pairs = urllib.parse.parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise BadRequest from None
    return dict(pairs)


def cookie_name(request: Request, what: Literal["session", "visitor", "language", "theme"]) -> str:
    """Return a cookie's name. Cookies do not tell ports apart, so that the port is in the name."""
    server = request.scope.get("server")
    name = f"watchdesk-{what}-{server[1] if server else 0}"
    return f"__Host-{name}" if request.url.scheme == "https" else name


def set_cookie(
    visit: Visit, response: Response, what: Literal["session", "visitor", "language", "theme"], value: str
) -> None:
    """Set a cookie that scripts cannot read and other sites' forms do not send; "" removes it."""
    response.set_cookie(
        cookie_name(visit.request, what),
        value,
        max_age=_YEAR if value and what in {"language", "theme"} else None if value else 0,
        httponly=True,
        samesite="lax",
        secure=visit.request.url.scheme == "https",
    )


def new_secret() -> str:
    """Return a fresh visitor's secret."""
    return secrets.token_urlsafe(24)


def local_path(text: str) -> str:
    """Return a path of ours to go to after signing in; anything that could lead elsewhere becomes "/"."""
    return text if re.fullmatch(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}", text) or text == "/" else "/"


def back(request: Request) -> str:
    """Return the address of the page that a request belongs to: after a form, that of its incident."""
    pages = r"/incidents/\d+|/quiet|/outbox|/map|/unlisted|/devices/\d+(?=/diagnose)"
    path = re.sub(rf"^({pages})/.*", r"\1", request.url.path)
    return f"{path}?{request.url.query}" if request.url.query and request.method == "GET" else path
