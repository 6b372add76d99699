"""Carries a jail's connections to the host, which decides about each one.

Rules:
- The jail has no network but its own loopback. What connects to this port is passed on, byte for byte, to an
  end of a socket pair that the host sends for it; the host reads the request there (`egress`).
- Nothing is decided or parsed here: this process is inside.
- A fixed number of connections at a time; one more waits.
"""

import contextlib
import os
import socket
import threading

PORT = 3128
CONNECTIONS = 16
THREADS = 2 * CONNECTIONS + 2
_CHUNK = 65536


def listen() -> socket.socket:
    """Open the port that the guest's programs are told as their proxy."""
    return socket.create_server(("127.0.0.1", PORT), backlog=CONNECTIONS)


def fork(listener: socket.socket, dial: socket.socket) -> int:
    """Run the relay in a process of its own, which ends with the jail; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _serve(listener, dial)
    finally:
        os._exit(0)


def _serve(listener: socket.socket, dial: socket.socket) -> None:
    """Pair each accepted connection with the descriptor that the host sends for it."""
    free = threading.BoundedSemaphore(CONNECTIONS)
    while True:
        free.acquire()
        client, _ = listener.accept()
        dial.sendall(b"D")
        word, fds, _, _ = socket.recv_fds(dial, 1, 1)
        if not word:
            return
        if fds:
            threading.Thread(target=_carry, args=(client, socket.socket(fileno=fds[0]), free)).start()
        else:
            client.close()
            free.release()


def _carry(client: socket.socket, host: socket.socket, free: threading.BoundedSemaphore) -> None:
    """Copy both ways until both sides have ended."""
    back = threading.Thread(target=_copy, args=(host, client))
    back.start()
    _copy(client, host)
    back.join()
    client.close()
    host.close()
    free.release()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
