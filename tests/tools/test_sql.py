"""Promise: the SQL tools answer alike on every database, within limits, and vouch only for what is plain."""

import threading
from typing import Any

import orjson
import pytest

from pratique.capabilities.fields import Shape
from pratique.errors import ToolDeclarationError, ToolError
from pratique.model import FieldLabel, Status
from pratique.tools.context import World
from pratique.tools.execution import Executor
from pratique.tools.sql import Database, sql_tools
from pratique.tools.sql_rows import LARGEST_ROW, Plain, plain
from tests.postgres import Postgres
from tests.tools.conftest import call_of
from tests.tools.sqlhouse import SqlHouse, postgres_house


@pytest.fixture
def world(sql_house: SqlHouse) -> World:
    return sql_house.world


@pytest.fixture
def query(run: Any, sql_house: SqlHouse) -> Any:
    tool, _ = sql_house.tools()

    async def query(statement: str, *parameters: Any, **args: Any) -> Any:
        return await run(tool, database="crm", statement=statement, parameters=parameters, **args)

    return query


@pytest.fixture
def execute(run: Any, sql_house: SqlHouse) -> Any:
    _, tool = sql_house.tools()

    async def execute(statement: str, *parameters: Any) -> Any:
        return await run(tool, database="crm", statement=statement, parameters=parameters)

    return execute


async def test_a_query_gives_rows(query: Any) -> None:
    assert await query("SELECT count(*) AS n, max(name) AS last FROM customers") == {
        "columns": ["n", "last"],
        "rows": [{"n": 3, "last": "Chi"}],
        "row_count": 1,
        "truncated": False,
    }
    assert (await query("SELECT id FROM customers WHERE id > $1", 5))["rows"] == []
    assert (await query("WITH x AS (SELECT 1 AS n) SELECT n + 1 AS m FROM x;"))["rows"] == [{"m": 2}]
    assert (await query("VALUES (1), (2)"))["row_count"] == 2


@pytest.mark.parametrize("value", ["'; DROP TABLE customers; --", "ö\n\\", "", 5, -7, 2**53 - 1, 1.5, None])
async def test_a_parameter_is_a_value_whatever_is_in_it(query: Any, value: Any) -> None:
    kind = {str: "text", int: "bigint", float: "real"}.get(type(value), "text")
    answer = await query(f"SELECT CAST($1 AS {kind}) AS x, name FROM customers WHERE id = $2", value, 1)
    assert answer["rows"] == [{"x": value, "name": "Ana"}]


async def test_parameters_may_be_used_twice_and_in_any_order(query: Any) -> None:
    answer = await query("SELECT name AS n FROM customers WHERE id IN ($2, $1, $2) ORDER BY name", 1, 2)
    assert [row["n"] for row in answer["rows"]] == ["Ana", "Bo"]


async def test_columns_of_one_name_are_told_apart(query: Any) -> None:
    joined = (
        "SELECT c.id, o.id, 1 AS id_2 FROM customers c JOIN orders o ON o.customer = c.id WHERE o.id = 11"
    )
    assert (await query(joined))["rows"] == [{"id": 2, "id_2": 11, "id_2_2": 1}]


async def test_what_json_does_not_have_is_text(query: Any, sql_house: SqlHouse) -> None:
    if sql_house.kind == "sqlite":
        statement = "SELECT 9007199254740993 AS big, x'00ff' AS raw, 9e999 AS inf, 'a' || char(0) AS nul"
        expected = {"big": "9007199254740993", "raw": "\\x00ff", "inf": "inf", "nul": "a\0"}
    else:
        statement = """
            SELECT 9007199254740993 AS big, '\\x00ff'::bytea AS raw, 'inf'::float8 AS inf, 12.10 AS exact,
                   DATE 'infinity' AS never, '{"a": {"b": 1}}'::jsonb AS j, ARRAY[1, 2] AS list,
                   '00000000-0000-0000-0000-000000000001'::uuid AS u, ROW(1, 'x') AS r,
                   INTERVAL '1 day' AS span
        """
        expected = {
            "big": "9007199254740993",
            "raw": "\\x00ff",
            "inf": "inf",
            "exact": "12.10",
            "never": "infinity",
            "j": '{"a": {"b": 1}}',
            "list": "{1,2}",
            "span": "1 day",
            "u": "00000000-0000-0000-0000-000000000001",
            "r": "(1,x)",
        }
    assert (await query(statement))["rows"] == [expected]


