import json
import os

import pytest

from apps.engine.integrity import damage, seal


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "data").write_bytes(bytes(range(200)))
    (tmp_path / "empty").write_bytes(b"")
    seal(tmp_path)
    return tmp_path


def test_a_folder_as_it_was_written_has_no_damage(sealed):
    assert damage(sealed) is None
    (sealed / "another file").write_text("does not matter")
    assert damage(sealed) is None


@pytest.mark.parametrize("bit", [0, 777, 1599])
def test_one_flipped_bit_is_seen(sealed, bit):
    content = bytearray((sealed / "part" / "data").read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    (sealed / "part" / "data").write_bytes(content)
    assert damage(sealed) == "part/data is not as it was written"
    assert damage(sealed, parts=("part",)) == "part/data is not as it was written"
    assert damage(sealed, parts=("other",)) is None


def test_a_shorter_a_missing_and_an_unsealed_file_are_seen(sealed):
    os.truncate(sealed / "part" / "data", 100)
    assert damage(sealed) == "part/data is not as it was written"
    (sealed / "part" / "data").unlink()
    assert damage(sealed) == "part/data is missing"
    (sealed / "integrity.json").unlink()
    assert damage(sealed) == "integrity.json is missing"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"sha256": 3}', b'{"sha256": {"part/data": 1}}', b"\xff\xfe"]
)
def test_a_damaged_seal_is_damage(sealed, content):
    (sealed / "integrity.json").write_bytes(content)
    assert damage(sealed) is not None


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "part/../../secret"])
def test_a_seal_never_leads_out_of_its_folder(sealed, name):
    (sealed / "integrity.json").write_text(json.dumps({"sha256": {name: "0"}}))
    assert damage(sealed) == "integrity.json is not as it was written"
