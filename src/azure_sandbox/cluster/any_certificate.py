"""TLS that asks for a client certificate and takes any, as Go's `tls.RequestClientCert` does for kube-apiserver.

Python's `ssl` can only ask and verify; what it does not pass on is OpenSSL's own way to leave the verdict to somebody
else (SSL_CTX_set_cert_verify_callback). It is reached through ctypes: the context is the first field of CPython's
object. Where that is not so, `take_any` says it, and a certificate of a foreign authority is refused by the handshake.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys

_YES = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda _store, _argument: 1)
_VERIFY_PEER = 1  # SSL_VERIFY_PEER: what CERT_OPTIONAL is to OpenSSL


def take_any(context: ssl.SSLContext) -> bool:
    """Let a server's context that asks for a certificate take any; returns whether this interpreter can."""
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
