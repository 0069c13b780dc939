from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nearcast.steering.routes.arrays import Damaged, load, write

MAGIC = b"NCTESTS1"
ARRAYS: dict[str, NDArray[Any]] = {
    "empty": np.array([], dtype=np.uint64),
    "bytes": np.arange(3, dtype=np.uint8),
    "numbers": np.array([1, 2**63], dtype=np.uint64),
}


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("arrays") / "file"
    write(path, MAGIC, 7, {"who": "me"}, ARRAYS)
    return path.read_bytes()


def test_what_is_written_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    found = load(tmp_path / "file", MAGIC)
    assert (found.version, found.meta) == (7, {"who": "me"})
    assert {name: each.tolist() for name, each in found.arrays.items()} == {"empty": [], "bytes": [0, 1, 2], "numbers": [1, 2**63]}
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@given(st.data())
def test_damage_is_found_wherever_it_is(tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / "file"
    at, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(content)
    damaged[at] ^= 1 << bit
    for each in (content[:at], bytes(damaged), content + b"\0"):
        path.write_bytes(each)
        with pytest.raises(Damaged) as caught:
            load(path, MAGIC)
        assert str(path) in caught.value.message


def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(Damaged, match="no such file"):
        load(tmp_path / "file", b"NCOTHER1")
