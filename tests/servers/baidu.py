"""image.baidu.com as storagex 1.0 knew it, behind an HTTP proxy: baidu.py PORT

It is a proxy for http that goes nowhere and plays the hosts itself, for requests with an absolute URL
and for those in a CONNECT tunnel:

  POST http://image.baidu.com/pictureup/uploadshitu
      Keeps the picture in the form's field `image`, whose file name must be test.png, in memory, and
      redirects to a page whose URL has the picture's URL in it.
  GET http://image.baidu.com/n/pc_search?queryImageUrl=…&querySign=…
      That page.
  GET http://e.hiphotos.baidu.com/image/pic/item/NAME.jpg
      The picture as it came. NAME is its digest: the same picture has the same URL.

and, for who tests:

  DELETE, PUT http://e.hiphotos.baidu.com/image/pic/item/NAME.jpg
      Forgets the picture, or has another one stand there.

It prints each request with the status of its answer.
"""

import hashlib
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

UPLOAD = "image.baidu.com/pictureup/uploadshitu"
PAGE = "image.baidu.com/n/pc_search"
PICTURES = "e.hiphotos.baidu.com/image/pic/item/"

kept = {}  # pictures by the end of their URL


def form(content_type, body):
    """The parts of a multipart/form-data body: field name, file name, content."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if not boundary:
        return
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        field = re.search(rb'[; ]name="([^"]*)"', head)
        file = re.search(rb'filename="([^"]*)"', head)
        yield field and field[1], file and file[1], content


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    tunnel = None  # the host at the end of it

    def answer(self, status, body=b"", kind="text/html", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        print(self.command, self.path, status, flush=True)

    def do_CONNECT(self):
        if self.path.removesuffix(":80") not in (UPLOAD.split("/")[0], PICTURES.split("/")[0]):
            return self.answer(502, b"no such host")
        self.tunnel = self.path.removesuffix(":80")
        self.send_response(200, "Connection established")
        self.end_headers()
        self.close_connection = False  # it goes on with requests for that host

    def target(self):
        """Host and path of a request, without its query."""
        url = urlsplit(self.path)
        return (url.netloc.removesuffix(":80") or self.tunnel or "") + url.path

    def picture(self):
        """The name of the picture that a request is for."""
        return self.target().removeprefix(PICTURES) if self.target().startswith(PICTURES) else None

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        parts = list(form(self.headers.get("Content-Type", ""), self.body()))
        if self.target() != UPLOAD:
            return self.answer(404)
        if [part[:2] for part in parts] != [(b"image", b"test.png")]:
            return self.answer(400, b"expected test.png in the field image")
        picture = parts[0][2]
        name = hashlib.sha1(picture).hexdigest() + ".jpg"
        kept[name] = picture
        found = quote(f"http://{PICTURES}{name}", safe="")
        page = f"http://{PAGE}?queryImageUrl={found}&querySign=123,456&fm=index&pos="
        return self.answer(302, Location=page)

    def do_GET(self):
        if self.target() == PAGE:
            return self.answer(200, b"<!DOCTYPE html><title>found</title>")
        picture = kept.get(self.picture())
        if picture is None:
            return self.answer(404, b"<!DOCTYPE html><title>404</title>")
        return self.answer(200, picture, "image/jpeg")

    do_HEAD = do_GET

    def do_DELETE(self):
        return self.answer(204 if kept.pop(self.picture(), None) else 404)

    def do_PUT(self):
        kept[self.picture()] = self.body()
        return self.answer(204)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
