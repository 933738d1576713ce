"""Content-addressed storage: the interface, its implementations, manifests and logical paths.

The implementations are imported where one is chosen: `modelyard_kit.artifacts.choosing` and, for
tests, `tests.support.stores.memory`.
"""

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.manifest import (
    MODEL_FILE,
    Manifest,
    ManifestFile,
    ManifestPart,
)
from modelyard_kit.artifacts.parts import PART_BYTES, PartHasher
from modelyard_kit.artifacts.paths import logical_path
from modelyard_kit.artifacts.signing import UrlGrant, UrlSigner
from modelyard_kit.artifacts.store import ArtifactStore, ObjectInfo, PresignedPut

__all__ = [
    "MODEL_FILE",
    "PART_BYTES",
    "ArtifactStore",
    "Digest",
    "Manifest",
    "ManifestFile",
    "ManifestPart",
    "ObjectInfo",
    "PartHasher",
    "PresignedPut",
    "UrlGrant",
    "UrlSigner",
    "logical_path",
]
