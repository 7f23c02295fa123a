# SPDX-License-Identifier: Apache-2.0
"""A connection made with OpenSSL's own functions, for http.client: SSL_read and SSL_write, the _ex forms,
or a filter BIO above them (BIO_f_ssl), as programs in C use them."""
import ctypes
import http.client
import io
import socket
import urllib.parse

FORMS = ("openssl_ssl", "openssl_ex", "openssl_bio")
BIO_C_SET_SSL, SSL_VERIFY_PEER = 109, 1


def functions(library, names):
    for name, (result, *arguments) in names.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


POINTER, TEXT, INT, LONG, SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_size_t
COUNT = ctypes.POINTER(SIZE)


def libraries():
    ssl = functions(ctypes.CDLL("libssl.so.3"), {
        "TLS_client_method": (POINTER,), "SSL_CTX_new": (POINTER, POINTER), "SSL_CTX_free": (None, POINTER),
        "SSL_CTX_load_verify_locations": (INT, POINTER, TEXT, TEXT), "SSL_CTX_set_verify": (None, POINTER, INT, POINTER),
        "SSL_new": (POINTER, POINTER), "SSL_free": (None, POINTER), "SSL_set_fd": (INT, POINTER, INT),
        "SSL_connect": (INT, POINTER),
        "SSL_read": (INT, POINTER, POINTER, INT), "SSL_write": (INT, POINTER, TEXT, INT), "SSL_shutdown": (INT, POINTER),
        "SSL_read_ex": (INT, POINTER, POINTER, SIZE, COUNT), "SSL_write_ex": (INT, POINTER, TEXT, SIZE, COUNT),
        "BIO_f_ssl": (POINTER,)})
    crypto = functions(ctypes.CDLL("libcrypto.so.3"), {
        "BIO_new": (POINTER, POINTER), "BIO_ctrl": (LONG, POINTER, INT, LONG, POINTER), "BIO_free": (INT, POINTER),
        "BIO_read": (INT, POINTER, POINTER, INT), "BIO_write": (INT, POINTER, TEXT, INT)})
    return ssl, crypto


class Stream(io.RawIOBase):
    """One TLS connection: what http.client wants of a socket, and what a buffered reader wants of a file."""

    def __init__(self, form, at, ca):
        super().__init__()
        self.form, (self.lib, self.crypto) = form, libraries()
        self.socket = socket.create_connection((at.hostname, at.port))
        context = self.lib.SSL_CTX_new(self.lib.TLS_client_method())
        self.lib.SSL_CTX_load_verify_locations(context, ca.encode(), None)
        self.lib.SSL_CTX_set_verify(context, SSL_VERIFY_PEER, None)
        self.ssl = self.lib.SSL_new(context)
        self.lib.SSL_CTX_free(context)
        self.lib.SSL_set_fd(self.ssl, self.socket.fileno())
        self.bio = None
        if self.lib.SSL_connect(self.ssl) != 1:
            raise OSError("the handshake failed")
        if form == "openssl_bio":
            self.bio = self.crypto.BIO_new(self.lib.BIO_f_ssl())
            self.crypto.BIO_ctrl(self.bio, BIO_C_SET_SSL, 0, self.ssl)  # BIO_set_ssl(bio, ssl, BIO_NOCLOSE)

    def readable(self):
        return True

    def readinto(self, buffer):
        room = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        if self.form == "openssl_ex":
            got = SIZE()
            return got.value if self.lib.SSL_read_ex(self.ssl, room, len(buffer), got) else 0
        read, on = (self.crypto.BIO_read, self.bio) if self.bio else (self.lib.SSL_read, self.ssl)
        return max(0, read(on, room, len(buffer)))

    def sendall(self, data):
        data = bytes(data)
        if self.form == "openssl_ex":
            done = SIZE()
            sent = done.value if self.lib.SSL_write_ex(self.ssl, data, len(data), done) else 0
        else:
            write, on = (self.crypto.BIO_write, self.bio) if self.bio else (self.lib.SSL_write, self.ssl)
            sent = write(on, data, len(data))
        if sent != len(data):
            raise OSError(f"{sent} of {len(data)} bytes were written")

    def makefile(self, _mode):
        return io.BufferedReader(_Shared(self))

    def close(self):
        if self.closed:
            return
        if self.bio:
            self.crypto.BIO_free(self.bio)
        self.lib.SSL_shutdown(self.ssl)
        self.lib.SSL_free(self.ssl)
        self.socket.close()
        super().close()


class _Shared(io.RawIOBase):
    """A file for one reply; the connection outlives it."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.stream.readinto(buffer)


def connect(form, base, ca):
    at = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(at.hostname, at.port)
    connection.sock = Stream(form, at, ca)
    return connection
