"""Lower bounds of an RPC: an empty call, and a call with a durable commit of one row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

import grpc


def serve(url: str, ready: Connection) -> None:
    """Serve `/floor/Empty` and `/floor/Commit` until the parent ends.

    Args:
        url: URL of a database without a table `floor`.
        ready: Receives the port.
    """
    write = _sqlite(url) if url.startswith("sqlite:///") else _postgresql(url)

    def empty(request: bytes, _context: grpc.ServicerContext) -> bytes:
        return request

    def commit(request: bytes, _context: grpc.ServicerContext) -> bytes:
        write()
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(behavior)
        for name, behavior in (("Empty", empty), ("Commit", commit))
    }
    server.add_registered_method_handlers("floor", handlers)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor", handlers),))
    ready.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def _sqlite(url: str) -> Callable[[], object]:
    path = url.removeprefix("sqlite:///")
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE floor (n INTEGER)")
    return lambda: database.execute("INSERT INTO floor VALUES (1)")


def _postgresql(url: str) -> Callable[[], object]:
    import psycopg

    database = psycopg.connect(url, autocommit=True)
    database.execute("CREATE TABLE floor (n INTEGER)")
    return lambda: database.execute("INSERT INTO floor VALUES (1)")
