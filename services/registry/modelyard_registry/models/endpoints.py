"""The tables of endpoints. A document of an endpoint is one row."""

from __future__ import annotations

import json

from sqlalchemy import BigInteger, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from modelyard_registry.models.base import Base, Chained
from modelyard_registry.rules.endpoints import uris_of
from modelyard_registry.rules.history import Document

_ENDPOINT = String(63)


class EndpointName(Base):
    """What outlives an endpoint: the head of its history. Locked first."""

    __tablename__ = "endpoint_name"

    name: Mapped[str] = mapped_column(_ENDPOINT, primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    head_hash: Mapped[str] = mapped_column(String(64))


class EndpointModel(Base):
    """A registered model that an endpoint refers to, or once did: who may see it depends on them.

    It is never deleted, as the events that name it.
    """

    __tablename__ = "endpoint_model"

    name: Mapped[str] = mapped_column(ForeignKey(EndpointName.name), primary_key=True)
    model: Mapped[str] = mapped_column(String(256), primary_key=True)
    """Its name; empty for all that is not registered, but of some run or logged model."""


class Endpoint(Base):
    __tablename__ = "endpoint"

    name: Mapped[str] = mapped_column(ForeignKey(EndpointName.name), primary_key=True)
    spec: Mapped[str] = mapped_column(Text)
    """As canonical JSON, without what is unset or empty."""
    status: Mapped[str] = mapped_column(Text)
    """Where each of its targets stands, as JSON by URI; in no document."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)

    names: Mapped[EndpointName] = relationship(viewonly=True, lazy="joined", innerjoin=True)

    @property
    def etag(self) -> str:
        return str(self.names.revision)

    @property
    def wanted(self) -> Document:
        """Its spec, to be read only."""
        return dict(json.loads(self.spec))

    @property
    def reported(self) -> dict[str, Document]:
        """Where each of its targets stands, by URI, to be read only."""
        return dict(json.loads(self.status))

    @property
    def statuses(self) -> list[Document]:
        """Where each of its targets stands, in the order of the spec."""
        reported = self.reported
        return [{"model_uri": uri} | reported[uri] for uri in uris_of(self.wanted)]

    @property
    def document(self) -> Document:
        return {
            "spec": self.wanted,
            "created_ms": self.created_ms,
            "updated_ms": self.updated_ms,
        }


class EndpointEvent(Chained, Base):
    """One change of one endpoint."""

    __tablename__ = "endpoint_event"

    name: Mapped[str] = mapped_column(ForeignKey(EndpointName.name), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
