"""`modelyard tokens create|list|revoke`: API tokens of a deployment.

A token is generated on this machine and shown once; the server gets only its hash. Exit codes:
0 done, 1 refused or failed, 2 usage, 130 Ctrl-C.
"""

# ruff: noqa: T201 - a command answers by printing

from __future__ import annotations

import argparse
import hashlib
import json
import re
import secrets
import string
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.api.access.v1 import access_pb2 as pb
from modelyard.command_line import Parser
from modelyard.exceptions import ModelyardException, NotFound
from modelyard.internal import connections, rpc
from modelyard_kit.auth.grants import API_TOKEN

_ALPHABET = string.digits + string.ascii_letters
_ID_LENGTH, _SECRET_LENGTH = 10, 43  # 62^43 > 2^256
_DURATION = re.compile(r"([1-9][0-9]{0,4})([dh])")
_SECONDS = {"d": 24 * 60 * 60, "h": 60 * 60}
_PAGE = 1000
_COLUMNS = ("id", "name", "role", "models", "experiments", "state", "expires", "created_by")


def run(argv: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    options = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except ModelyardException as error:
        print(f"modelyard tokens: {error.message}", file=sys.stderr)
        return 1
    return 0


def _create(options: argparse.Namespace) -> None:
    uri = connections.registry_uri()
    if not rpc.call(uri, pb.GetCallerRequest(), pb.GetCallerResponse).name:
        print(
            "This server does not require tokens: every client that can reach it may do "
            "everything. Start it with MODELYARD_TOKEN_FILE to require tokens.",
            file=sys.stderr,
        )
    token_id, secret = _random(_ID_LENGTH), _random(_SECRET_LENGTH)
    token = f"modelyard_{token_id}_{secret}"
    request = pb.CreateTokenRequest(
        id=token_id,
        sha256=hashlib.sha256(token.encode()).hexdigest(),
        name=options.name,
        role=options.role.upper(),
        models=options.models,
        experiments=options.experiments,
        expire_time=_expire_time(options.expires),
    )
    made = rpc.call(uri, request, pb.CreateTokenResponse).token
    expiry = "It does not expire"
    if made.HasField("expire_time"):
        expiry = f"It expires at {_shown(made.expire_time)}"
    print(
        f"The token '{made.name}' is shown only once; store it where only its bearer can read it. "
        f"{expiry}; to revoke it: modelyard tokens revoke {made.id}",
        file=sys.stderr,
    )
    print(token)


def _list(options: argparse.Namespace) -> None:
    rows = [_row(token) for token in _tokens()]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    texts = [[_text(row[column]) for column in _COLUMNS] for row in rows]
    for line in _aligned([[column.upper() for column in _COLUMNS], *texts]):
        print(line)


def _revoke(options: argparse.Namespace) -> None:
    whole = API_TOKEN.fullmatch(options.token)
    wanted = whole[1] if whole else options.token
    known = {token.id: token for token in _tokens()}
    named = {token.name: token for token in known.values()}
    found = known.get(wanted) or named.get(wanted)
    if found is None:
        raise NotFound(
            f"No token has the id or name '{wanted}'; modelyard tokens list shows all tokens."
        )
    request = pb.RevokeTokenRequest(id=found.id)
    token = rpc.call(connections.registry_uri(), request, pb.RevokeTokenResponse).token
    print(f"The token '{token.name}' ({token.id}) is revoked; every service refuses it within 5 s.")


def _tokens() -> Iterator[pb.Token]:
    call = partial(rpc.call, connections.registry_uri())
    for page in rpc.pages(call, pb.ListTokensRequest(page_size=_PAGE), pb.ListTokensResponse):
        yield from page.tokens


def _row(token: pb.Token) -> dict[str, str | list[str] | None]:
    return {
        "id": token.id,
        "name": token.name,
        "role": pb.Role.Name(token.role).lower(),
        "models": list(token.models),
        "experiments": list(token.experiments),
        "state": _state(token),
        "expires": _shown(token.expire_time) if token.HasField("expire_time") else None,
        "created": _shown(token.create_time),
        "created_by": token.created_by,
        "revoked": _shown(token.revoke_time) if token.HasField("revoke_time") else None,
        "revoked_by": token.revoked_by or None,
    }


def _state(token: pb.Token) -> str:
    if token.HasField("revoke_time"):
        return "revoked"
    if token.HasField("expire_time") and token.expire_time.ToSeconds() <= time.time():
        return "expired"
    return "valid"


def _text(value: str | list[str] | None) -> str:
    if isinstance(value, list):
        return " ".join(value) or "*"
    return "never" if value is None else value


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _shown(moment: Timestamp) -> str:
    return moment.ToDatetime().strftime("%Y-%m-%d %H:%M UTC")


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _expire_time(after_s: int | None) -> Timestamp | None:
    return None if after_s is None else Timestamp(seconds=int(time.time()) + after_s)


def _duration(text: str) -> int | None:
    if text == "never":
        return None
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise argparse.ArgumentTypeError(
            f"expected a number of days or hours such as 90d or 12h, or never, got '{text}'"
        )
    return int(parts[1]) * _SECONDS[parts[2]]


def _parser() -> Parser:
    parser = Parser(
        prog="modelyard tokens",
        description="Create, list and revoke API tokens. The server is that of "
        "MODELYARD_TRACKING_URI; an admin's token is required, in MODELYARD_TOKEN or "
        "MODELYARD_TOKEN_FILE.",
        examples=("create --name trainer --role contributor", "list", "revoke trainer"),
    )
    words = parser.add_subparsers(metavar="create|list|revoke", required=True)
    _add_create(words)
    listing = words.add_parser(
        "list",
        help="list all tokens, without their secrets",
        description="List all tokens, without their secrets.",
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(command=_list)
    revoke = words.add_parser(
        "revoke", help="revoke a token permanently", description="Revoke a token permanently."
    )
    revoke.add_argument("token", metavar="ID|NAME|TOKEN", help="id, name, or the token itself")
    revoke.set_defaults(command=_revoke)
    return parser


def _add_create(words: Any) -> None:
    create = words.add_parser(
        "create",
        help="create a token and print it, once",
        description="Create a token and print it, once.",
        examples=("--name trainer --role contributor --models 'iris*' --expires 30d",),
    )
    create.add_argument("--name", required=True, help="name of the bearer in histories; unique")
    roles = [role.lower() for role in pb.Role.keys()[1:]]
    create.add_argument("--role", required=True, choices=roles, help="role of the token")
    for kind in ("models", "experiments"):
        create.add_argument(
            f"--{kind}",
            nargs="+",
            action="extend",
            default=[],
            metavar="PATTERN",
            help=f"restrict it to {kind} of matching names, with * and ? (default: all)",
        )
    create.add_argument(
        "--expires",
        type=_duration,
        default="90d",
        metavar="90d|12h|never",
        help="lifetime of the token (default: 90d)",
    )
    create.set_defaults(command=_create)
