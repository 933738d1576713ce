"""The mains: the whole platform in one process, and the commands around it."""

import os
import time

# Read when gRPC is first imported: what its core would print, our errors say in one line.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

# Before anything large is imported: loading it is part of a start.
STARTED_S = time.monotonic()
