"""A webhook is answered at once: no part of an answer waits for the caller's delayed acknowledgement of another."""

import socket

from synccore._web.server import WebServer


def test_connections_send_without_delay():
    server = WebServer(lambda *_: None, "127.0.0.1", 0)
    with server._socket as listening, socket.create_connection(("127.0.0.1", server.port)):
        taken, _ = listening.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
