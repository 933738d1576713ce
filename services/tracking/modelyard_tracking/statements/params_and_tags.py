"""Statements of params and tags of runs."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table, bindparam, delete, select

from modelyard_kit.db.statements import Statement, among, inserting, listed, upsert
from modelyard_tracking.models import Param, RunTag

_params = cast(Table, Param.__table__)
_tags = cast(Table, RunTag.__table__)

PARAMS = Statement[tuple[str, str]](
    select(_params.c.key, _params.c.value).where(
        _params.c.run_id == bindparam("run_id"), among(_params.c.key, listed("keys"))
    )
)
ADD_PARAM = Statement[tuple[()]](inserting(_params))

_set_tag = upsert(_tags).values({column.name: bindparam(column.name) for column in _tags.c})
SET_TAG = Statement[tuple[()]](
    _set_tag.on_conflict_do_update(
        index_elements=list(_tags.primary_key.columns), set_={"value": _set_tag.excluded.value}
    )
)
_of_key = (_tags.c.run_id == bindparam("run_id"), _tags.c.key == bindparam("key"))
TAG = Statement[tuple[str]](select(_tags.c.value).where(*_of_key))
DELETE_TAG = Statement[tuple[str]](delete(_tags).where(*_of_key).returning(_tags.c.key))
