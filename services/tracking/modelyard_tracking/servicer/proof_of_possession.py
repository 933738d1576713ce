from __future__ import annotations

from collections.abc import Collection

from modelyard_kit.artifacts import ArtifactStore, Digest, PresignedPut, UrlSigner
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.rpc.caller import caller
from modelyard_tracking.operations import proof_of_possession
from modelyard_tracking.rules.artifacts import LEASE_MS


class ProofOfPossession:
    """Checks that callers with a scope have the bytes of objects already stored (docs/adr/0018).

    Args:
        database: Database of tracking.
        store: Store with the receipts of uploads.
        signer: Signs upload URLs of the gateway and receipts.
        clock: Returns Unix time in milliseconds.
    """

    def __init__(
        self, database: Database, store: ArtifactStore, signer: UrlSigner, clock: Clock
    ) -> None:
        self._database = database
        self._store = store
        self._signer = signer
        self._clock = clock

    def unproven(self, digests: Collection[Digest]) -> set[Digest]:
        """Return the objects that the caller can neither see nor has uploaded.

        They must be treated as missing. A caller without a scope needs no proof.
        """
        identity = caller.get()
        if not identity.grant.scope:
            return set()
        with self._database.read(identity.remaining_s()) as session:
            hidden = proof_of_possession.hidden_objects(session, digests)
        receipts = {self._receipt(digest, identity.grant.principal): digest for digest in hidden}
        uploaded = self._store.sizes_bytes(receipts)
        return hidden - {receipts[receipt] for receipt in uploaded}

    def presign(self, digest: Digest, size_bytes: int) -> PresignedPut:
        """Return an upload URL of the gateway, which hashes the bytes and stores a receipt."""
        expires_at_s = (self._clock() + LEASE_MS) // 1000
        sender = caller.get().grant.principal
        return PresignedPut(self._signer.put_url(digest, size_bytes, expires_at_s, sender), {})

    def _receipt(self, digest: Digest, sender: str) -> Digest:
        return Digest.of(self._signer.receipt(digest, sender))
