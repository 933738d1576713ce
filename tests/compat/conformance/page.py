"""Writes docs/compatibility.md from what a comparison found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tests.compat.conformance.reasons import Reason

PAGE = Path(__file__).parents[3] / "docs" / "compatibility.md"
_INTRO = """\
# Compatibility with MLflow

Made by `make compat-table`, which asks MLflow {version} and Modelyard the same and compares the
answers; the test suite does so, too, and fails when this page is out of date.

- **{same_results} of {routes}** classic routes and **{same_method_results} of {methods}** classic
  methods of the Python client give the same result wherever both accept what is asked.
- **{same_cases:,} of {cases:,}** requests to these routes, right ones and wrong ones, are answered
  alike; {same_routes} routes and {same_methods} methods agree on every refusal, too. Each
  difference is a decision, listed below.
- {offered} of MLflow's routes are for generative AI, webhooks, workspaces or MLflow's own page.
  They are answered with 501 and an error in JSON, or not at all.

Alike means the same status, error code, fields and values. Not compared are ids, times, made-up
names, the order of tags, the words of errors, and fields that MLflow does not have. A client
cannot tell an unset field from an empty one, so neither does the comparison. Two differences are
everywhere: Modelyard says who did something where MLflow leaves `user_id` empty, and has no
workspaces but `default`: a request for another one is refused with 400. A request that a client
repeats after a lost connection may happen twice, as with MLflow, unless it carries an
`idempotency-key`.
"""


def page(
    version: str,
    routes: Mapping[str, list[Reason | None]],
    methods: Mapping[str, list[Reason | None]],
    results: Collection[str],
    left_out: Mapping[str, Mapping[str, str]],
) -> str:
    """Return the page.

    Args:
        version: Of MLflow.
        routes: By route, the reason of each of its cases, or None where the answers are alike.
        methods: The same of the client's methods.
        results: The routes and methods that both accept something on and answer differently.
        left_out: The "routes" and "methods" that are not offered, with their kind.
    """
    cases = [reason for reasons in routes.values() for reason in reasons]
    every = cases + [reason for reasons in methods.values() for reason in reasons]
    parts = [
        _INTRO.format(
            version=version,
            cases=len(cases),
            same_cases=sum(reason is None for reason in cases),
            routes=len(routes),
            same_results=len(routes.keys() - results),
            same_method_results=len(methods.keys() - results),
            same_routes=_alike(routes),
            methods=len(methods),
            same_methods=_alike(methods),
            offered=len(left_out["routes"]),
        ),
        "\n## What differs, and why\n\n",
        *_reasons(every),
        "\n## Routes\n\nEach `/api/` route is also answered under `/ajax-api/`.\n\n",
        *_table("route", "requests", routes),
        "\n## Methods of the Python client\n\n",
        *_table("method", "probes", methods),
        "\n## Not offered\n\n",
        *_not_offered(left_out),
    ]
    return "".join(parts)


def _alike(things: Mapping[str, list[Reason | None]]) -> int:
    return sum(not any(reasons) for reasons in things.values())


def _reasons(every: Iterable[Reason | None]) -> Iterable[str]:
    counts = Counter(reason for reason in every if reason is not None)
    yield "| name | difference | seen |\n|---|---|---|\n"
    for reason in sorted(counts, key=lambda reason: reason.name):
        yield f"| {_name(reason)} | {reason.value} | {counts[reason]} |\n"


def _table(what: str, asked: str, things: Mapping[str, list[Reason | None]]) -> Iterable[str]:
    yield f"| {what} | {asked} | alike | differences |\n|---|---|---|---|\n"
    for name in sorted(things, key=_by_path):
        reasons = things[name]
        differ = Counter(_name(reason) for reason in reasons if reason is not None)
        told = ", ".join(f"{reason} {count}" for reason, count in sorted(differ.items()))
        alike = sum(reason is None for reason in reasons)
        yield f"| `{name}` | {len(reasons)} | {alike} | {told} |\n"


def _name(reason: Reason) -> str:
    return reason.name.lower().replace("_", " ")


def _by_path(name: str) -> tuple[str, str]:
    method, _, path = name.rpartition(" ")
    return (path, method)


_KINDS = {
    "genai": "Generative AI: traces, prompts, scorers, evaluation datasets, the AI gateway",
    "local": "What concerns the caller's machine, Databricks or MLflow's own installation",
    "page": "MLflow's own page and what only it asks",
    "webhooks": "Webhooks",
    "workspaces": "Workspaces",
}


def _not_offered(left_out: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for what, kinds in left_out.items():
        for kind, count in Counter(kinds.values()).items():
            counts[kind][what] = count
    yield "| what | routes | methods |\n|---|---|---|\n"
    for kind in sorted(counts):
        found = counts[kind]
        yield f"| {_KINDS[kind]} | {found.get('routes', 0)} | {found.get('methods', 0)} |\n"