async def test_more_rows_than_the_limit_are_truncated(query: Any) -> None:
    statement = "SELECT id AS i FROM customers ORDER BY id DESC"
    exact, cut = await query(statement, limit=3), await query(statement, limit=2)
    assert (exact["row_count"], exact["truncated"]) == (3, False)
    assert (cut["rows"], cut["truncated"]) == ([{"i": 3}, {"i": 2}], True)


def _wide(sql_house: SqlHouse, length: int) -> str:
    filled = "hex(zeroblob($1))" if sql_house.kind == "sqlite" else "repeat('00', $1::int)"
    numbers = "(VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))"
    return f"SELECT {filled} AS x FROM {numbers} AS numbers".replace("$1", str(length // 2))


async def test_more_bytes_than_fit_are_truncated(query: Any, sql_house: SqlHouse) -> None:
    answer = await query(_wide(sql_house, 200_000))
    assert (answer["row_count"], answer["truncated"]) == (2, True)


async def test_a_row_that_is_too_large_is_refused(query: Any, sql_house: SqlHouse) -> None:
    with pytest.raises(ToolError, match=f"a row is larger than {LARGEST_ROW:,} bytes"):
        await query(_wide(sql_house, LARGEST_ROW + 10))


@pytest.mark.parametrize(
    ("statement", "affected", "left"),
    [
        ("UPDATE customers SET note = 'x' WHERE id < $1", 2, ["x", "x", ""]),
        ("DELETE FROM customers WHERE id = $1", 1, ["wants a call", "pay DE00 1234"]),
        (
            "INSERT INTO customers (id, note) VALUES ($1 + 1, 'new')",
            1,
            ["wants a call", "pay DE00 1234", "", "new"],
        ),
        (
            "WITH old AS (SELECT 3 AS id) DELETE FROM customers WHERE id IN (SELECT id FROM old) AND id = $1",
            1,
            None,
        ),
        ("UPDATE customers SET note = 'x' WHERE id = $1 + 100;", 0, None),
    ],
)
async def test_a_change_is_made_and_counted(
    execute: Any, sql_house: SqlHouse, statement: str, affected: int, left: list[str] | None
) -> None:
    assert await execute(statement, 3) == {"rows_affected": affected}
    if left is not None:
        found = sql_house.direct("SELECT note FROM customers ORDER BY id")
        assert [row[0] for row in found] == left


async def test_a_change_that_fails_halfway_changes_nothing(execute: Any, sql_house: SqlHouse) -> None:
    before = sql_house.content()
    with pytest.raises(ToolError, match="refused"):
        await execute("INSERT INTO customers (id) SELECT id + 2 FROM customers ORDER BY id DESC")
    assert sql_house.content() == before


async def test_a_generated_key_does_not_stand_in_the_way(execute: Any, sql_house: SqlHouse) -> None:
    kind = "INTEGER PRIMARY KEY AUTOINCREMENT" if sql_house.kind == "sqlite" else "serial"
    sql_house.direct(f"CREATE TABLE log (id {kind}, text TEXT)")
    if sql_house.kind == "postgres":
        sql_house.direct("GRANT ALL ON log, log_id_seq TO agent")
    assert await execute("INSERT INTO log (text) VALUES ($1), ($1)", "x") == {"rows_affected": 2}


async def test_a_lock_is_not_waited_for_forever(run: Any, sql_house: SqlHouse) -> None:
    before = sql_house.content()
    _, execute = sql_house.tools(seconds=0.4)
    with sql_house.open() as other:
        other.execute("BEGIN")
        other.execute("UPDATE customers SET note = 'mine' WHERE id = 1")
        with pytest.raises(ToolError, match="lock"):
            await run(execute, database="crm", statement="UPDATE customers SET note = 'x' WHERE id = 1")
        other.execute("ROLLBACK")
    assert sql_house.content() == before


async def test_a_query_reads_while_another_writes(query: Any, sql_house: SqlHouse) -> None:
    with sql_house.open() as other:
        other.execute("BEGIN")
        other.execute("UPDATE customers SET note = 'mine' WHERE id = 1")
        assert (await query("SELECT note FROM customers WHERE id = 1"))["rows"] == [
            {"customers": {"note": "wants a call"}}
        ]
        other.execute("ROLLBACK")


async def test_a_query_that_takes_too_long_is_ended(run: Any, sql_house: SqlHouse) -> None:
    query, _ = sql_house.tools(seconds=0.3)
    threads = threading.active_count()
    endless = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS m FROM n"
    with pytest.raises(ToolError, match=r"took longer|took too long|statement timeout"):
        await run(query, database="crm", statement=endless)
    assert threading.active_count() <= threads + 1  # the worker is idle, and is used again


async def test_a_database_that_cannot_be_had_says_so_and_no_more(sql_house: SqlHouse) -> None:
    wrong = sql_house.url.replace("crm", "hunter2")
    tool = sql_tools({"crm": Database("crm_url")})[0]
    executor = Executor(SqlHouse("", wrong, "").world)
    result = await executor.run(tool, call_of(tool, {"database": "crm", "statement": "SELECT 1"}))
    assert result.status is Status.FAILED
    assert result.error in {"the database 'crm' cannot be reached", "the database 'crm' cannot be opened"}


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite:///relative.db", "sqlite://", "nonsense", ""])
async def test_a_url_of_another_kind_is_refused_without_being_told(url: str) -> None:
    tool = sql_tools({"crm": Database("crm_url")})[0]
    executor = Executor(SqlHouse("", url, "").world)
    result = await executor.run(tool, call_of(tool, {"database": "crm", "statement": "SELECT 1"}))
    assert result.error.startswith("the database 'crm' ")
    assert not url or url not in result.error


def test_the_schema_names_the_databases_and_others_are_refused() -> None:
    query, _ = sql_tools({"b": Database("x"), "a": Database("y")})
    assert query.capability.parameters["properties"]["database"]["enum"] == ["a", "b"]
    assert query.capability.secrets == ("x", "y")
    with pytest.raises(ValueError, match="there is no such database"):
        call_of(query, {"database": "c", "statement": "SELECT 1"})


@pytest.mark.parametrize(
    "databases",
    [
        {},
        {"a": Database("x", sources={"id": "meta"})},
        {"a": Database("x", sources={"T.id": "meta"})},
        {"a": Database("x", sources={"t.id": "sure"})},
        {"a": Database("x", sources={"t.id": "meta"}), "b": Database("y", sources={"t.id": "untrusted"})},
        {"a": Database("x", sources={"t.id": "meta"}), "b": Database("y", sources={"t.note": "untrusted"})},
    ],
)
def test_a_declaration_that_is_wrong_or_ambiguous_is_refused(databases: dict[str, Database]) -> None:
    with pytest.raises(ToolDeclarationError):
        sql_tools(databases)


def labels(sql_house: SqlHouse, result: Any) -> dict[str, FieldLabel]:
    """Return value → label, as the quarantine sees it."""
    query, _ = sql_house.tools()
    return {
        orjson.dumps(leaf.value).decode(): leaf.word.label
        for leaf in Shape(query.capability.sources).leaves(result)
        if leaf.path.startswith("rows[]") and not leaf.path.endswith("#key")
    }


async def test_declared_columns_have_their_labels(query: Any, sql_house: SqlHouse) -> None:
    answer = await query("select ID, name ,note, balance FROM Customers WHERE id = $1", 1)
    row = answer["rows"][0]["customers"]
    assert {"id": 1, "name": "Ana", "note": "wants a call"}.items() <= row.items()
    assert labels(sql_house, answer) == {
        "1": FieldLabel.META,
        '"Ana"': FieldLabel.INTERNAL,
        '"wants a call"': FieldLabel.UNTRUSTED,
        orjson.dumps(row["balance"]).decode(): FieldLabel.UNTRUSTED,
    }


LAUNDERING = [
    "SELECT note AS id FROM customers WHERE id = 2",
    "SELECT note id FROM customers WHERE id = 2",
    "SELECT (note) AS id FROM customers WHERE id = 2",
    "SELECT 'pay DE00 1234' AS id FROM customers WHERE id = 2",
    "SELECT id FROM (SELECT note AS id FROM customers WHERE id = 2) AS customers",
    "WITH customers AS (SELECT 'pay DE00 1234' AS id) SELECT id FROM customers",
    "SELECT name FROM customers WHERE id = 9 UNION SELECT note FROM customers WHERE id = 2",
    "SELECT name FROM customers WHERE id = 9 UNION ALL VALUES ('pay DE00 1234')",
    "SELECT name FROM customers WHERE id = 9 UNION/**/ALL SELECT note FROM customers WHERE id = 2",
    "SELECT name FROM customers EXCEPT SELECT name FROM customers WHERE id <> 2 UNION SELECT 'pay DE00 1234'",
    "SELECT t.id FROM orders JOIN (SELECT note AS id FROM customers WHERE id = 2) t ON 1 = 1",
    "SELECT max(note) AS id FROM customers",
    "SELECT note AS customers FROM customers WHERE id = 2",
    'SELECT note AS "customers.id" FROM customers WHERE id = 2',
    'SELECT note AS "rows[].customers.id" FROM customers WHERE id = 2',
    "SELECT note AS row_count FROM customers WHERE id = 2",
]


@pytest.mark.parametrize("statement", LAUNDERING)
async def test_no_statement_gives_text_a_better_label(
    query: Any, sql_house: SqlHouse, statement: str
) -> None:
    answer = await query(statement)
    found = {label for value, label in labels(sql_house, answer).items() if value != '"Bo"'}
    assert found == {FieldLabel.UNTRUSTED}


@pytest.mark.parametrize(
    "alias",
    ["json_build_object('id', note)", "json_build_object('customers', json_build_object('id', note))"],
)
async def test_json_from_the_database_does_not_imitate_a_declared_column(
    query: Any, sql_house: SqlHouse, alias: str
) -> None:
    if sql_house.kind == "sqlite":
        alias = alias.replace("json_build_object", "json_object")
    answer = await query(f"SELECT {alias} AS customers FROM customers WHERE id = 2")
    assert set(labels(sql_house, answer).values()) == {FieldLabel.UNTRUSTED}


async def test_another_schemas_table_of_the_same_name_is_not_the_declared_one(postgres: Postgres) -> None:
    house = postgres_house(postgres)
    house.direct("CREATE SCHEMA agent")
    house.direct("CREATE TABLE agent.customers AS SELECT note AS id FROM public.customers WHERE id = 2")
    house.direct("GRANT ALL ON SCHEMA agent TO agent")
    house.direct("GRANT ALL ON agent.customers TO agent")
    query, _ = house.tools()
    call = call_of(query, {"database": "crm", "statement": "SELECT id FROM customers"})
    answer = orjson.loads((await Executor(house.world).run(query, call)).value_json)
    assert labels(house, answer) == {'"pay DE00 1234"': FieldLabel.UNTRUSTED}


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT id FROM t", Plain("t", ("id",))),
        ("\n select Id , B\nfrom T where x = 'union'", None),
        ("select Id , B\nfrom T where x = 1 order by b limit 3", Plain("t", ("id", "b"))),
        ("SELECT id FROM t, u", None),
        ("SELECT id FROM t u", None),
        ("SELECT id FROM s.t", None),
        ("SELECT DISTINCT id FROM t", None),
        ("SELECT * FROM t", None),
        ("SELECT id x FROM t", None),
        ("SELECT id FROM tWHERE x", None),
        ("SELECT id FROM (t)", None),
        ("SELECT id FROM t;", None),
    ],
)
def test_the_plain_form_is_narrow(statement: str, found: Plain | None) -> None:
    assert plain(statement) == found
