"""Between the announcer and its ExaBGP: hands commands on, and withdraws everything when nobody speaks any more.

ExaBGP runs this module as its helper, with the socket's path in NEARCAST_ANYCAST_SOCKET; standard library only, so that it starts at once.
Lines come in from the socket; an empty one is a sign of life. When none comes for NEARCAST_ANYCAST_PATIENCE_S, the announcer is frozen,
and what it has announced is withdrawn here; what of that time this process was not run itself is left out (patience.py). When the socket
closes, the announcer is dead: withdrawn, and this ends. What ExaBGP says goes back over the socket.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import time

from nearcast.steering.anycast.patience import TICK_S, heard_after

ANNOUNCE, WITHDRAW = " announce ", " withdraw "


def withdrawal(line: str) -> str:
    """The command that takes an announcement back: the route alone, up to its prefix."""
    head, _, rest = line.partition(ANNOUNCE)
    return head + WITHDRAW + " ".join(rest.split()[:2])


class Relay:
    """``announced``: commands in force, by the command that takes each back."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.announced: dict[str, str] = {}

    def take(self, line: str) -> None:
        """Hand one command on to ExaBGP."""
        if not line:
            return
        if ANNOUNCE in line:
            self.announced[withdrawal(line)] = line
        else:
            self.announced.pop(line, None)
        self.say(line)

    def withdraw(self) -> None:
        for each in list(self.announced):
            self.say(each)
        self.announced.clear()

    def say(self, line: str) -> None:
        os.write(sys.stdout.fileno(), line.encode() + b"\n")

    def run(self, patience_s: float) -> None:
        """Until the announcer or ExaBGP is gone."""
        buffer, heard_s = b"", time.monotonic()
        while True:
            due_s = time.monotonic() + TICK_S
            readable, _, _ = select.select([self.channel, sys.stdin.fileno()], [], [], TICK_S)
            woke_s = time.monotonic()
            heard_s = heard_after(heard_s, due_s, woke_s, self.channel in readable)
            if woke_s - heard_s > patience_s:
                self.withdraw()
            if sys.stdin.fileno() in readable:
                said = os.read(sys.stdin.fileno(), 65536)
                if not said:  # ExaBGP is gone, and its sessions with it
                    return
                with contextlib.suppress(OSError):  # a frozen announcer reads nothing, and must not hold us up
                    self.channel.send(said, socket.MSG_DONTWAIT)
            if self.channel in readable:
                try:
                    received = self.channel.recv(65536)
                except OSError:
                    received = b""
                if not received:
                    self.withdraw()
                    return
                *lines, buffer = (buffer + received).split(b"\n")
                for each in lines:
                    self.take(each.decode("ascii", "replace"))


def main() -> None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.connect(os.environ["NEARCAST_ANYCAST_SOCKET"])
    Relay(channel).run(float(os.environ["NEARCAST_ANYCAST_PATIENCE_S"]))


if __name__ == "__main__":
    main()
