"""Promise: no statement of a query changes anything, and none of a change does more than change rows."""

import time
from pathlib import Path
from typing import Any

import pytest

from pratique.errors import ToolError
from pratique.model import Status
from pratique.tools.context import World
from pratique.tools.execution import Executor
from tests.postgres import Postgres
from tests.tools.conftest import call_of
from tests.tools.sqlhouse import SqlHouse, postgres_house, sqlite_house


@pytest.fixture
def world(sql_house: SqlHouse) -> World:
    return sql_house.world


NOT_READING = [
    "DELETE FROM customers",
    "UPDATE customers SET note = 'x'",
    "INSERT INTO customers (id) VALUES (9)",
    "DROP TABLE customers",
    "CREATE TABLE x (id int)",
    "CREATE TEMP TABLE x (id int)",
    "SELECT 1; DELETE FROM customers",
    "SELECT 1;; DELETE FROM customers",
    "SELECT 1; COMMIT; DELETE FROM customers",
    "SELECT 1); DELETE FROM customers; --",
    "SELECT 1) x; DELETE FROM customers; SELECT (1",
    "SELECT 1 /* ; */ ; DELETE FROM customers",
    "SELECT 1 -- \n; DELETE FROM customers",
    "/* SELECT */ DELETE FROM customers",
    "-- SELECT\nDELETE FROM customers",
    "WITH gone AS (DELETE FROM customers RETURNING id) SELECT id FROM gone",
    "WITH x AS (SELECT 1) DELETE FROM customers",
    "WITH x AS (SELECT 1) INSERT INTO customers (id) SELECT 9",
    "SELECT id INTO taken FROM customers",
    "SELECT id FROM customers FOR UPDATE",
    "EXPLAIN ANALYZE DELETE FROM customers",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "VACUUM",
    "SET transaction_read_only = off",
    "COPY customers TO '/tmp/out'",
    "COPY customers TO PROGRAM 'touch /tmp/out'",
    "COPY (SELECT 1) TO STDOUT",
    "ATTACH DATABASE '/tmp/other.db' AS other",
    "DETACH DATABASE main",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA table_info(customers)",
    "SELECT * FROM pragma_table_info('customers')",
    "REINDEX",
    "CALL something()",
    "DO $$ BEGIN DELETE FROM customers; END $$",
    "LOCK TABLE customers",
    "NOTIFY x",
    "LOAD 'x'",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'y')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT pg_reload_conf()",
    "SELECT nextval('counter')",
    "SELECT setval('counter', 99)",
    "SELECT setval('counter', 99) FROM set_config('transaction_read_only', 'off', false)",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SELECT set_config('role', 'admin', false)",
    "SELECT changes_rows()",
    "SELECT dblink_exec('', 'DELETE FROM customers')",
    "SELECT query_to_xml('DELETE FROM customers', true, true, '')",
    "SELECT 1 WHERE \x00",
    "",
    " ",
    ";",
    "SELECTX 1",
    "SELECT '",
    "SELECT /*",
    'SELECT "',
    "SELECT $$",
    "SELECT $1",
    "(SELECT 1)",
]


@pytest.mark.parametrize("statement", NOT_READING)
async def test_nothing_but_reading_is_done_by_a_query(run: Any, sql_house: SqlHouse, statement: str) -> None:
    if sql_house.kind == "postgres":
        with sql_house.open() as owner:
            owner.execute("CREATE SEQUENCE counter; GRANT ALL ON SEQUENCE counter TO agent")
            owner.execute(
                "CREATE FUNCTION changes_rows() RETURNS int LANGUAGE sql SECURITY DEFINER"
                " AS 'DELETE FROM customers; SELECT 1'"
            )
    before = sql_house.content()
    query, _ = sql_house.tools()
    with pytest.raises((ToolError, ValueError)):
        await run(query, database="crm", statement=statement)
    assert sql_house.content() == before
    if sql_house.kind == "postgres":
        assert sql_house.direct("SELECT last_value, is_called FROM counter") == [(1, False)]


NOT_CHANGING = [
    "SELECT 1",
    "VALUES (1)",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "WITH gone AS (DELETE FROM customers RETURNING id) SELECT id FROM gone",
    "DELETE FROM customers; DELETE FROM orders",
    "DELETE FROM customers; COMMIT; DROP TABLE customers",
    "UPDATE customers SET note = 'x'; --",
    "DELETE FROM customers RETURNING id; DROP TABLE customers",
    "DROP TABLE customers",
    "TRUNCATE customers",
    "ALTER TABLE customers ADD COLUMN x int",
    "CREATE TABLE x (id int)",
    "CREATE TRIGGER t AFTER DELETE ON orders BEGIN DELETE FROM customers; END",
    "COMMIT",
    "BEGIN",
    "PREPARE TRANSACTION 'x'",
    "COPY customers FROM '/etc/passwd'",
    "COPY customers TO PROGRAM 'touch /tmp/out'",
    "ATTACH DATABASE '/tmp/other.db' AS other",
    "PRAGMA writable_schema = ON",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, 'x')",
    "UPDATE sqlite_master SET sql = 'x'",
    "DELETE FROM sqlite_sequence",
    "DELETE FROM pg_catalog.pg_class",
    "DELETE FROM customers WHERE load_extension('x')",
    "DELETE FROM customers WHERE pg_read_file('/etc/passwd') = ''",
    "/* INSERT */ DROP TABLE customers",
    "DO $$ BEGIN DELETE FROM customers; END $$",
    "CALL something()",
    "SET ROLE admin",
    "DELETE FROM none",
    "DELETE",
    "WITH",
]


