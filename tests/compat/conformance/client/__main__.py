"""Runs the probes of the client's methods against the tracking server of the environment.

Prints one JSON object: the outcomes of each method's probes.
"""

from __future__ import annotations

import json
import sys

from tests.compat.conformance.client import fluent, registry, tracking
from tests.compat.conformance.client.told import outcome

PROBES = {**tracking.PROBES, **registry.PROBES, **fluent.PROBES}


def main() -> None:
    found = {name: [outcome(probe) for probe in probes] for name, probes in PROBES.items()}
    json.dump(found, sys.stdout, default=str)


if __name__ == "__main__":
    main()
