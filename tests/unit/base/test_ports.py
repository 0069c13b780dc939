from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from nearcast.base import ports

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
"""


def test_only_listening_sockets_of_that_port_count() -> None:
    assert ports.listening_inodes(TABLE, 8080) == {"4711"}
    assert ports.listening_inodes(TABLE, 22) == {"4713"}
    assert ports.listening_inodes(TABLE, 81) == set()


def test_a_taken_port_names_this_process() -> None:
    with ports.listen("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(ports.PortTaken) as caught:
            ports.listen("127.0.0.1", port)
        assert f"process {os.getpid()}" in caught.value.message
        assert str(os.getpid()) in caught.value.hint
    ports.check_free("127.0.0.1", port)


def test_a_taken_port_names_another_process() -> None:
    code = "import socket,sys; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        port = int(child.stdout.readline())
        holder = ports.holder_of(port)
        child.stdin.close()
    assert holder is not None
    assert holder.pid == child.pid
    assert "socket.create_server" in holder.command
    assert ports.holder_of(port) is None


def test_a_port_shared_by_its_holder_is_taken_all_the_same() -> None:
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(ports.PortTaken):
            ports.check_free("127.0.0.1", held.getsockname()[1])


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 0), ("no such host", 0), ("127.0.0.1", 70000)])
def test_impossible_addresses_are_refused(host: str, port: int) -> None:
    with pytest.raises(ports.BadAddress):
        ports.listen(host, port)


def test_ipv6_stands_in_brackets() -> None:
    assert ports.authority("::1", 80) == "[::1]:80"
    assert ports.authority("127.0.0.1", 80) == "127.0.0.1:80"
    assert ports.authority("localhost", 80) == "localhost:80"