@pytest.mark.parametrize("statement", NOT_CHANGING)
async def test_nothing_but_changing_rows_is_done_by_a_change(
    run: Any, sql_house: SqlHouse, statement: str
) -> None:
    if sql_house.kind == "sqlite":
        sql_house.direct("CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    if "--" in statement and sql_house.kind == "postgres":
        statement += "\n; DROP TABLE orders"
    before = sql_house.content()
    _, execute = sql_house.tools()
    if statement == "UPDATE customers SET note = 'x'; --":
        await run(execute, database="crm", statement=statement)  # one statement, and a comment
        return
    with pytest.raises(ToolError):
        await run(execute, database="crm", statement=statement)
    assert sql_house.content() == before


BOMBS = {
    "sqlite": [
        "SELECT randomblob(1000000000) AS x",
        "SELECT zeroblob(2000000000) AS x",
        "SELECT replace(hex(zeroblob(200000)), '0', hex(zeroblob(200000))) AS x",
        "SELECT printf('%.*c', 1000000000, 'x') AS x",
        "SELECT format('%.*c', 1000000000, 'x') AS x",
        "SELECT json_set('{}', '$' || replace(hex(zeroblob(100000)), '0', '.a'), 1) AS x",
        "SELECT json_insert('{}', '$' || replace(hex(zeroblob(100000)), '0', '.a'), 1) AS x",
        "SELECT json_valid(replace(hex(zeroblob(100000)), '0', '[')) AS x",
        "SELECT json_extract('[]', '$' || replace(hex(zeroblob(80000)), '0', '[0]')) AS x",
        "SELECT instr(hex(zeroblob(250000)), hex(zeroblob(125000)) || '1') AS x",
        "SELECT group_concat(hex(randomblob(100000))) AS x FROM customers a, customers b, customers c",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n ORDER BY i DESC",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "WITH RECURSIVE n(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM n) SELECT max(length(x)) FROM n",
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "+".join(["1"] * 5000),
        "SELECT " + ",".join(["1"] * 5000),
        " UNION ALL ".join(["SELECT 1"] * 1000),
        "SELECT 'x' LIKE '" + "%x" * 1000 + "'",
    ],
    "postgres": [
        "SELECT repeat('x', 1000000000) AS x",
        "SELECT repeat('x', 200000000) AS x FROM generate_series(1, 1000)",
        "SELECT lpad('', 1000000000, 'x') AS x",
        "SELECT string_agg(repeat('x', 1000000), '') AS x FROM generate_series(1, 2000)",
        "SELECT array_agg(i) AS x FROM generate_series(1, 1000000) AS i",
        "SELECT pg_sleep(1000)",
        "SELECT pg_sleep(1000) FROM set_config('statement_timeout', '0', false)",
        "SELECT pg_sleep(0.05) FROM generate_series(1, 100000)",
        "SELECT count(*) FROM generate_series(1, 1000000000)",
        "WITH RECURSIVE n(i) AS (SELECT 1::numeric UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
        "SELECT " + "(" * 9000 + "1" + ")" * 9000,
        "SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' ~ '^((((a*)*)*)*)*b$' FROM generate_series(1, 99999999)",
    ],
}


@pytest.mark.parametrize(
    ("kind", "statement"),
    [(kind, statement) for kind, statements in BOMBS.items() for statement in statements],
    ids=lambda value: value[:60],
)
async def test_a_bomb_goes_off_in_a_box(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, statement: str
) -> None:
    """A bomb ends with an error within the limits, or with a small result."""
    house = (
        sqlite_house(tmp_path) if kind == "sqlite" else postgres_house(request.getfixturevalue("postgres"))
    )
    query, _ = house.tools(seconds=1.0)
    started = time.monotonic()
    result = await Executor(house.world).run(
        query, call_of(query, {"database": "crm", "statement": statement})
    )
    assert " raised " not in result.error, result.error
    assert result.status is Status.FAILED or len(result.value_json) < 600_000
    assert time.monotonic() - started < 20


async def test_a_role_that_may_do_anything_is_not_used(postgres: Postgres) -> None:
    house = postgres_house(postgres)
    with house.open() as owner:
        owner.execute("CREATE ROLE helper LOGIN IN ROLE admin")
        owner.execute("CREATE ROLE reader LOGIN IN ROLE pg_read_server_files")
    for role in ("admin", "helper", "reader"):
        url = house.url.replace("agent@", f"{role}@")
        risky = SqlHouse("postgres", url, house.admin_url)
        for declared, statement in zip(risky.tools(), ("SELECT 1", "DELETE FROM customers"), strict=True):
            call = call_of(declared, {"database": "crm", "statement": statement})
            result = await Executor(risky.world).run(declared, call)
            assert (result.status, result.error) == (
                Status.FAILED,
                "the database 'crm' is not used: its role may do anything, or reach files",
            )
    assert len(house.content()) == 5


async def test_nothing_of_one_call_is_left_for_the_next(postgres: Postgres) -> None:
    house = postgres_house(postgres)
    query, _ = house.tools()

    async def ask(statement: str) -> Any:
        call = call_of(query, {"database": "crm", "statement": statement})
        return (await Executor(house.world).run(query, call)).value_json

    await ask("SELECT pg_advisory_lock(7), set_config('search_path', 'x', false)")
    assert b"public" in await ask("SELECT current_setting('search_path') AS s")
    with house.open() as other:
        assert other.execute("SELECT pg_try_advisory_lock(7)").fetchone() == (True,)
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'agent' AND datname = current_database()"
    )
    assert house.direct(sessions) == [(0,)]


