"""The pages that a user sees in a browser under Entra's host names. A user is chosen; no password is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from azure_sandbox.entra.directory import User
from azure_sandbox.front.http import Reply, Request

_STYLE = (
    "body{font:16px/1.5 'Segoe UI',sans-serif;background:#f2f2f2;margin:0}"
    "main{max-width:26rem;margin:12vh auto;background:#fff;padding:2.5rem;box-shadow:0 2px 6px #0003}"
    "h1{font-size:1.4rem;margin:0 0 1rem}"
    "input[type=text]{width:100%;box-sizing:border-box;font-size:1.1rem;padding:.4rem}"
    "label{display:block;padding:.5rem 0;border-bottom:1px solid #ddd}button{font-size:1rem;padding:.5rem 1.5rem;"
    "background:#0067b8;color:#fff;border:0;margin:1.2rem .5rem 0 0}small{color:#666}.no{color:#a80000}"
)


def wants_page(request: Request) -> bool:
    """Return whether the request comes from a browser."""
    return "text/html" in request.headers.get("Accept", "")


def page(title: str, content: str, status: int = 200) -> Reply:
    """Return a page. `content` is HTML."""
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><main><h1>{escape(title)}</h1>{content}"
        "<p><small>A local sandbox, not Microsoft.</small></main></html>"
    )
    return Reply(status, text, {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"})


def device_form(people: Iterable[User], code: str = "") -> Reply:
    """Return the page on which a code is typed and a user chosen."""
    field = (
        "<p>Enter the code displayed on your app or device.<input type=text name=user_code required autofocus "
        f"autocomplete=off placeholder=Code value='{escape(code, quote=True)}'>"
    )
    return page("Enter code", _form(field, people, {}, "/common/oauth2/deviceauth"))


def chooser(people: Iterable[User], hidden: Mapping[str, str], action: str) -> Reply:
    """Return the page on which a user is chosen for an application that opened the browser."""
    return page("Pick an account", _form("", people, hidden, action))


def _form(fields: str, people: Iterable[User], hidden: Mapping[str, str], action: str) -> str:
    choices = "".join(
        f"<label><input type=radio name=username required value='{escape(it.upn, quote=True)}'> "
        f"{escape(it.display_name)} <small>{escape(it.upn)}</small></label>"
        for it in people
    )
    kept = "".join(
        f"<input type=hidden name='{escape(name, quote=True)}' value='{escape(value, quote=True)}'>"
        for name, value in hidden.items()
    )
    nobody = "" if choices else "<p class=no>This world has no users; add some under <code>users</code>."
    return (
        f"<form method=post action='{escape(action, quote=True)}'>{fields}{kept}{choices}{nobody}"
        "<button>Sign in</button><button name=deny value=1 formnovalidate>Cancel</button></form>"
    )


def signed_in(user: User) -> Reply:
    """Return the last page of a device-code sign-in."""
    return page("You have signed in", f"<p>{escape(user.upn)}: you may now close this window.")


def refused(words: str, status: int) -> Reply:
    """Return the page that shows an error."""
    return page("You can't get there from here", f"<p class=no>{escape(words)}", status)


def handed_over(redirect: str, fields: Mapping[str, str]) -> Reply:
    """Return the page of `response_mode=form_post`, which posts the code to the application."""
    inputs = "".join(
        f"<input type=hidden name='{escape(name, quote=True)}' value='{escape(value, quote=True)}'>"
        for name, value in fields.items()
    )
    form = f"<form method=post action='{escape(redirect, quote=True)}'>{inputs}<button>Continue</button></form>"
    return page("Signing you in", f"{form}<script>document.forms[0].submit()</script>")
