"""Entry points: the whole platform in one process, the single services, and admin commands."""

import os
import time

# Read when gRPC is first imported: our errors report in one line what its core would log.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

# Before anything large is imported: imports are part of the start-up time.
STARTED_S = time.monotonic()
