"""What is done to endpoints, and what serving processes report of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.auth.scope import check_any_experiment, check_new_model
from modelyard_kit.errors import AlreadyExists, NotFound
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import Endpoint, EndpointEvent, EndpointModel, EndpointName
from modelyard_registry.operations import chains
from modelyard_registry.rules.endpoints import (
    PENDING,
    check_once,
    check_spec,
    masked,
    models_of,
    uris_of,
)
from modelyard_registry.rules.history import (
    FIRST_PREVIOUS_HASH,
    Document,
    EndpointAction,
    Path,
    canonical,
    difference,
)
from modelyard_registry.rules.names import check_etag


def create_endpoint(call: Call, endpoint_id: str, spec: Document, *, comment: str) -> Endpoint:
    """Create an endpoint; the models it names need not exist.

    Raises:
        AlreadyExists: There is one of that id, or was one that the caller may not see.
        PermissionDenied: A model is outside the caller's scope.
    """
    check_spec(spec)
    head = _claimed(call.session, endpoint_id)
    _refer(call.session, endpoint_id, spec)
    endpoint = Endpoint(
        name=endpoint_id,
        spec=canonical(spec),
        status=canonical(_standing(spec, {}, call.now_ms)),
        created_ms=call.now_ms,
        updated_ms=call.now_ms,
    )
    call.session.add(endpoint)
    call.session.flush()
    _record(call, head, EndpointAction.ENDPOINT_CREATED, {}, endpoint.document, comment)
    return endpoint


def get_endpoint(session: Session, endpoint_id: str) -> Endpoint:
    """Return an endpoint.

    Raises:
        NotFound: There is none of that id.
    """
    found = session.get(Endpoint, endpoint_id)
    if found is None:
        raise _no_endpoint(endpoint_id)
    return found


def list_endpoints(session: Session, after: str, limit: int) -> Sequence[Endpoint]:
    """Return endpoints whose id comes after one, by id."""
    rows = select(Endpoint).where(Endpoint.name > after).order_by(Endpoint.name)
    return session.scalars(rows.limit(limit)).all()


def get_head(session: Session, endpoint_id: str) -> EndpointName:
    """Return what is left of an id, whether or not its endpoint exists.

    Raises:
        NotFound: There never was an endpoint of that id.
    """
    found = session.get(EndpointName, endpoint_id)
    if found is None:
        raise NotFound(
            f"There never was an endpoint with id={endpoint_id}", endpoint_id=endpoint_id
        )
    return found


def update_endpoint(
    call: Call,
    endpoint_id: str,
    given: Document,
    paths: Sequence[Path],
    *,
    etag: str,
    comment: str,
) -> Endpoint:
    """Change fields of a spec; to what they are already is no change.

    Args:
        call: Who does it.
        endpoint_id: Of the endpoint.
        given: A spec with the new values.
        paths: Where they are in it; what it lacks there is unset.
        etag: What the caller read; empty for any.
        comment: Why.

    Raises:
        NotFound: There is none of that id.
        Aborted: The etag is stale.
        PermissionDenied: A model is outside the caller's scope.
    """
    head, endpoint = _begin(call.session, endpoint_id)
    check_etag(etag, endpoint.etag)
    spec = masked(endpoint.wanted, given, paths)
    check_spec(spec)
    before = endpoint.document
    if spec == before["spec"]:
        return endpoint
    _refer(call.session, endpoint_id, spec)
    endpoint.status = canonical(_standing(spec, endpoint.reported, call.now_ms))
    endpoint.spec, endpoint.updated_ms = canonical(spec), call.now_ms
    call.session.flush()
    _record(call, head, EndpointAction.ENDPOINT_UPDATED, before, endpoint.document, comment)
    return endpoint


def delete_endpoint(call: Call, endpoint_id: str, *, etag: str, comment: str) -> None:
    """Delete an endpoint; its id keeps its history.

    Raises:
        NotFound: There is none of that id.
        Aborted: The etag is stale.
    """
    head, endpoint = _begin(call.session, endpoint_id)
    check_etag(etag, endpoint.etag)
    before = endpoint.document
    call.session.delete(endpoint)
    call.session.flush()
    _record(call, head, EndpointAction.ENDPOINT_DELETED, before, {}, comment)


def report(call: Call, endpoint_id: str, targets: Sequence[Document]) -> None:
    """Keep where targets stand; those that the endpoint does not have are passed over.

    Raises:
        NotFound: There is none of that id.
    """
    check_once(targets, "targets")
    _, endpoint = _begin(call.session, endpoint_id)
    standing = endpoint.reported
    for target in targets:
        uri = target["model_uri"]
        if uri in standing:
            standing[uri] = _since(standing[uri], target, call.now_ms)
    endpoint.status = canonical(standing)


def _standing(spec: Document, before: Document, now_ms: int) -> Document:
    """Return where the targets of a spec stand: as before, or of new ones nothing is known."""
    unknown = {"state": PENDING, "since_ms": now_ms}
    return {uri: before.get(uri, unknown) for uri in uris_of(spec)}


def _since(before: Document, reported: Document, now_ms: int) -> Document:
    """Return what is kept of a report: with the time of the last one that said something else."""
    kept = {key: value for key, value in reported.items() if key != "model_uri"}
    counted = ("state", "model_version", "model_digest")
    if all(before.get(key) == kept.get(key) for key in counted):
        return kept | {"since_ms": before["since_ms"]}
    return kept | {"since_ms": now_ms}


def _begin(session: Session, endpoint_id: str) -> tuple[EndpointName, Endpoint]:
    """Lock an endpoint that is to be changed."""
    head = session.get(EndpointName, endpoint_id, with_for_update=True)
    endpoint = session.get(Endpoint, endpoint_id)
    if head is None or endpoint is None:
        raise _no_endpoint(endpoint_id)
    return head, endpoint


def _claimed(session: Session, endpoint_id: str) -> EndpointName:
    """Return the head of an id that no endpoint has, locked."""
    head = session.get(EndpointName, endpoint_id, with_for_update=True)
    if head is None:
        # Scopes do not restrict Core: an id may be taken by what the caller may not see.
        taken = EndpointName.__table__.c.name
        if session.scalar(select(taken).where(taken == endpoint_id)) is not None:
            raise _taken(endpoint_id)
        head = EndpointName(name=endpoint_id, revision=0, head_hash=FIRST_PREVIOUS_HASH)
        session.add(head)
        session.flush()
    elif session.get(Endpoint, endpoint_id) is not None:
        raise _taken(endpoint_id)
    return head


def _refer(session: Session, endpoint_id: str, spec: Document) -> None:
    """Remember which models an endpoint refers to, all within the caller's scope."""
    for model in models_of(spec):
        if model:
            check_new_model(session, model)
        else:
            check_any_experiment(session)
        session.merge(EndpointModel(name=endpoint_id, model=model))
    session.flush()


def _record(
    call: Call,
    head: EndpointName,
    action: EndpointAction,
    before: Document,
    after: Document,
    comment: str,
) -> None:
    event = EndpointEvent(
        name=head.name,
        action=action,
        before=canonical(difference(after, before)),
        after=canonical(difference(before, after)),
        comment=comment,
    )
    chains.append(call.session, call, head, event)


def _taken(endpoint_id: str) -> AlreadyExists:
    return AlreadyExists(
        f"Endpoint with id={endpoint_id} already exists, or did with models that this caller may "
        "not see.",
        endpoint_id=endpoint_id,
    )


def _no_endpoint(endpoint_id: str) -> NotFound:
    return NotFound(f"Endpoint with id={endpoint_id} not found", endpoint_id=endpoint_id)
