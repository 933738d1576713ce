"""Client of the demo: requests predictions continuously and counts the answers."""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# The tutorial's curl request: one iris flower, as columns and data.
BODY = json.dumps(
    {
        "dataframe_split": {
            "columns": ["SepalLength", "SepalWidth", "PetalLength", "PetalWidth"],
            "data": [[5.1, 3.5, 1.4, 0.2]],
        }
    }
)
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction, and the version that answered."""

    version: str
    predictions: list[Any]


class Client:
    """Sends `POST {url}/invocations`, over one connection while that lasts."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)

    def ask(self) -> Answer:
        """Return the answer to the tutorial's request.

        Raises:
            ValueError: The request was refused; includes the response.
            OSError: The server could not be reached.
            http.client.HTTPException: The connection broke.
        """
        self._connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status != http.client.OK:
            raise ValueError(f"{reply.status}: {body[:200].decode(errors='replace')}")
        return Answer(reply.headers["x-model-version"], json.loads(body)["predictions"])

    def close(self) -> None:
        self._connection.close()


class Asker:
    """Sends requests continuously on its own thread until it is closed.

    Attributes:
        answered: Number of answered requests.
        failures: Errors of the other requests.
    """

    def __init__(self, url: str) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._client = Client(url)
        self._changed = threading.Condition()
        self._last: Answer | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asker", daemon=True)
        self._thread.start()

    def wait_for(self, version: str, timeout_s: float) -> Answer:
        """Return the first answer from a version.

        Raises:
            TimeoutError: The version did not answer in time.
        """
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._last is not None and self._last.version == version, timeout_s
            ):
                raise TimeoutError(f"no answer from version {version} within {timeout_s:g} s")
            assert self._last is not None  # noqa: S101 - ensured by the wait
            return self._last

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._client.ask()
            except (ValueError, OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                self._client.close()
                continue
            with self._changed:
                self.answered += 1
                self._last = answer
                self._changed.notify_all()
