"""The schema's history, as Alembic revisions in `versions/`, applied without an alembic.ini."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def known() -> frozenset[str]:
    """Return every revision that this installation has."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def newest() -> str | None:
    """Return the revision that `upgrade` leads to."""
    return _scripts().get_current_head()


def upgrade(connection: Connection) -> None:
    """Apply every missing revision, inside the connection's transaction."""
    scripts = _scripts()
    with EnvironmentContext(
        Config(),
        scripts,
        fn=lambda revision, _: scripts._upgrade_revs("head", revision),  # noqa: SLF001  # the way alembic's own env.py does it
    ) as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()
