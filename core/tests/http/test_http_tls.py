"""Whom the client trusts: the authorities of httpx, read when something is encrypted, and never nobody's."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from synccore.errors import ConfigError
from synccore.http import Client, _wire
from synccore.testing import FakeContext, LoopbackServer, Reply

HOST = "127.0.0.1"


class Plain(LoopbackServer):
    def handle(self, request):
        return Reply(200, {})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A PEM file with a key and what it signed for itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(secret + signed.public_bytes(pem))
    return file


@pytest.fixture
def address(certificate):
    """Of a server that answers one encrypted request with 204."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def answer():
        with listening.accept()[0] as plain:
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65_536)
                    connection.sendall(b"HTTP/1.1 204 -\r\nConnection: close\r\n\r\n")
            except (ssl.SSLError, ConnectionError):
                return  # it is not trusted

    with socket.create_server((HOST, 0)) as listening:
        serving = threading.Thread(target=answer)
        serving.start()
        yield f"https://{HOST}:{listening.getsockname()[1]}/x"
        serving.join()


@pytest.fixture(autouse=True)
def read_anew():
    _wire._authorities.cache_clear()
    yield
    _wire._authorities.cache_clear()


@pytest.mark.parametrize("base", ["", "http://shop.test"])
def test_who_signs_for_itself_is_not_trusted_whatever_the_client_was_opened_for(address, base):
    with Client(FakeContext(), base) as client, pytest.raises(ConfigError, match="is not trusted: set ca_file"):
        client.get(address)


def test_who_is_among_the_authorities_is_trusted(address, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Client(FakeContext()) as client:
        assert client.get(address).status == 204


def test_who_is_named_as_ca_file_is_trusted(address, certificate):
    with Client(FakeContext(), ca_file=certificate) as client:
        assert client.get(address).status == 204


def test_no_authorities_are_read_for_a_plain_target(monkeypatch):
    monkeypatch.setattr(httpx, "create_ssl_context", lambda: pytest.fail("read"))
    with Plain() as server, Client(FakeContext(), server.url) as client:
        assert client.get("/x").status == 200
