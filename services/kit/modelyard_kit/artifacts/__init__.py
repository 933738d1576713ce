"""Content-addressed bytes: the port, its adapters, manifests and logical paths.

Adapters are imported by whoever chooses one: `modelyard_kit.artifacts.local` and
`tests.support.stores.memory`.
"""

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.manifest import Manifest, ManifestFile, ManifestPart
from modelyard_kit.artifacts.parts import PART_BYTES, PartHasher
from modelyard_kit.artifacts.paths import logical_path
from modelyard_kit.artifacts.signing import UrlGrant, UrlSigner
from modelyard_kit.artifacts.store import ArtifactStore, ObjectInfo, PresignedPut

__all__ = [
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
