"""`pratique audit …`: checkpoints, keys, proofs, bundles, retention, witnesses."""

import base64
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy import Connection, select

from pratique.app import local_login, open_ledger
from pratique.audit.checkpoint import SignedCheckpoint
from pratique.audit.merkle import Subtree, consistency_proof, inclusion_proof, root_of
from pratique.cli.console import ConfigOption, JsonOption, console, fail, print_json, reporting_errors, say
from pratique.cli.trace import moment
from pratique.errors import PratiqueError, RetentionError, SettingsError
from pratique.ledger import queries
from pratique.ledger import tables as t
from pratique.ledger.bundles import openings_of, write_bundle
from pratique.ledger.readonly import driver_of
from pratique.ledger.segments import (
    Hold,
    drop_segment,
    holds,
    lift_hold,
    rotate_key,
    seal_segment,
    set_hold,
)
from pratique.ledger.sequencer import Entry
from pratique.ledger.tree import StoredTree
from pratique.settings import Settings
from pratique.witnesses.named import witnesses_of
from pratique.witnesses.pushing import push_newest, standings

ReasonOption = Annotated[str, typer.Option("--reason", help="Why: it is recorded.")]


def checkpoint(
    config: ConfigOption = None,
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.", metavar="FILE")] = None,
) -> None:
    """Sign the head of the log now, and print the checkpoint: keep it where the log's owner cannot change it.

    Example: `pratique audit checkpoint --out /mnt/elsewhere/checkpoint`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        ledger.commit_now(Entry((), checkpoint=True))
        found = ledger.read(queries.newest_checkpoint)
        if found is None or found.checkpoint.size != ledger.read(queries.head).seq:
            fail("no checkpoint could be signed: there is no record, or the key cannot be used")
        if out is None:
            typer.echo(str(found.note), nl=False)
            return
        try:
            out.write_text(str(found.note), encoding="utf-8")
        except OSError as problem:
            raise SettingsError(f"{out}: {problem.strerror}") from None


def key(config: ConfigOption = None) -> None:
    """Print the log's first public key: for auditors, and for witnesses to know this log by.

    Example: `pratique audit key > log.pub`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        typer.echo(str(ledger.keys.first.verifier))


def rotate(reason: ReasonOption, config: ConfigOption = None) -> None:
    """Bring a new signing key into force, by a record that the old one signs. Print the new public key.

    Auditors keep the first key: it leads to all others. Witnesses must be told the new one.

    Example: `pratique audit rotate-key --reason "yearly"`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        typer.echo(str(rotate_key(ledger, local_login(), _demanded(reason))))


def prove(
    seq: Annotated[int, typer.Argument(help="The record's number.", min=1)],
    config: ConfigOption = None,
    *,
    size: Annotated[int, typer.Option(help="Of the checkpoint; 0 for the newest.", min=0)] = 0,
) -> None:
    """Print the proof that a record is in the log that a checkpoint signs, as JSON.

    It is an inclusion proof of RFC 6962: any tool for transparency logs can verify it.

    Example: `pratique audit prove 17 > proof.json`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        print_json(ledger.read(lambda connection: _inclusion(connection, seq, size)))


def consistency(
    old: Annotated[int, typer.Argument(help="The older size.", min=1)],
    new: Annotated[int, typer.Argument(help="The newer size; 0 for the newest checkpoint's.", min=0)] = 0,
    config: ConfigOption = None,
) -> None:
    """Print the proof that the log of one size is the beginning of a later one, as JSON.

    Example: `pratique audit consistency 1024 2048`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        print_json(ledger.read(lambda connection: _consistency(connection, old, new)))


def bundle(
    to: Annotated[Path, typer.Argument(help="A new folder, or a file that ends in .tar.")],
    config: ConfigOption = None,
    *,
    since: Annotated[int, typer.Option(help="The first record; 0 for the first that is there.", min=0)] = 0,
    until: Annotated[int, typer.Option(help="The last record; 0 for all.", min=0)] = 0,
    disclose: Annotated[
        list[int] | None, typer.Option(help="Disclose this record's values as well.", metavar="SEQ")
    ] = None,
) -> None:
    """Export records with what proves them, for somebody who has nothing else: `pratique-verify` checks it.

    Example: `pratique audit bundle /tmp/evidence.tar --since 100 --until 200`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        ledger.commit_now(Entry((), checkpoint=True))
        first_key = str(ledger.keys.first.verifier)
        written = ledger.read(
            lambda connection: write_bundle(
                connection,
                to,
                key=first_key,
                first=since or queries.dropped(connection) + 1,
                last=until or None,
                openings=[each for seq in disclose or () for each in openings_of(connection, ledger, seq)],
            )
        )
    say(f"{to}: records {written.first} to {written.last}, under the checkpoint of {written.size}")
    say(f"check it anywhere with: pratique-verify {to} --key {first_key}", "dim")


