import jax
import pytest

from apps.engine.compilation import keep_compilations


@pytest.fixture(autouse=True)
def _as_it_was():
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_compiled_programs_go_to_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    folder = keep_compilations()
    assert folder is not None
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path)
    assert folder.parts[-2:] == ("convt1d", "compiled")
    assert jax.config.values["jax_compilation_cache_dir"] == str(folder)


def test_the_environment_chooses_another_folder_or_none(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
    assert keep_compilations() == tmp_path / "mine"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    assert keep_compilations() is None


def test_a_folder_that_cannot_be_made_costs_a_line_and_nothing_else(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file" / "mine"))
    assert keep_compilations() is None
    assert "compiled programs are not kept" in caplog.text
