"""Time the HTTP edge: beside gRPC, then beside MLflow's server under MLflow's own client.

    make clients && python -m benchmarks.http [rounds]

Must be run as a module: for a script, its folder would precede the standard library's `http`.
"""

from __future__ import annotations

import sys

from benchmarks import clients, edge

if __name__ == "__main__":
    edge.main(*map(int, sys.argv[1:]))
    print()
    clients.main(sys.argv[1:])
