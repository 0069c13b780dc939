"""A speaker in a process of its own, to be killed and frozen: ``python announcing.py FOLDER PORT``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from nearcast.base.clock import SystemClock
from nearcast.steering.anycast.decide import Offer
from nearcast.steering.anycast.settings import AnycastSettings, Router
from nearcast.steering.anycast.speaker import Speaker

OUR_ASN = 64512


def settings(port: int, hold_s: int = 9) -> AnycastSettings:
    router = Router(address="127.0.0.1", asn=64500, local="127.0.0.2", next_hop="2001:db8::2", port=port, hold_s=hold_s)
    return AnycastSettings(asn=OUR_ASN, addresses=("192.0.2.53/24", "2001:db8:53::53"), routers=(router,), announce_s=0.3)


async def main(folder: Path, port: int) -> None:
    speaker = Speaker(settings(port), folder, folder / "exabgp.log", SystemClock())
    speaker.tell(Offer(med=100, prepends=0))
    await speaker.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