def seal(
    to: Annotated[Path, typer.Argument(help="A new folder, or a file that ends in .tar.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    *,
    until: Annotated[int, typer.Option(help="The last record; 0 for all.", min=0)] = 0,
) -> None:
    """Seal the oldest records into a bundle and record that. They stay until they are dropped.

    Example: `pratique audit seal /mnt/archive/2026-1.tar --until 50000 --reason "first half of 2026"`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        written = seal_segment(ledger, to, until or None, local_login(), _demanded(reason))
    say(f"{to}: records {written.first} to {written.last} are sealed")


def drop(
    sealed: Annotated[Path, typer.Argument(help="The sealed bundle, where it is now.")],
    reason: ReasonOption,
    config: ConfigOption = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Drop the records of a sealed bundle, and their values, from the ledger. All else goes on verifying.

    Records stay that are younger than `retention_days` (184 if not set: the six months for which the EU's
    AI Act has the logs of high-risk systems kept), that a hold keeps, or that something open rests on.

    Example: `pratique audit drop /mnt/archive/2026-1.tar --reason "retention"`
    """
    if not yes:
        typer.confirm(f"Drop the records of {sealed} from the ledger for good?", abort=True)
    with reporting_errors():
        settings = Settings.load(config)
        with open_ledger(settings) as ledger:
            days = settings.retention_days
            first, last = drop_segment(ledger, sealed, local_login(), _demanded(reason), days)
    say(f"records {first} to {last} are dropped; their hashes stay")


def hold(  # one option per thing to hold by
    reason: ReasonOption,
    config: ConfigOption = None,
    *,
    session: Annotated[str, typer.Option(help="A session's records.")] = "",
    user: Annotated[str, typer.Option(help="A person's records and values.")] = "",
    first: Annotated[int, typer.Option(help="A range: its first record.", min=0)] = 0,
    last: Annotated[int, typer.Option(help="A range: its last record.", min=0)] = 0,
) -> None:
    """Hold records: whatever their age, they are not dropped until the hold is lifted.

    Example: `pratique audit hold --user ana@acme.example --reason "case 4711"`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        if bool(first) != bool(last) or first > last:
            raise SettingsError("--first and --last make a range together")
        subject = ledger.vault.subject_id(user) if user else ""
        typer.echo(set_hold(ledger, Hold(session, subject, first, last), local_login(), _demanded(reason)))


def list_holds(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Print the holds that are in force.

    Example: `pratique audit holds`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        found = [dict(row._mapping) for row in ledger.read(holds)]  # noqa: SLF001  # SQLAlchemy's public name
    if as_json:
        print_json(found)
        return
    for row in found:
        what = row["session"] or row["subject"] or f"records {row['first']} to {row['last']}"
        say(f"{row['id']}  {moment(row['set_us'])}  {what}  {row['reason']}  ({row['set_by']})")


def lift(
    name: Annotated[str, typer.Argument(help="The hold.")], reason: ReasonOption, config: ConfigOption = None
) -> None:
    """Lift a hold.

    Example: `pratique audit lift h_0123456789abcdef --reason "case closed"`
    """
    with reporting_errors(), open_ledger(Settings.load(config)) as ledger:
        lift_hold(ledger, name, local_login(), _demanded(reason))


def witnesses(
    config: ConfigOption = None,
    *,
    push: Annotated[bool, typer.Option("--push", help="Hand them the newest checkpoint now.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print how it stands with each witness: up to which record it has a checkpoint, and what failed.

    Example: `pratique audit witnesses --push`
    """
    with reporting_errors():
        settings = Settings.load(config)
        named = witnesses_of(settings)
        with open_ledger(settings) as ledger:
            if push:
                ledger.commit_now(Entry((), checkpoint=True))
            for witness in named if push else ():
                try:
                    push_newest(ledger, witness)
                except PratiqueError:
                    continue  # it is in the table
            known = {each.witness: each for each in ledger.read(standings)}
            head = ledger.read(queries.head).seq
    rows: list[dict[str, Any]] = [
        {
            "witness": name,
            "kind": settings.witnesses[name].kind,
            "size": known[name].size if name in known else 0,
            "behind": head - (known[name].size if name in known else 0),
            "failures": known[name].failures if name in known else 0,
            "error": known[name].error if name in known else "",
            "ts_us": known[name].ts_us if name in known else 0,
        }
        for name in settings.witnesses
    ]
    if as_json:
        print_json(rows)
    elif rows:
        table = Table(
            "witness", "kind", "up to", "behind", "last try", "problem", box=None, header_style="dim"
        )
        for row in rows:
            when = moment(row["ts_us"]) if row["ts_us"] else "never"
            table.add_row(
                row["witness"], row["kind"], str(row["size"]), str(row["behind"]), when, row["error"]
            )
        console.print(table)
    else:
        say("No witness is configured: nobody outside would see a cut tail.", "yellow")
    if any(row["failures"] for row in rows):
        raise typer.Exit(1)


def attach(app: typer.Typer) -> None:
    """Add the verbs of this file to `pratique audit`."""
    app.command("checkpoint")(checkpoint)
    app.command("key")(key)
    app.command("rotate-key")(rotate)
    app.command("prove")(prove)
    app.command("consistency")(consistency)
    app.command("bundle")(bundle)
    app.command("seal")(seal)
    app.command("drop")(drop)
    app.command("hold")(hold)
    app.command("holds")(list_holds)
    app.command("lift")(lift)
    app.command("witnesses")(witnesses)


def _demanded(reason: str) -> str:
    if not reason.strip():
        raise SettingsError("--reason: say why; it is recorded")
    return reason.strip()[:500]


def _inclusion(connection: Connection, seq: int, size: int) -> dict[str, Any]:
    signed = _checkpoint_of(connection, size)
    tree = StoredTree(driver_of(connection))
    if seq > signed.checkpoint.size:
        raise RetentionError(f"no checkpoint covers record {seq}: run `pratique audit checkpoint`")
    record = queries.record(connection, seq)
    return {
        "record": record,
        "leaf": tree(0, seq - 1).hex(),
        "index": seq - 1,
        "size": signed.checkpoint.size,
        "root": signed.checkpoint.root.hex(),
        "proof": _hashes(inclusion_proof(seq - 1, signed.checkpoint.size, tree)),
        "checkpoint": str(signed.note),
    }


def _consistency(connection: Connection, old: int, new: int) -> dict[str, Any]:
    newest = _checkpoint_of(connection, 0).checkpoint.size
    tree: Subtree = StoredTree(driver_of(connection))
    new = new or newest
    if not old <= new <= queries.head(connection).seq:
        raise RetentionError(f"there is no log of {old} records inside of one of {new}")
    return {
        "old": {"size": old, "root": root_of(old, tree).hex()},
        "new": {"size": new, "root": root_of(new, tree).hex()},
        "proof": _hashes(consistency_proof(old, new, tree)),
    }


def _checkpoint_of(connection: Connection, size: int) -> SignedCheckpoint:
    if not size:
        newest = queries.newest_checkpoint(connection)
        if newest is None:
            raise RetentionError("there is no checkpoint yet: run `pratique audit checkpoint`")
        return newest
    note = connection.execute(select(t.checkpoints.c.note).where(t.checkpoints.c.size == size)).scalar()
    if note is None:
        raise RetentionError(f"there is no checkpoint of {size} records")
    return SignedCheckpoint.parse(note)


def _hashes(proof: tuple[bytes, ...]) -> list[str]:
    return [base64.b64encode(hash_).decode() for hash_ in proof]
