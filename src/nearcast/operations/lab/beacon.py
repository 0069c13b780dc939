"""``python -m nearcast.operations.lab.beacon NAME PORT``: a service that says which site it is, by UDP and by HTTP, at one port.

It stands for whatever a site serves at its anycast address; a probe can be sent to it every few milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast


class _Datagrams(asyncio.DatagramProtocol):
    """What comes goes back with the name behind it."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data + b" " + self._name, addr)


async def serve(name: str, port: int) -> None:
    """Until killed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + name.encode())
        await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: _Datagrams(name.encode()), local_addr=("0.0.0.0", port))  # noqa: S104  (its namespace)
    server = await asyncio.start_server(answer, "0.0.0.0", port)  # noqa: S104  (likewise)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
