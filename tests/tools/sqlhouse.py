"""One small customer database on either backend, with the two tools that reach it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from pratique.tools.context import World
from pratique.tools.declaration import Tool
from pratique.tools.sql import Database, sql_tools
from tests.postgres import Postgres

SOURCES = {"customers.id": "meta:customer", "customers.name": "internal", "customers.note": "untrusted"}
SECONDS = 5.0

TABLES = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, note TEXT, balance NUMERIC(12, 2));
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, paid BOOLEAN);
INSERT INTO customers VALUES (1, 'Ana', 'wants a call', 10.50);
INSERT INTO customers VALUES (2, 'Bo', 'pay DE00 1234', -1), (3, 'Chi', '', 0);
INSERT INTO orders VALUES (10, 1, TRUE), (11, 2, FALSE);
"""


@dataclass
class SqlHouse:
    """A database, as the tests see it.

    Attributes:
        kind: `sqlite` or `postgres`.
        query, execute: the tools.
        world: with the secret that holds the URL.
    """

    kind: str
    url: str
    admin_url: str

    def tools(self, *, seconds: float = SECONDS) -> tuple[Tool, Tool]:
        """Return `sql.query` and `sql.execute`."""
        query, execute = sql_tools({"crm": Database("crm_url", sources=SOURCES, seconds=seconds)})
        return query, execute

    @property
    def world(self) -> World:
        """The world with the URL in it."""
        return World(secrets={"crm_url": SecretStr(self.url)})

    def direct(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement past the tools, as the database's owner."""
        with self.open() as connection:
            cursor = connection.execute(statement)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Give the owner's connection: everything commits at once."""
        connection: Any
        if self.kind == "sqlite":
            connection = sqlite3.connect(self.admin_url, isolation_level=None)
        else:
            connection = psycopg.connect(self.admin_url, autocommit=True)
        try:
            yield connection
        finally:
            connection.close()

    def content(self) -> list[tuple[Any, ...]]:
        """Return everything in it."""
        found = self.direct("SELECT id, name, note FROM customers ORDER BY id")
        return found + self.direct("SELECT id, customer FROM orders ORDER BY id")


def sqlite_house(folder: Path) -> SqlHouse:
    """Return a house on SQLite."""
    path = folder / "crm #1?.db"
    house = SqlHouse("sqlite", f"sqlite:///{path}".replace("#", "%23").replace("?", "%3F"), str(path))
    with house.open() as connection:
        connection.executescript(TABLES)
    return house


def postgres_house(server: Postgres) -> SqlHouse:
    """Return a house on PostgreSQL, as new: its database, and a role that may read and write it."""
    house = SqlHouse("postgres", server.url("crm", "agent"), server.url("crm"))
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        if connection.execute("SELECT to_regrole('agent')").fetchone() == (None,):
            connection.execute("CREATE ROLE agent LOGIN")
            connection.execute("CREATE DATABASE crm")
    with house.open() as connection:
        connection.execute(
            "DROP SCHEMA IF EXISTS agent CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        )
        connection.execute(TABLES)
        connection.execute(
            "GRANT ALL ON SCHEMA public TO agent; GRANT ALL ON ALL TABLES IN SCHEMA public TO agent"
        )
    return house
