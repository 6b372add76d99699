"""What records say of people, their logins and agents' API keys.

Rules:
- No password, link or key is in a record. A password's hash is a value of the vault, which a record commits
  to and which can be erased; of a link or key, which are random and long, the record has the SHA-256.
- Every draft says who did it, as that person or process was authenticated.
"""

from collections.abc import Sequence

from pratique.audit.record import Draft
from pratique.model import clip

HOLDER = "token:"
"""How the name begins by which a session knows an access token's holder, instead of a key of this ledger."""


def is_key(name: str) -> bool:
    """Whether a session's `api_key` names a key of this ledger, and not the holder of somebody's token."""
    return bool(name) and not name.startswith(HOLDER)


def person_add(name: str, roles: Sequence[str], by: str, issuer: str = "", subject: str = "") -> Draft:
    """Draft a new account. `issuer` and `subject` name who vouches for a person that a company logs in."""
    return {
        "type": "person.add",
        "person": name,
        "roles": list(roles),
        "issuer": clip(issuer),
        "subject": clip(subject),
        "by": by,
    }


def person_roles(name: str, roles: Sequence[str], by: str) -> Draft:
    """Draft the roles that a person has from now on."""
    return {"type": "person.roles", "person": name, "roles": list(roles), "by": by}


def person_disable(name: str, by: str, reason: str) -> Draft:
    """Draft the end of an account: all its logins end with it."""
    return {"type": "person.disable", "person": name, "by": by, "reason": clip(reason)}


def person_enable(name: str, by: str) -> Draft:
    """Draft that a disabled account may log in again."""
    return {"type": "person.enable", "person": name, "by": by}


def person_password(name: str, by: str) -> Draft:
    """Draft a new password; its hash is the value `password`. Earlier logins end."""
    return {"type": "person.password", "person": name, "by": by}


def person_link(link: str, name: str, digest: str, ends_us: int, by: str) -> Draft:
    """Draft a login link that can be used once."""
    return {
        "type": "person.link",
        "link": link,
        "person": name,
        "secret_sha256": digest,
        "ends_us": ends_us,
        "by": by,
    }


def login_open(login: str, name: str, how: str, ends_us: int, groups: Sequence[str], link: str) -> Draft:
    """Draft a login. `groups` are what a company's login said, `link` the link that was used."""
    return {
        "type": "login.open",
        "login": login,
        "person": name,
        "how": how,
        "ends_us": ends_us,
        "groups": [clip(group) for group in groups],
        "link": link,
    }


def login_close(login: str, name: str) -> Draft:
    """Draft the end of a login."""
    return {"type": "login.close", "login": login, "person": name}


def login_refuse(name: str, how: str, why: str) -> Draft:
    """Draft an attempt to log in as somebody who exists, that failed."""
    return {"type": "login.refuse", "person": name, "how": how, "why": clip(why)}


def key_issue(
    key: str, agent: str, acts_for: Sequence[str], digest: str, ends_us: int, label: str, by: str
) -> Draft:
    """Draft an API key for one agent, and for whom it may act."""
    return {
        "type": "key.issue",
        "key": key,
        "agent": agent,
        "acts_for": list(acts_for),
        "secret_sha256": digest,
        "ends_us": ends_us,
        "label": clip(label),
        "by": by,
    }


def key_revoke(key: str, by: str, reason: str) -> Draft:
    """Draft the end of a key. Its open sessions end with it."""
    return {"type": "key.revoke", "key": key, "by": by, "reason": clip(reason)}
