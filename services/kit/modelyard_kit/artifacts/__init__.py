"""Content-addressed bytes: the port, its adapters, manifests and logical paths.

Adapters are imported by whoever chooses one: `modelyard_kit.artifacts.local` and
`tests.support.stores.memory`.
"""

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.manifest import Manifest, ManifestFile, ManifestPart
from modelyard_kit.artifacts.parts import PART_BYTES, PartHasher
from modelyard_kit.artifacts.paths import logical_path
from modelyard_kit.artifacts.signing import Grant, UrlSigner
from modelyard_kit.artifacts.store import ArtifactStore, PresignedPut, StoredObject

__all__ = [
    "PART_BYTES",
    "ArtifactStore",
    "Digest",
    "Grant",
    "Manifest",
    "ManifestFile",
    "ManifestPart",
    "PartHasher",
    "PresignedPut",
    "StoredObject",
    "UrlSigner",
    "logical_path",
]
