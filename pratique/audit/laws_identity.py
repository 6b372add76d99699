"""The laws of people, their logins and agents' API keys; see `pratique.audit.laws`.

Rules:
- Each says again, from the records alone, what a guard demanded (`pratique.ledger.guards_identity`).
- That a password or a link's secret was the right one is not in the log: only that it was used as it may be.
"""

from collections.abc import Iterator, Mapping

from pratique.audit.standing import Law, Record, Standing


def person_add(now: Standing, record: Record) -> Iterator[str]:
    """Nobody has this name yet."""
    if record["person"] in now.people:
        yield f"{record['person']} had an account already"
    now.people[record["person"]] = True


def person_disable(now: Standing, record: Record) -> Iterator[str]:
    """The account is enabled; its logins and links end with it."""
    yield from _has_account(now, record)
    now.people[record["person"]] = False
    _end_logins(now, record["person"])


def person_enable(now: Standing, record: Record) -> Iterator[str]:
    """The account is disabled."""
    if now.people.get(record["person"]) is not False:
        yield f"the account of {record['person']} was not disabled"
    now.people[record["person"]] = True


def person_password(now: Standing, record: Record) -> Iterator[str]:
    """The account is enabled; earlier logins and links end."""
    yield from _has_account(now, record)
    _end_logins(now, record["person"])


def person_link(now: Standing, record: Record) -> Iterator[str]:
    """The account is enabled, and the link is a new one."""
    yield from _has_account(now, record)
    if record["link"] in now.links:
        yield f"the link {record['link']} was given before"
    now.links[record["link"]] = record


def login_open(now: Standing, record: Record) -> Iterator[str]:
    """The account is enabled; a link is this person's, unused, and not too old."""
    yield from _has_account(now, record)
    if record["login"] in now.logins:
        yield f"the login {record['login']} was opened before"
    if record["link"]:
        link = now.links.pop(record["link"], None)
        if link is None or link["person"] != record["person"]:
            yield f"the link {record['link']} is not one that {record['person']} could still use"
        elif record["ts_us"] >= link["ends_us"]:
            yield f"the link {record['link']} was used too late"
    now.logins[record["login"]] = record


def login_close(now: Standing, record: Record) -> Iterator[str]:
    """The login is open, and this person's."""
    login = now.logins.pop(record["login"], None)
    if login is None or login["person"] != record["person"]:
        yield f"it ends {record['login']}, which is not a login of {record['person']} that is open"


def key_issue(now: Standing, record: Record) -> Iterator[str]:
    """The key is a new one."""
    if record["key"] in now.keys:
        yield f"the key {record['key']} was issued before"
    now.keys[record["key"]] = record


def key_revoke(now: Standing, record: Record) -> Iterator[str]:
    """The key is good; every session that it opened ends."""
    if now.keys.pop(record["key"], None) is None:
        yield f"it revokes {record['key']}, which is not a key in force"
    for name in [name for name, session in now.sessions.items() if session.api_key == record["key"]]:
        del now.sessions[name]
        now.over.add(name)


def key_is_good(now: Standing, record: Record) -> Iterator[str]:
    """Yield what is wrong with the key that a session was opened with."""
    key = now.keys.get(record["api_key"])
    if key is None or key["agent"] != record["agent"]:
        yield f"{record['api_key']} is not a key of {record['agent']} that is in force"
    elif record["ts_us"] >= key["ends_us"]:
        yield f"the key {record['api_key']} had expired"


def _person_roles(now: Standing, record: Record) -> Iterator[str]:
    yield from _has_account(now, record)


def _nothing(now: Standing, record: Record) -> Iterator[str]:
    """A refused login changes nothing, and may be of anybody."""
    del now, record
    yield from ()


def _has_account(now: Standing, record: Record) -> Iterator[str]:
    enabled = now.people.get(record["person"])
    if not enabled:
        yield f"{record['person']} has {'no account' if enabled is None else 'a disabled account'}"


def _end_logins(now: Standing, person: str) -> None:
    for of in (now.logins, now.links):
        for name in [name for name, record in of.items() if record["person"] == person]:
            del of[name]


IDENTITY: Mapping[str, Law] = {
    "person.add": person_add,
    "person.roles": _person_roles,
    "person.disable": person_disable,
    "person.enable": person_enable,
    "person.password": person_password,
    "person.link": person_link,
    "login.open": login_open,
    "login.close": login_close,
    "login.refuse": _nothing,
    "key.issue": key_issue,
    "key.revoke": key_revoke,
}
