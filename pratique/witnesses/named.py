"""The witnesses that the settings name."""

from pratique.audit.note import Verifier
from pratique.errors import NoteError, SettingsError, WitnessError
from pratique.settings import Settings
from pratique.settings_sections import FileWitnessSettings, TlogWitnessSettings
from pratique.witnesses.file import FileWitness
from pratique.witnesses.kinds import Witness
from pratique.witnesses.timestamp import TimestampWitness
from pratique.witnesses.tlog import TlogWitness


def witnesses_of(settings: Settings) -> list[Witness]:
    """Return every witness, ready to be used.

    Raises:
        SettingsError: a key or certificate cannot be used, or a library is missing.
    """
    return [_witness(settings, name) for name in settings.witnesses]


def _witness(settings: Settings, name: str) -> Witness:
    chosen = settings.witnesses[name]
    if isinstance(chosen, FileWitnessSettings):
        return FileWitness(name, settings.path(chosen.path))
    if isinstance(chosen, TlogWitnessSettings):
        try:
            return TlogWitness(name, chosen.url, Verifier.parse(chosen.key))
        except (NoteError, WitnessError) as problem:
            raise SettingsError(f"witnesses.{name}.key: {problem}") from None
    return TimestampWitness(name, chosen.url, settings.path(chosen.certificate))
