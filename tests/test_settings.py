"""Settings are as they are written, or one line says which file or variable and which key is wrong."""

from pathlib import Path
from typing import Any

import pytest

from pratique.errors import SettingsError
from pratique.settings import Settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def written(folder: Path, text: str) -> Path:
    file = folder / "pratique.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_file_the_defaults_hold() -> None:
    settings = Settings.load()
    assert (settings.folder, settings.policy, settings.wait) == (Path(".pratique"), Path("policy.toml"), 0.0)
    assert settings.tools == ()


def test_the_file_in_this_folder_is_read(tmp_path: Path) -> None:
    written(tmp_path, 'wait = 2.5\ntools = ["a.b"]\n[roots]\nmail = "box"\n')
    settings = Settings.load()
    assert (settings.wait, settings.tools, settings.roots) == (2.5, ("a.b",), {"mail": Path("box")})


def test_a_variable_overrides_the_file_and_the_file_overrides_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, "wait = 2\nmost_waiting = 7\n")
    monkeypatch.setenv("PRATIQUE_WAIT", "3")
    settings = Settings.load(file)
    assert (settings.wait, settings.most_waiting, settings.arguments_depth) == (3.0, 7, 32)


def test_a_variable_can_set_one_key_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, '[roots]\nmail = "box"\nfiles = "files"\n')
    monkeypatch.setenv("PRATIQUE_ROOTS__mail", "other")
    roots = Settings.load(file).roots
    assert roots.get("files") == Path("files")
    assert roots.get("mail") == Path("other")


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        ("wiat = 2\n", "wiat", "unknown key"),
        ("[ledger]\nfolder = 'x'\n", "ledger", "unknown key"),
        ("wait = -1\n", "wait", "greater than or equal to 0"),
        ("wait = 'soon'\n", "wait", "valid number"),
        ("arguments_depth = 1000\n", "arguments_depth", "less than or equal to 200"),
        ("arguments_bytes = 0\n", "arguments_bytes", "greater than 0"),
        ("tools = 'one.module'\n", "tools", "valid tuple"),
        ("log_level = 'loud'\n", "log_level", "'debug', 'info'"),
        ("[roots]\nmail = 5\n", "roots.mail", "path"),
        ("_env_file = '/etc/passwd'\n", "_env_file", "unknown key"),
        ("_secrets_dir = '/etc'\n", "_secrets_dir", "unknown key"),
        ("_cli_parse_args = true\n", "_cli_parse_args", "unknown key"),
        ("_base = '/'\n", "_base", "unknown key"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, key: str, what: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        Settings.load(file)
    said = str(caught.value)
    assert f"{file}: {key}: " in said
    assert what in said
    assert "\n" not in said


def test_every_problem_is_listed(tmp_path: Path) -> None:
    file = written(tmp_path, "wiat = 2\nwait = -1\n")
    with pytest.raises(SettingsError, match=r"wait: .*; .*wiat: unknown key"):
        Settings.load(file)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PRATIQUE_WIAT", "3"),
        ("PRATIQUE_", "3"),
        ("PRATIQUE_LEDGER__FOLDER", "x"),
        ("PRATIQUE_WAIT", "soon"),
        ("PRATIQUE_TOOLS", "one.module"),
        ("PRATIQUE_TOOLS", '["unclosed'),
        ("PRATIQUE_ROOTS", "[]"),
        ("PRATIQUE_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert variable in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"wait = \n", b"\xff\xfe", b"wait = 1\nwait = 2\n"])
def test_a_file_that_does_not_parse_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pratique.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"pratique\.toml: "):
        Settings.load(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.toml"):
        Settings.load(tmp_path / "nothing.toml")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SettingsError, match="folder"):
        Settings.load(tmp_path / "folder")


def test_paths_are_relative_to_the_file_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    file = written(tmp_path / "there", 'folder = "ledger"\npolicy = "/abs/policy.toml"\n')
    monkeypatch.chdir("/")
    settings = Settings.load(file)
    assert settings.path(settings.folder) == tmp_path / "there" / "ledger"
    assert settings.path(settings.policy) == Path("/abs/policy.toml")
    monkeypatch.chdir(tmp_path)
    relative = Settings.load("there/pratique.toml")
    monkeypatch.chdir("/")
    assert relative.path(relative.folder) == tmp_path / "there" / "ledger"


def test_secrets_come_from_variables_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_KEY", "from the environment")
    (tmp_path / "smtp.key").write_text("from a file\n")
    file = written(tmp_path, '[secrets]\ncrm = "env:CRM_KEY"\nsmtp = "file:smtp.key"\n')
    settings = Settings.load(file)
    values = {name: value.get_secret_value() for name, value in settings.secret_values().items()}
    assert values == {"crm": "from the environment", "smtp": "from a file"}
    assert "from the environment" not in repr(settings) + repr(settings.secret_values())


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("env:NOT_SET", "the variable NOT_SET is not set"),
        ("file:nothing", "nothing cannot be read"),
        ("file:.", "cannot be read"),
        ("hunter2", "say env:NAME or file:PATH, not the secret itself"),
        ("vault:crm", "say env:NAME or file:PATH"),
    ],
)
def test_a_secret_that_cannot_be_had_is_named_and_never_shown(tmp_path: Path, where: str, what: str) -> None:
    settings = Settings.load(written(tmp_path, f'[secrets]\ncrm = "{where}"\n'))
    with pytest.raises(SettingsError, match=what) as caught:
        settings.secret_values()
    assert "secrets.crm" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings: Any = Settings.load(written(tmp_path, ""))
    with pytest.raises(ValueError, match="frozen"):
        settings.wait = 5


def test_a_variable_of_the_machine_is_no_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pratique.toml").write_text("")
    monkeypatch.setenv("PRATIQUE_CGROUP", "/sys/fs/cgroup/pratique")
    assert Settings.load(tmp_path / "pratique.toml").sandbox_image == ""
