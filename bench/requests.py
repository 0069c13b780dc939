"""Request traces for caches: the two that were recorded, and generated ones whose seeds stand here."""

from __future__ import annotations

import lzma
import random
from pathlib import Path

Trace = list[tuple[int, int]]
"""Object and size in bytes, request after request."""
FOLDER = Path(__file__).parents[1].parent / "shared" / "data" / "requests"
SEED = 20261121
SLICE_BYTES = 1 << 20


def recorded() -> dict[str, Trace]:
    """What lies in ``../shared/data/requests``; nothing where the folder is absent."""
    found: dict[str, Trace] = {}
    sized = FOLDER / "adaptsize.trace.xz"
    if sized.exists():
        with lzma.open(sized, "rt") as file:  # time, object, bytes
            rows = [line.split() for line in file]
        found["adaptsize"] = [(int(row[1]), int(row[2])) for row in rows]
    campus = FOLDER / "youtube-campus-2007-06-18.dat"
    if campus.exists():  # time, client, server, GETVIDEO, video, address; sizes were not recorded
        names = [row[4] for line in campus.read_text().splitlines() if len(row := line.split()) > 4 and row[3] == "GETVIDEO"]
        number = {name: at for at, name in enumerate(dict.fromkeys(names))}
        found["campus video"] = [(number[name], SLICE_BYTES) for name in names]
    return found


def objects(seed: int, *, length: int, count: int, exponent: float, drift: int = 0, once: float = 0.0) -> Trace:
    """Zipf's law; the favourites move on by one each ``drift`` requests; a share ``once`` is for what nobody asks for again."""
    source = random.Random(seed)
    ranks = source.choices(range(count), [1 / (rank + 1) ** exponent for rank in range(count)], k=length)
    moved = [(rank + (at // drift if drift else 0)) % count for at, rank in enumerate(ranks)]
    return [(count + at if source.random() < once else name, SLICE_BYTES) for at, name in enumerate(moved)]


def films(seed: int, *, starts: int, count: int, exponent: float, slices: int, viewers: int, drift: int = 0) -> Trace:
    """So many viewers at once each read a film slice by slice; half of them stop somewhere. Favourites move on each ``drift`` starts."""
    source = random.Random(seed)
    weights = [1 / (rank + 1) ** exponent for rank in range(count)]
    watched: list[tuple[int, int, int]] = []
    """Film, next slice, last slice of each viewer."""
    trace: Trace = []
    begun = 0
    while begun < starts or watched:
        while len(watched) < viewers and begun < starts:
            film = (source.choices(range(count), weights)[0] + (begun // drift if drift else 0)) % count
            watched.append((film, 0, slices if source.random() < 0.5 else source.randint(1, slices)))
            begun += 1
        at = source.randrange(len(watched))
        film, number, last = watched[at]
        trace.append((film * slices + number, SLICE_BYTES))
        if number + 1 >= last:
            watched.pop(at)
        else:
            watched[at] = (film, number + 1, last)
    return trace


def generated(seed: int = SEED) -> dict[str, Trace]:
    return {
        "steady": objects(seed, length=60_000, count=10_000, exponent=0.9),
        "steep": objects(seed + 1, length=60_000, count=10_000, exponent=1.1),
        "drifting": objects(seed + 2, length=60_000, count=10_000, exponent=0.8, drift=20),
        "half asked once": objects(seed + 3, length=60_000, count=5_000, exponent=0.9, once=0.5),
        "films": films(seed + 4, starts=1500, count=600, exponent=0.9, slices=60, viewers=40),
        "launches": films(seed + 5, starts=1500, count=600, exponent=1.1, slices=60, viewers=40, drift=20),
    }
