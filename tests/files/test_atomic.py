"""Files that are written whole or not at all."""

import os
import stat

import pytest

from sk_deep._files.atomic import atomic_write


def _write(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)


@pytest.mark.parametrize("name", ["model", "a[b]*?.sk_deep", "ä ö"])
def test_a_file_is_written_and_replaced(tmp_path, name):
    path = tmp_path / name
    _write(path, b"old")
    _write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == [name]


def test_after_an_error_the_former_file_is_there(tmp_path):
    path = tmp_path / "model"
    _write(path, b"old")
    file = None

    def write_half():
        nonlocal file
        with atomic_write(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert file.closed
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_modes_are_those_of_open_and_of_the_former_file(tmp_path):
    path, other = tmp_path / "model", tmp_path / "other"
    _write(path)
    other.write_bytes(b"")
    assert path.stat().st_mode == other.stat().st_mode
    path.chmod(0o640)
    _write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_of_a_link_the_file_is_replaced(tmp_path):
    path, link = tmp_path / "model", tmp_path / "link"
    _write(path, b"old")
    link.symlink_to(path)
    _write(link)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


def test_what_the_dead_left_is_removed_and_what_the_living_write_is_not(tmp_path):
    path = tmp_path / "model"
    abandoned = tmp_path / f".model.{'0' * 16}.tmp"
    another = tmp_path / f".other.{'0' * 16}.tmp"
    for file in (abandoned, another):
        file.write_bytes(b"half")
    with atomic_write(path) as outer:
        outer.write(b"last")
        _write(path, b"first")
        assert path.read_bytes() == b"first"
    assert path.read_bytes() == b"last"
    assert sorted(os.listdir(tmp_path)) == [another.name, "model"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="path must be that of a file"):
        _write(path)
    assert path.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        _write(tmp_path / "nowhere" / "model")
