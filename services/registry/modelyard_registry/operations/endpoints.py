"""Operations on endpoints, and the status that serving processes report."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.auth.scope import check_any_experiment, check_model, scope_of
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
        AlreadyExists: The id is taken, or was used by an endpoint outside the caller's scope.
        PermissionDenied: A model is outside the caller's scope.
    """
    check_spec(spec)
    head = _lock_unused_id(call.session, endpoint_id)
    _refer(call.session, endpoint_id, spec)
    endpoint = Endpoint(
        name=endpoint_id,
        spec=canonical(spec),
        status=canonical(_target_statuses(spec, {}, call.now_ms)),
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
        NotFound: There is no such endpoint.
    """
    found = session.get(Endpoint, endpoint_id)
    if found is None:
        raise _no_endpoint(endpoint_id)
    return found


def list_endpoints(session: Session, after: str, limit: int) -> Sequence[Endpoint]:
    """Return endpoints with ids greater than `after`, ordered by id."""
    rows = select(Endpoint).where(Endpoint.name > after).order_by(Endpoint.name)
    return session.scalars(rows.limit(limit)).all()


def get_head(session: Session, endpoint_id: str) -> EndpointName:
    """Return the head of an id, whether or not its endpoint still exists.

    Raises:
        NotFound: The id was never used.
    """
    found = session.get(EndpointName, endpoint_id)
    if found is None:
        raise NotFound(f"No endpoint ever had id={endpoint_id}", endpoint_id=endpoint_id)
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
    """Set fields of a spec; equal values change nothing.

    Args:
        call: Call that makes the change.
        endpoint_id: Id of the endpoint.
        given: Spec with the new values.
        paths: Paths of the fields to set; fields that `given` lacks are unset.
        etag: Expected etag of the endpoint; empty for any.
        comment: Reason for the change, stored in the history.

    Raises:
        NotFound: There is no such endpoint.
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
    endpoint.status = canonical(_target_statuses(spec, endpoint.reported, call.now_ms))
    endpoint.spec, endpoint.updated_ms = canonical(spec), call.now_ms
    call.session.flush()
    _record(call, head, EndpointAction.ENDPOINT_UPDATED, before, endpoint.document, comment)
    return endpoint


def delete_endpoint(call: Call, endpoint_id: str, *, etag: str, comment: str) -> None:
    """Delete an endpoint; the history of its id remains.

    Raises:
        NotFound: There is no such endpoint.
        Aborted: The etag is stale.
    """
    head, endpoint = _begin(call.session, endpoint_id)
    check_etag(etag, endpoint.etag)
    before = endpoint.document
    call.session.delete(endpoint)
    call.session.flush()
    _record(call, head, EndpointAction.ENDPOINT_DELETED, before, {}, comment)


def report(call: Call, endpoint_id: str, targets: Sequence[Document]) -> None:
    """Store the reported status of targets; unknown targets are ignored.

    Raises:
        NotFound: There is no such endpoint.
    """
    check_once(targets, "targets")
    _, endpoint = _begin(call.session, endpoint_id)
    statuses = endpoint.reported
    for target in targets:
        uri = target["model_uri"]
        if uri in statuses:
            statuses[uri] = _merged_status(statuses[uri], target, call.now_ms)
    endpoint.status = canonical(statuses)


def _target_statuses(spec: Document, before: Document, now_ms: int) -> Document:
    """Return the status of each target of a spec: the one before, or PENDING for a new target."""
    unknown = {"state": PENDING, "since_ms": now_ms}
    return {uri: before.get(uri, unknown) for uri in uris_of(spec)}


def _merged_status(before: Document, reported: Document, now_ms: int) -> Document:
    """Return a reported status to store; `since_ms` changes with state, version or digest."""
    status = {key: value for key, value in reported.items() if key != "model_uri"}
    compared = ("state", "model_version", "model_digest")
    if all(before.get(key) == status.get(key) for key in compared):
        return status | {"since_ms": before["since_ms"]}
    return status | {"since_ms": now_ms}


def _begin(session: Session, endpoint_id: str) -> tuple[EndpointName, Endpoint]:
    """Lock an endpoint for a change."""
    head = session.get(EndpointName, endpoint_id, with_for_update=True)
    endpoint = session.get(Endpoint, endpoint_id)
    if head is None or endpoint is None:
        raise _no_endpoint(endpoint_id)
    return head, endpoint


def _lock_unused_id(session: Session, endpoint_id: str) -> EndpointName:
    """Lock and return the head of an id that no endpoint has; create it if needed."""
    head = session.get(EndpointName, endpoint_id, with_for_update=True)
    if head is None:
        # Scopes do not restrict Core statements: this finds ids that the caller may not see too.
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
    """Store which models an endpoint refers to; refuse models outside the caller's scope."""
    for model in models_of(spec):
        if model:
            check_model(scope_of(session), model)
        else:
            check_any_experiment(scope_of(session))
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
    event = chains.linked(
        call,
        head.name,
        head.revision,
        head.head_hash,
        action=action,
        before=difference(after, before),
        after=difference(before, after),
        comment=comment,
    )
    call.session.add(EndpointEvent(**event))
    head.revision, head.head_hash = event["revision"], event["hash"]
    call.session.flush()


def _taken(endpoint_id: str) -> AlreadyExists:
    return AlreadyExists(
        f"Endpoint with id={endpoint_id} already exists, or was used before with models outside "
        "the caller's scope; choose another id.",
        endpoint_id=endpoint_id,
    )


def _no_endpoint(endpoint_id: str) -> NotFound:
    return NotFound(f"Endpoint with id={endpoint_id} not found", endpoint_id=endpoint_id)
