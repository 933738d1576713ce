"""Statements for the driver: SQLAlchemy Core, compiled once per dialect to text.

A statement has two forms from one source: as written, and restricted to the scope of a token, which
adds the restriction of each table that it reads, updates or deletes. `modelyard_kit.db.rows` runs
them; docs/adr/0032 has the reasons and what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar

from sqlalchemy import (
    ARRAY,
    BindParameter,
    Boolean,
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Join,
    ScalarSelect,
    Select,
    String,
    Table,
    Update,
    bindparam,
    insert,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from modelyard_kit.auth.scope import like_patterns

Row = TypeVar("Row", bound=tuple[Any, ...])
Values = Mapping[str, Any]
Restrictions = Mapping[Any, Callable[[Any], ColumnElement[bool]]]
"""By table: returns the condition that its rows are inside a scope.

The argument is the table, or the alias of it that a statement uses. The condition compares with
`PATTERNS`.
"""

upsert = postgresql.insert
"""An INSERT with ON CONFLICT; it compiles for SQLite too."""

_DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": sqlite.dialect(),
    # The parameters of libpq, $1 and so on.
    "postgresql": postgresql.psycopg.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
}


class Listed(TypeDecorator[Any]):
    """A list as one parameter: an array for PostgreSQL, JSON for SQLite.

    A statement with IN and a parameter for each value would have a text for each number of values.

    Args:
        item: Type of the values.
    """

    impl = String
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        own = ARRAY(self.item) if dialect.name == "postgresql" else String()
        return dialect.type_descriptor(own)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return list(value) if dialect.name == "postgresql" else json.dumps(list(value))


class _Condition(FunctionElement[bool]):
    """A condition on a column and a list."""

    inherit_cache = True
    stringify_dialect = "sqlite"
    type = Boolean()
    _is_implicitly_boolean = True  # else SQLite compares it with 1 and uses no index

    @property
    def operands(self) -> tuple[Any, Any]:
        column, values = self.clauses
        return column, values


class among(_Condition):  # noqa: N801 - named as a function of SQL, as those of SQLAlchemy
    """The condition that a column equals a value of a list, which has the type `Listed`."""

    name = "among"
    inherit_cache = True


class like_any(_Condition):  # noqa: N801 - as above
    r"""The condition that a column is LIKE a pattern of a list; `\` escapes."""

    name = "like_any"
    inherit_cache = True


@compiles(among)  # SQLite, and the compiler that SQLAlchemy finds the tables of a SELECT with
def _among_json(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(operand, **options) for operand in element.operands)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - compiled SQL


@compiles(among, "postgresql")
def _among_array(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(operand, **options) for operand in element.operands)
    return f"{column} = ANY ({values})"


@compiles(like_any)
def _like_any_json(element: like_any, compiler: SQLCompiler, **options: Any) -> str:
    values, column = (compiler.process(item, **options) for item in reversed(element.operands))
    matching = f"{column} LIKE pattern.value ESCAPE '\\'"
    return f"EXISTS (SELECT 1 FROM json_each({values}) AS pattern WHERE {matching})"  # noqa: S608 - as above


@compiles(like_any, "postgresql")
def _like_any_array(element: like_any, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(operand, **options) for operand in element.operands)
    return f"{column} LIKE ANY ({values})"


def listed(name: str, item: TypeEngine[Any] | None = None) -> BindParameter[Any]:
    """Return a parameter that takes a list, of texts by default; for `among`."""
    return bindparam(name, type_=Listed(item or String()))


class Collected(TypeDecorator[list[Row]]):
    """Rows as one value, which is JSON in the database.

    Args:
        row: Type of the rows, a named tuple.
    """

    impl = String
    cache_ok = True

    def __init__(self, row: type[Row]) -> None:
        super().__init__()
        self.row = row

    def process_result_value(self, value: Any, dialect: Dialect) -> list[Row]:
        make: Callable[[Any], Row] = self.row._make  # type: ignore[attr-defined]  # a named tuple
        return sorted(map(make, json.loads(value))) if value else []


class _RowsAsJson(FunctionElement[Any]):
    """An aggregate: a JSON list with a list of the columns for each row."""

    inherit_cache = True
    stringify_dialect = "sqlite"


@compiles(_RowsAsJson, "sqlite")
def _json_of_sqlite(element: _RowsAsJson, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_array(json_array{compiler.process(element.clause_expr, **options)})"


@compiles(_RowsAsJson, "postgresql")
def _json_of_postgres(element: _RowsAsJson, compiler: SQLCompiler, **options: Any) -> str:
    columns = compiler.process(element.clause_expr, **options)
    return f"CAST(json_agg(json_build_array{columns}) AS TEXT)"


def collected(row: type[Row], rows: Select[Any]) -> ScalarSelect[Any]:
    """Return a column with the rows of a SELECT, sorted, for each row of the statement around it.

    A statement that joined them would return their product with other rows.

    Args:
        row: Type of the rows, a named tuple with the columns in their order.
        rows: The SELECT of texts and numbers, correlated with the statement around it.
    """
    as_json = _RowsAsJson(*rows.selected_columns)
    as_json.type = Collected(row)
    return rows.with_only_columns(as_json).scalar_subquery()


PATTERNS: Final = "scope_patterns"
"""Name of the parameter of restrictions: the LIKE patterns of the caller's scope."""


def matches(column: ColumnElement[Any], patterns: Sequence[str] | None = None) -> like_any:
    """Return the condition that a name matches at least one pattern of a scope.

    Args:
        column: Column of the name.
        patterns: The patterns; None for the parameter `PATTERNS`.
    """
    if patterns is None:
        return like_any(column, listed(PATTERNS))
    given = bindparam(None, like_patterns(patterns), type_=Listed(String()))
    return like_any(column, given)


def inserting(table: Table, *names: str) -> Insert:
    """Return the INSERT of a row, with a parameter for each of its columns.

    Args:
        table: Table of the row.
        *names: Columns, by default all; left out are those that the database assigns.
    """
    return insert(table).values({name: bindparam(name) for name in names or table.c.keys()})


class Form(NamedTuple):
    """A statement for one driver.

    Attributes:
        text: Text with positional parameters.
        bound: Returns the parameters from the values.
        make: Makes a row; None for tuples.
        later: Whether the statement may wait for the next one, as `modelyard_kit.db.base.LATER`.
    """

    text: str
    bound: Callable[[Values], tuple[Any, ...]]
    make: Callable[[Any], Any] | None
    later: bool


class Statement(Generic[Row]):
    """A statement of Core, compiled for a dialect when it is first run.

    Args:
        source: The statement. Parameters with a value are constants. Every column of an INSERT is
            given, as Core's defaults are values of another layer.
        row: Type of the rows, a named tuple with the columns in their order; None for tuples.
        restrictions: The tables to restrict to the scope of the caller; none for a statement whose
            rows belong to one that another statement found. The right side of an outer join is
            not restricted: what it refers to is.
        later: Whether an UPDATE or DELETE may wait for the next statement or the commit, which
            saves a round trip to PostgreSQL, as each INSERT without RETURNING does.
    """

    def __init__(
        self,
        source: Any,
        row: type[Row] | None = None,
        *,
        restrictions: Restrictions | None = None,
        later: bool = False,
    ) -> None:
        self._source = source
        self._row = row
        self._restrictions = restrictions or {}
        self._later = later
        self._forms: dict[tuple[str, bool], Form] = {}

    def form(self, dialect: str, *, restricted: bool) -> Form:
        """Return the form for a dialect, "sqlite" or "postgresql"."""
        found = self._forms.get((dialect, restricted))
        if found is None:
            found = self._compile(dialect, restricted=restricted)
            self._forms[dialect, restricted] = found
        return found

    def _compile(self, dialect: str, *, restricted: bool) -> Form:
        source = _restrict(self._source, self._restrictions) if restricted else self._source
        compiled = source.compile(dialect=_DIALECTS[dialect])
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise AssertionError(f"columns without a value: {compiled}")
        waits = compiled.isinsert or (self._later and (compiled.isupdate or compiled.isdelete))
        make: Any = None
        if self._row is not None:
            make = self._row._make  # type: ignore[attr-defined]  # of a named tuple
        return Form(
            compiled.string,
            _binder(compiled, dialect),
            _converting(make, source.exported_columns, _DIALECTS[dialect]),
            later=waits and not compiled.effective_returning,
        )


def _binder(compiled: SQLCompiler, dialect: str) -> Callable[[Values], tuple[Any, ...]]:
    names = compiled.positiontup or []
    binds = {name: compiled.binds[name] for name in names}
    constants = {name: _plain(bind.value) for name, bind in binds.items() if not bind.required}
    lists = {name for name, bind in binds.items() if isinstance(bind.type, Listed)}
    if not names:
        return lambda _values: ()
    get: Callable[[Values], Any] = itemgetter(*names)
    take = get if len(names) > 1 else lambda values: (get(values),)
    if not lists:
        return take if not constants else lambda values: take({**constants, **values})
    as_one: Callable[[list[Any]], Any] = json.dumps if dialect == "sqlite" else list

    def with_lists(values: Values) -> tuple[Any, ...]:
        encoded = {name: as_one(list(values[name])) for name in lists}
        return take({**constants, **values, **encoded})

    return with_lists


def _converting(
    make: Callable[[Any], Any] | None, columns: Iterable[ColumnElement[Any]], dialect: Dialect
) -> Callable[[Any], Any] | None:
    """Return what makes a row from the driver's values, which are not always those of the types."""
    conversions = [
        (place, convert)
        for place, column in enumerate(columns)
        if isinstance(column.type, (Boolean, TypeDecorator))
        and (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
    ]
    if not conversions:
        return make

    def converted(found: Sequence[Any]) -> Any:
        values = list(found)
        for place, convert in conversions:
            values[place] = convert(values[place])
        return tuple(values) if make is None else make(values)

    return converted


def _plain(value: Any) -> Any:
    """Return the text of a member of an enumeration, which drivers would look up."""
    return str(value) if isinstance(value, str) else value


def _restrict(source: Any, restrictions: Restrictions) -> Any:
    targets: list[FromClause] = []
    if isinstance(source, Select):
        targets = [table for part in source.get_final_froms() for table in _tables(part)]
    elif isinstance(source, (Update, Delete)):
        targets = [source.table]
    for target in targets:
        condition = restrictions.get(getattr(target, "element", target))
        if condition is not None:
            source = source.where(condition(target))
    return source


def _tables(part: FromClause) -> Iterator[FromClause]:
    if isinstance(part, Join):
        yield from _tables(part.left)
        if not (part.isouter or part.full):
            yield from _tables(part.right)
    else:
        yield part
