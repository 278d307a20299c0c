"""TLS that requests a client certificate and accepts any, as kube-apiserver does with Go's `tls.RequestClientCert`.

Python's `ssl` can only request a certificate and verify it. OpenSSL lets a callback decide instead
(SSL_CTX_set_cert_verify_callback), which is reached through ctypes: the context is the first field of CPython's object.
Other interpreters cannot do this: `take_any` returns False, and the handshake refuses certificates of unknown CAs.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys

_YES = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda _store, _argument: 1)
_VERIFY_PEER = 1  # SSL_VERIFY_PEER: OpenSSL's value for CERT_OPTIONAL


def take_any(context: ssl.SSLContext) -> bool:
    """Let a server context that requests a client certificate accept any. Returns whether the interpreter allows it."""
    if sys.implementation.name != "cpython" or not hasattr(_ssl, "__file__"):
        return False
    try:
        library = ctypes.CDLL(_ssl.__file__)
        mode, answer = library.SSL_CTX_get_verify_mode, library.SSL_CTX_set_cert_verify_callback
    except (OSError, AttributeError):
        return False
    mode.argtypes, mode.restype = [ctypes.c_void_p], ctypes.c_int
    answer.argtypes, answer.restype = [ctypes.c_void_p, type(_YES), ctypes.c_void_p], None
    inner = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    if context.verify_mode is not ssl.CERT_OPTIONAL or mode(inner) != _VERIFY_PEER:
        return False
    answer(inner, _YES, None)
    return True
