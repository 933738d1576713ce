"""The page at `/`: what this server is, what runs, and how to point a client at it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from starlette.responses import HTMLResponse, Response

from modelyard_kit.http.exchange import Headers
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import JsonResponse

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 42rem; padding: 3rem 1.25rem; }
h1 { font-size: 1.75rem; margin: 0; }
h1 small { color: GrayText; font-size: 1rem; font-weight: normal; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; }
td { padding: .1rem 2rem .1rem 0; }
td.ready { color: light-dark(#14691f, #6fd27d); }
td.missing { color: light-dark(#a31515, #ff8a80); }
pre { background: light-dark(#f3f4f6, #23272e); border-radius: .4rem; overflow-x: auto;
  padding: .8rem 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'".encode(),
    ),
)
"""Headers of the page: one style, and nothing else."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Modelyard</title>
<style>{style}</style>
</head>
<body>
<h1>Modelyard <small>{version}</small></h1>
<p>Tracks runs, registers models as versions, and moves them through stages.</p>
<h2>Services</h2>
<table>{services}</table>
<h2>Use it from Python</h2>
<pre>import modelyard

modelyard.set_tracking_uri("{url}")</pre>
<p>Or for any script, also one that uses MLflow's client:</p>
<pre>export MODELYARD_TRACKING_URI={url}
export MLFLOW_TRACKING_URI={url}</pre>
{token}
<h2>More</h2>
<table>{links}</table>
</body>
</html>
"""

_AUTHENTICATING = (
    "<p>This server requires a token: set <code>MODELYARD_TOKEN</code>, or "
    "<code>MLFLOW_TRACKING_TOKEN</code> for MLflow's clients. An admin creates one with "
    "<code>modelyard tokens create</code>.</p>"
)

_UNCACHED = {"cache-control": "no-store", "vary": "accept"}
_LINKS = {
    "/health": "whether every service is ready",
    "/openapi.json": "the HTTP API, as OpenAPI",
    "/.well-known/modelyard": "gRPC targets for clients",
    "/version": "the version",
}
_METRICS = {"/metrics": "metrics for Prometheus"}


def respond(
    request: Request, version: str, url: str, is_ready: Mapping[str, bool], *, needs_token: bool
) -> Response:
    """Return the page for a browser, and its content as JSON for other clients.

    Args:
        request: The request.
        version: Version of the server.
        url: URL at which clients reach it.
        is_ready: Whether each service is ready, by its name.
        needs_token: Whether callers need a token.
    """
    links = _LINKS if needs_token else _LINKS | _METRICS
    if "text/html" not in request.exchange.header(b"accept").lower():
        document = {"name": "modelyard", "version": version, "url": url, "ready": dict(is_ready)}
        return JsonResponse(document | {"needs_token": needs_token, "links": links}, 200, _UNCACHED)
    return HTMLResponse(
        page(version, url, is_ready, links, needs_token=needs_token), 200, _UNCACHED
    )


def page(
    version: str,
    url: str,
    is_ready: Mapping[str, bool],
    links: Mapping[str, str],
    *,
    needs_token: bool,
) -> str:
    """Return the page as HTML; arguments as of `respond`, and the paths to link to."""
    services = "".join(
        f"<tr><td>{escape(name)}</td>"
        + ('<td class="ready">ready</td>' if ready else '<td class="missing">not ready</td>')
        + "</tr>"
        for name, ready in is_ready.items()
    )
    linked = "".join(
        f'<tr><td><a href="{path}">{path}</a></td><td>{escape(text)}</td></tr>'
        for path, text in links.items()
    )
    token = _AUTHENTICATING if needs_token else ""
    return _PAGE.format(
        style=_STYLE,
        version=escape(version),
        url=escape(url),
        services=services,
        token=token,
        links=linked,
    )