async def test_a_cancelled_query_ends_on_the_server(postgres: Postgres) -> None:
    house = postgres_house(postgres)
    query, _ = house.tools(seconds=0.3)
    call = call_of(query, {"database": "crm", "statement": "SELECT pg_sleep(1000)"})
    await Executor(house.world).run(query, call)
    active = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'agent' AND datname = current_database()"
    assert house.direct(active) == [(0,)]


async def test_a_server_that_dies_before_the_commit_has_changed_nothing(postgres: Postgres) -> None:
    """The connection is ended by the server in the middle of the change."""
    house = postgres_house(postgres)
    _, execute = house.tools()
    statement = "UPDATE customers SET note = pg_terminate_backend(pg_backend_pid())::text"
    result = await Executor(house.world).run(
        execute, call_of(execute, {"database": "crm", "statement": statement})
    )
    assert result.status is Status.FAILED
    assert ("wants a call",) in house.direct("SELECT note FROM customers")


async def test_a_commit_that_is_refused_is_not_taken_for_done(postgres: Postgres) -> None:
    house = postgres_house(postgres)
    with house.open() as owner:
        owner.execute(
            "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers DEFERRABLE INITIALLY DEFERRED"
        )
    _, execute = house.tools()
    call = call_of(execute, {"database": "crm", "statement": "UPDATE orders SET customer = 77"})
    result = await Executor(house.world).run(execute, call)
    assert result.status is Status.FAILED
    assert "foreign key" in result.error
    assert house.direct("SELECT count(*) FROM orders WHERE customer = 77") == [(0,)]


async def test_a_connection_that_is_lost_in_the_commit_is_unknown(postgres: Postgres) -> None:
    house = postgres_house(postgres)
    with house.open() as owner:
        owner.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
        )
        owner.execute(
            "CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION die()"
        )
    _, execute = house.tools()
    call = call_of(execute, {"database": "crm", "statement": "UPDATE orders SET paid = TRUE WHERE id = 11"})
    result = await Executor(house.world).run(execute, call)
    assert (result.status, result.error) == (Status.UNKNOWN, "the commit was sent and not answered")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"\xff" * 10_000)
    house = SqlHouse("sqlite", f"sqlite:///{file}", "")
    query, _ = house.tools()
    result = await Executor(house.world).run(
        query, call_of(query, {"database": "crm", "statement": "SELECT 1 FROM x"})
    )
    assert result.error == "the database 'crm' refused: file is not a database"


async def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    house = SqlHouse("sqlite", f"sqlite:///{tmp_path / 'x.db'}", "")
    for declared, statement in zip(house.tools(), ("SELECT 1", "DELETE FROM x"), strict=True):
        call = call_of(declared, {"database": "crm", "statement": statement})
        result = await Executor(house.world).run(declared, call)
        assert result.error == "the database 'crm' cannot be opened"
    assert not (tmp_path / "x.db").exists()


async def test_text_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    house = sqlite_house(tmp_path)
    with house.open() as owner:
        owner.execute("UPDATE customers SET name = CAST(x'ff41' AS TEXT) WHERE id = 1")
    query, _ = house.tools()
    call = call_of(query, {"database": "crm", "statement": "SELECT name FROM customers WHERE id = 1"})
    assert "\ufffdA".encode() in (await Executor(house.world).run(query, call)).value_json
