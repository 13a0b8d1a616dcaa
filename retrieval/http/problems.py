"""From the errors of libraries to the two that a caller can act on."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from urllib3.exceptions import DecodeError, HTTPError

from retrieval.http.base import NoAnswer, Refused
from retrieval.http.connection import Exchange
from retrieval.http.guard import shown


@contextmanager
def explained(url: str, exchange: Exchange) -> Iterator[None]:
    """Turn whatever fails inside into an error that says what to do.

    The errors of the libraries are not chained: they quote the request, and with it what a
    message must not hold.
    """
    try:
        yield
    except Refused as error:
        raise Refused(f"{shown(url)} is refused: {error}") from None
    except NoAnswer as error:
        problem, reached = str(error), error.reached
    except DecodeError:
        raise Refused(f"{shown(url)} is refused: its body is damaged. Leave it out.") from None
    except (requests.RequestException, HTTPError, OSError) as error:
        problem = _cause(error)
        # Behind a hotel's login page every certificate is wrong: that is no working network.
        reached = exchange.reached and not isinstance(error, requests.exceptions.SSLError)
    else:
        return
    raise NoAnswer(f"{shown(url)} gave no answer: {problem}. Try again later.", reached=reached)


def _cause(error: BaseException) -> str:
    """Return what went wrong, in words that hold nothing of the request."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({seen.verify_message})"
        if isinstance(seen, ssl.SSLError):
            return f"TLS failed ({seen.reason})"
        if isinstance(seen, TimeoutError):
            return "it paused too long"
        if isinstance(seen, ConnectionError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return "it broke off"
