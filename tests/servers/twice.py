"""An image host that re-encodes each upload twice: twice.py PORT FOLDER

It makes a JPEG of quality 90 of the picture and one of quality 75 of that, in colour, 4:2:0, as Pillow
does by default, and keeps that in FOLDER.

  POST /upload    the picture is the body; the answer is JSON with its name
  GET /p/NAME
"""

import io
import itertools
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

QUALITIES = 90, 75
port, folder = int(sys.argv[1]), sys.argv[2]
numbers = itertools.count()


def made_over(picture):
    """The picture after one JPEG and another."""
    for quality in QUALITIES:
        jpeg = io.BytesIO()
        Image.open(io.BytesIO(picture)).convert("RGB").save(jpeg, "JPEG", quality=quality)
        picture = jpeg.getvalue()
    return picture


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        picture = self.rfile.read(int(self.headers["Content-Length"]))
        name = f"{next(numbers)}.jpg"
        with open(os.path.join(folder, name), "wb") as file:
            file.write(made_over(picture))
        self.answer(201, "application/json", b'{"name": "%s"}' % name.encode())

    def do_GET(self):
        try:
            with open(os.path.join(folder, os.path.basename(self.path)), "rb") as file:
                self.answer(200, "image/jpeg", file.read())
        except OSError:
            self.answer(404, "text/plain", b"no such picture")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", port), Handler).serve_forever()
