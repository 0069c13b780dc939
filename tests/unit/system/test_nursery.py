"""The nursery may be forked: what it loads starts no thread and wakes no gRPC core, which a fork would inherit half dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys

LOAD = """
import importlib, json, os
from nearcast.system.nursery import STAGES, prepare
prepare()
for stage in STAGES:
    for module in stage.modules:
        importlib.import_module(module)
from grpc._cython import cygrpc
links = [os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{each}")]
print(json.dumps({
    "threads": len(os.listdir("/proc/self/task")),
    "fork_handlers": cygrpc.is_fork_support_enabled(),
    "sockets": [each for each in links if each.startswith(("socket:", "anon_inode:[event"))],
}))
"""


def test_what_is_forked_has_one_thread_and_no_live_grpc_core() -> None:
    environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "1"}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout) == {"threads": 1, "fork_handlers": False, "sockets": []}
