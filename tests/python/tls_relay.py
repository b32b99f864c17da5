"""TLS in front of a plain server: tls_relay.py HOST:PORT

Uses cert.pem and key.pem of the current folder; prints its port.
"""

import socket
import ssl
import sys
import threading


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(plain, target):
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError:
        return plain.close()
    server = socket.create_connection(target)
    threading.Thread(target=copy, args=(server, client), daemon=True).start()
    copy(client, server)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
host, port = sys.argv[1].rsplit(":", 1)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    plain, _ = listener.accept()
    threading.Thread(target=serve, args=(plain, (host, int(port))), daemon=True).start()
