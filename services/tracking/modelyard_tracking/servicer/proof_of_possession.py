from __future__ import annotations

from collections.abc import Collection

from modelyard_kit.artifacts import ArtifactStore, Digest, PresignedPut, UrlSigner
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.rpc.calls import caller
from modelyard_tracking.operations import proof_of_possession
from modelyard_tracking.rules.artifacts import LEASE_MS


class Possession:
    """That a caller with a scope has the bytes of what is there already (docs/adr/0018)."""

    database: Database
    store: ArtifactStore
    signer: UrlSigner
    clock: Clock

    def withheld(self, digests: Collection[Digest]) -> set[Digest]:
        """Return those objects that the caller neither sees nor has sent: they count as missing."""
        who = caller.get()
        if not who.grant.scope:
            return set()
        with self.database.read(who.remaining_s()) as session:
            hidden = proof_of_possession.hidden_objects(session, digests)
        receipts = {self._receipt(digest, who.grant.principal): digest for digest in hidden}
        sent = self.store.sizes_bytes(receipts)
        return hidden - {receipts[receipt] for receipt in sent}

    def presign_withheld(self, digest: Digest, size_bytes: int) -> PresignedPut:
        """Return where to send what is there already: the gateway, which hashes it."""
        expires_at_s = (self.clock() + LEASE_MS) // 1000
        sender = caller.get().grant.principal
        return PresignedPut(self.signer.put_url(digest, size_bytes, expires_at_s, sender), {})

    def _receipt(self, digest: Digest, sender: str) -> Digest:
        return Digest.of(self.signer.receipt(digest, sender))
