"""A TCP proxy that does harm: proxy.py PORT TARGET_PORT WHAT WAY N

Whenever N more bytes have passed in the direction WAY (up: to the server, down: from it), on whichever
connection, it does WHAT to the connection that they are on:

  cut      closes it there
  pause    passes nothing on for 3 seconds
  hang     passes nothing on in this direction any more, and closes nothing
  flip     flips a bit

or, of other things than bytes:

  swallow  closes it in place of passing on every Nth answer, which gets lost
  delay    waits for N milliseconds before each run of bytes

It prints `connection` for each that is made, and WHAT for each harm but delays.
"""

import socket
import struct
import sys
import threading
import time

RUN = 1 << 18


class Harm:
    """What is to be done, and when next."""

    def __init__(self, what, n):
        self.what, self.n, self.left = what, n, n
        self.lock = threading.Lock()

    def due(self, data):
        """How many of these bytes pass before harm is done; None if they all pass unharmed."""
        if self.what == "delay":
            time.sleep(self.n / 1000)
            return None
        amount = data.startswith(b"HTTP/") if self.what == "swallow" else len(data)
        with self.lock:
            before, self.left = self.left, self.left - amount
            if self.left > 0:
                return None
            # Counted from there, so that runs of one length aren't all hit at the same place: a picture that
            # is wrong twice in the same way is so in the store.
            self.left += self.n
        print(self.what, flush=True)
        return before


def reset(*sockets):
    """Closes both ends of a connection at once, with RST."""
    for s in sockets:
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has gone already
        s.close()


def forward(source, sink, harm):
    """Passes on what comes, until the end or until harm ends it."""
    while data := source.recv(RUN):
        at = harm.due(data) if harm else None
        if at is not None:
            if harm.what == "swallow":
                return reset(source, sink)
            if harm.what == "cut":
                sink.sendall(data[:at])
                return reset(source, sink)
            if harm.what == "hang":
                return sink.sendall(data[:at])
            if harm.what == "pause":
                sink.sendall(data[:at])
                time.sleep(3)
                data = data[at:]
            if harm.what == "flip":
                data = data[: at - 1] + bytes([data[at - 1] ^ 1]) + data[at:]
        sink.sendall(data)
    return sink.shutdown(socket.SHUT_WR)


def pump(source, sink, harm):
    try:
        forward(source, sink, harm)
    except OSError:
        reset(source, sink)


def main(port, target, what, way, n):
    harm = Harm(what, int(n))
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=128)
    while True:
        client, _ = listener.accept()
        print("connection", flush=True)
        server = socket.create_connection(("127.0.0.1", int(target)))
        for s in client, server:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, ends in ("up", (client, server)), ("down", (server, client)):
            arguments = (*ends, harm if name == way else None)
            threading.Thread(target=pump, args=arguments, daemon=True).start()


main(*sys.argv[1:])
