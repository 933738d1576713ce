"""Generate the Python stubs from the contract, or check that the committed ones are fresh.

    python tools/gen_stubs.py            write clients/python/modelyard/api
    python tools/gen_stubs.py --check    exit 1 and name each file that differs

The generator is old on purpose (docs/adr/0004): its stubs load on protobuf 5.29 to 7. It requires
protobuf < 6, so it has its own environment under .cache, and runs on Python 3.11 to 3.13, for which
it has wheels; on any other Python the check is skipped with a message.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "clients/python/modelyard/api"
LOCK = ROOT / "tools/gen_stubs.lock"
GENERATOR_PYTHONS = ((3, 11), (3, 12), (3, 13))


def generator_python() -> Path:
    """Return the interpreter of the generator's own environment, created on first use."""
    home = ROOT / ".cache" / f"gen_stubs-{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    stamp = home / "installed.lock"
    if not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        venv.create(home, clear=True, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--require-hashes", "-r", LOCK], check=True
        )
        shutil.copyfile(LOCK, stamp)
    return python


def generate(target: Path) -> None:
    """Write the stubs of every file of the contract below `target`, as packages."""
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("modelyard/**/*.proto"))
    subprocess.run(
        [
            generator_python(),
            *("-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{PROTOS / 'third_party'}"),
            *(f"--python_out={target}", f"--pyi_out={target}", f"--grpc_python_out={target}"),
            *sources,
        ],
        check=True,
    )
    for stub in target.rglob("*_pb2_grpc.py"):  # message files declare no service
        if not stub.name.endswith("_service_pb2_grpc.py"):
            stub.unlink()
    api = target / "modelyard" / "api"
    for package in {api, *(stub.parent for stub in api.rglob("*.py"))}:
        (package / "__init__.py").touch()
        if package.parent != target / "modelyard":
            (package.parent / "__init__.py").touch()


def differences(fresh: Path) -> list[str]:
    """Return the names of the files that differ between `fresh` and the committed stubs."""
    names = {
        str(path.relative_to(tree))
        for tree in (fresh, STUBS)
        for path in tree.rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    }
    return sorted(
        name
        for name in names
        if not (fresh / name).exists()
        or not (STUBS / name).exists()
        or not filecmp.cmp(fresh / name, STUBS / name, shallow=False)
    )


def main(arguments: list[str]) -> int:
    if sys.version_info[:2] not in GENERATOR_PYTHONS:
        print("gen_stubs: skipped, the generator has no wheel for this Python; use 3.11 to 3.13")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / "modelyard" / "api"
        if "--check" in arguments:
            stale = differences(fresh)
            for name in stale:
                print(f"gen_stubs: {name} differs from the contract; run `make protos`")
            return 1 if stale else 0
        shutil.rmtree(STUBS, ignore_errors=True)
        shutil.copytree(fresh, STUBS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
