"""Record → rows, for people, logins and keys; see `pratique.ledger.projection`."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, insert, update

from pratique.ledger import tables as t

Record = Mapping[str, Any]


def _person_add(connection: Connection, record: Record) -> None:
    connection.execute(
        insert(t.people).values(
            name=record["person"],
            roles=_list(record["roles"]),
            groups="[]",
            issuer=record["issuer"],
            subject=record["subject"],
            password_seq=0,
            added_us=record["ts_us"],
            disabled_us=0,
        )
    )


def _person_roles(connection: Connection, record: Record) -> None:
    _set_person(connection, record, roles=_list(record["roles"]))


def _person_disable(connection: Connection, record: Record) -> None:
    _set_person(connection, record, disabled_us=record["ts_us"])
    _end_logins(connection, record)


def _person_enable(connection: Connection, record: Record) -> None:
    _set_person(connection, record, disabled_us=0)


def _person_password(connection: Connection, record: Record) -> None:
    _set_person(connection, record, password_seq=record["seq"])
    _end_logins(connection, record)


def _set_person(connection: Connection, record: Record, **columns: Any) -> None:
    connection.execute(update(t.people).where(t.people.c.name == record["person"]).values(**columns))


def _end_logins(connection: Connection, record: Record) -> None:
    of = (t.logins.c.person == record["person"]) & (t.logins.c.closed_us == 0)
    connection.execute(update(t.logins).where(of).values(closed_us=record["ts_us"]))
    of = (t.login_links.c.person == record["person"]) & (t.login_links.c.used_us == 0)
    connection.execute(update(t.login_links).where(of).values(used_us=record["ts_us"]))


def _person_link(connection: Connection, record: Record) -> None:
    connection.execute(
        insert(t.login_links).values(
            id=record["link"],
            person=record["person"],
            secret_sha256=record["secret_sha256"],
            ends_us=record["ends_us"],
            used_us=0,
        )
    )


def _login_open(connection: Connection, record: Record) -> None:
    connection.execute(
        insert(t.logins).values(
            id=record["login"],
            person=record["person"],
            how=record["how"],
            opened_us=record["ts_us"],
            ends_us=record["ends_us"],
            closed_us=0,
        )
    )
    if record["how"] == "oidc":
        _set_person(connection, record, groups=_list(record["groups"]))
    if record["link"]:
        used = update(t.login_links).where(t.login_links.c.id == record["link"])
        connection.execute(used.values(used_us=record["ts_us"]))


def _login_close(connection: Connection, record: Record) -> None:
    connection.execute(
        update(t.logins).where(t.logins.c.id == record["login"]).values(closed_us=record["ts_us"])
    )


def _key_issue(connection: Connection, record: Record) -> None:
    connection.execute(
        insert(t.api_keys).values(
            id=record["key"],
            agent=record["agent"],
            acts_for=_list(record["acts_for"]),
            secret_sha256=record["secret_sha256"],
            label=record["label"],
            issued_by=record["by"],
            issued_us=record["ts_us"],
            ends_us=record["ends_us"],
            revoked_us=0,
        )
    )


def _key_revoke(connection: Connection, record: Record) -> None:
    """End the key, and every session that it opened: what waits or runs under it commits nothing more."""
    connection.execute(
        update(t.api_keys).where(t.api_keys.c.id == record["key"]).values(revoked_us=record["ts_us"])
    )
    of = (t.sessions.c.api_key == record["key"]) & (t.sessions.c.closed_us == 0)
    connection.execute(update(t.sessions).where(of).values(closed_us=record["ts_us"]))


def _list(of: list[str]) -> str:
    return orjson.dumps(of).decode()


IDENTITY: Mapping[str, Callable[[Connection, Record], None]] = {
    "person.add": _person_add,
    "person.roles": _person_roles,
    "person.disable": _person_disable,
    "person.enable": _person_enable,
    "person.password": _person_password,
    "person.link": _person_link,
    "login.open": _login_open,
    "login.close": _login_close,
    "key.issue": _key_issue,
    "key.revoke": _key_revoke,
}
"""`login.refuse` changes no state: it is history only."""
