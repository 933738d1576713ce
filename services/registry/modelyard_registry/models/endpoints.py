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
    """The head of an endpoint's history, which outlives the endpoint. Locked first."""

    __tablename__ = "endpoint_name"

    name: Mapped[str] = mapped_column(_ENDPOINT, primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    head_hash: Mapped[str] = mapped_column(String(64))


class EndpointModel(Base):
    """A registered model that an endpoint refers to, or once did; scopes are checked against it.

    Rows are never deleted, like the events that name the model.
    """

    __tablename__ = "endpoint_model"

    name: Mapped[str] = mapped_column(ForeignKey(EndpointName.name), primary_key=True)
    model: Mapped[str] = mapped_column(String(256), primary_key=True)
    """Name of the model; empty for targets that are not registered but in a run or logged model."""


class Endpoint(Base):
    __tablename__ = "endpoint"

    name: Mapped[str] = mapped_column(ForeignKey(EndpointName.name), primary_key=True)
    spec: Mapped[str] = mapped_column(Text)
    """The spec as canonical JSON, without unset and empty fields."""
    status: Mapped[str] = mapped_column(Text)
    """Reported status of each target, as JSON by model URI; not part of the document."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)

    names: Mapped[EndpointName] = relationship(viewonly=True, lazy="joined", innerjoin=True)

    @property
    def etag(self) -> str:
        return str(self.names.revision)

    @property
    def wanted(self) -> Document:
        """The spec, as a read-only object."""
        return dict(json.loads(self.spec))

    @property
    def reported(self) -> dict[str, Document]:
        """Reported status of each target by model URI, as a read-only object."""
        return dict(json.loads(self.status))

    @property
    def statuses(self) -> list[Document]:
        """Reported status of each target, in the order of the spec."""
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
