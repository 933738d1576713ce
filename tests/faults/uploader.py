"""A person's script: logs small models with the SDK and registers them, until it is stopped.

    python uploader.py GATEWAY NAME SEED [COUNT]

Says `uploading` before each upload and `registered VERSION` after. What fails is tried again with
new files: it is killed at any moment, and so are the services.
"""

from __future__ import annotations

import random
import sys
import tempfile
from itertools import count, islice
from pathlib import Path

import modelyard
from modelyard.exceptions import ModelyardException

_FILES = 3
_MOST_BYTES = 200_000


def upload_and_register(name: str, chance: random.Random) -> str:
    """Log files of random bytes, one the same each time, and register them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shared.bin").write_bytes(b"the same in each version")
        (Path(folder) / "MLmodel").write_text("flavors: {}")
        for number in range(_FILES):
            data = chance.randbytes(chance.randint(1, _MOST_BYTES))
            (Path(folder) / f"weights-{number}.bin").write_bytes(data)
        with modelyard.start_run() as run:
            modelyard.log_artifacts(folder, "model")
    version = modelyard.register_model(f"runs:/{run.info.run_id}/model", name)
    return str(version.version)


def main() -> None:
    gateway, name, seed, *most = sys.argv[1:]
    modelyard.set_tracking_uri(gateway)
    chance = random.Random(int(seed))  # noqa: S311 - bytes of a test
    for _ in islice(count(), int(most[0]) if most else None):
        print("uploading", flush=True)  # noqa: T201 - read by the test
        try:
            print("registered", upload_and_register(name, chance), flush=True)  # noqa: T201
        except ModelyardException as error:
            print("refused", error.error_code, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
