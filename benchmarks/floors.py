"""Lower bounds of an RPC: an empty call, and a call with a durable commit of one row."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import grpc

THREADS = 8


@contextmanager
def served(url: str) -> Iterator[grpc.Channel]:
    """Run the floor in a process of its own; yield a channel to `/floor/Empty` and `/floor/Commit`.

    Args:
        url: URL of a database without a table `floor`.
    """
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    context.Process(target=_serve, args=(url, child), daemon=True).start()
    with grpc.insecure_channel(f"127.0.0.1:{parent.recv()}") as channel:
        yield channel


def _serve(url: str, ready: Connection) -> None:
    """Serve until the parent ends; send it the port."""
    write = _sqlite(url) if url.startswith("sqlite:///") else _postgresql(url)

    def empty(request: bytes, _context: grpc.ServicerContext) -> bytes:
        return request

    def commit(request: bytes, _context: grpc.ServicerContext) -> bytes:
        write()
        return request

    server = grpc.server(ThreadPoolExecutor(THREADS))
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
    """Return a write on one connection; SQLite has one writer at a time."""
    path = url.removeprefix("sqlite:///")
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE floor (n INTEGER)")
    lock = threading.Lock()

    def write() -> None:
        with lock:
            database.execute("INSERT INTO floor VALUES (1)")

    return write


def _postgresql(url: str) -> Callable[[], object]:
    """Return a write on a connection of the calling thread."""
    import psycopg

    with psycopg.connect(url) as database:
        database.execute("CREATE TABLE floor (n INTEGER)")
    own = threading.local()

    def write() -> None:
        if not hasattr(own, "database"):
            own.database = psycopg.connect(url, autocommit=True)
        own.database.execute("INSERT INTO floor VALUES (1)")

    return write
