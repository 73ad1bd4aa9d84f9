"""A web server that keeps what is put in a folder and takes 50 ms for each request: slow.py FOLDER

It takes a free port of the loopback interface, and prints it.
"""

import http.server
import os
import sys
import time

FOLDER = sys.argv[1]


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are used again

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=FOLDER)

    def parse_request(self):
        time.sleep(0.05)
        return super().parse_request()

    def do_PUT(self):
        path = self.translate_path(self.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(path, "wb") as file:
            file.write(body)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
