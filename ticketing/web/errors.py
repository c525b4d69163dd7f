"""What makes a request end early; the guard turns each into a page with its status.

WebError
 ├── BadRequest        400  the form, or a part of the address, is not what our pages send
 ├── LoginNeeded       303  nobody is signed in: to the login page, and back afterwards
 ├── Forged            403  the form did not come from our own page (CSRF)
 ├── Missing           404  not there, or not for this viewer: one answer for both
 ├── TooLarge          413  the body is larger than any of our forms
 └── Busy              503  too many streams, or stopping
"""


class WebError(Exception):
    """Any early end of a request."""

    status = 500


class BadRequest(WebError):
    """The request is not one that our pages send."""

    status = 400


class LoginNeeded(WebError):
    """Nobody is signed in."""

    status = 303


class Forged(WebError):
    """A form without the token of this session, or from another site."""

    status = 403


class Missing(WebError):
    """Nothing here for this viewer."""

    status = 404


class TooLarge(WebError):
    """The body is larger than any of our forms."""

    status = 413


class Busy(WebError):
    """No room for another stream now."""

    status = 503
