"""An appliance as a door sees it, in a process of its own that can be killed and frozen: ``python appliance.py ID PORT``.

It answers ``/cat/…`` as an edge does, with a path of its own, and says from whom it was asked.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, PORT = sys.argv[1], int(sys.argv[2])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status = {"refused": 401, "broken": 500}.get(self.path.split("/")[2], 307)
        if status == 500 and NAME != "fra-1":
            status = 307
        self.send_response(status)
        self.send_header("X-Nearcast-Appliance", NAME)
        self.send_header("X-Asked-From", self.headers.get("X-Forwarded-For", ""))
        self.send_header("X-Token", self.headers.get("CTA-Common-Access-Token", ""))
        if status == 307:
            self.send_header("Location", f"/v1/mac-of-{NAME}/film.mp4")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
