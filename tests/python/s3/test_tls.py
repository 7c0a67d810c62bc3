"""TLS, with a certificate authority made on the spot."""

import datetime
import ipaddress

import pytest
from servers import start_versitygw
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def build(subject, issuer, key, signer, extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make_authority(folder):
    """An authority, and a server's certificate from it for this machine: their files."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    (folder / "ca.pem").write_bytes(build("test authority", "test authority", authority_key, authority_key, [(x509.BasicConstraints(True, None), True)]))
    (folder / "server.pem").write_bytes(build("localhost", "test authority", server_key, authority_key, [(names, False)]))
    (folder / "server.key").write_bytes(
        server_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure_store(versitygw_program, authority, tmp_path_factory):
    server = start_versitygw(versitygw_program, tmp_path_factory.mktemp("secure"), "--cert", str(authority / "server.pem"),
                             "--key", str(authority / "server.key"), scheme="https")
    server.client(verify=str(authority / "ca.pem")).put_object(Bucket="bucket", Key="prefix/key", Body=b"secret")
    yield server
    server.stop()


def test_an_unknown_authority_is_refused_at_once(secure_store, tool):
    answer = tool(secure_store)("get", "key")
    assert answer["error"] == "ShardyfusionError" and "certificate" in answer["message"].lower()
    assert answer["ms"] < 5_000


def test_a_wrong_name_is_refused(secure_store, authority, tool):
    answer = tool(f"https://127.0.0.2:{secure_store.port}", ca_path=authority / "ca.pem", max_attempts=1)("get", "key")
    assert answer["error"] in ("ShardyfusionError", "S3TransientError") and "text" in answer and answer["text"] == ""


@pytest.mark.parametrize("how", ["option", "environment", "profile"])
def test_a_given_authority_is_trusted(secure_store, authority, tool, how):
    ca_path = authority / "ca.pem"
    (tool.home / ".aws").mkdir()
    (tool.home / ".aws" / "config").write_text(f"[default]\nca_bundle = {ca_path}\n" if how == "profile" else "")
    environment = {"AWS_CA_BUNDLE": ca_path} if how == "environment" else {}
    options = {"ca_path": ca_path} if how == "option" else {}
    assert tool(secure_store, environment=environment, **options)("get", "key")["text"] == "secret"


def test_certificates_are_ignored_only_when_that_is_said(secure_store, tool):
    assert tool(secure_store, verify_ssl=False)("get", "key")["text"] == "secret"


def test_a_file_of_authorities_that_is_missing_is_an_error(secure_store, tool):
    status, errors = tool(secure_store, ca_path="/nonexistent/ca.pem").close()
    assert status == 1 and "/nonexistent/ca.pem" in errors


def test_downloads_run_over_tls(secure_store, authority, tool, tmp_path):
    body = bytes(range(256)) * 80_000
    secure_store.client(verify=str(authority / "ca.pem")).put_object(Bucket="bucket", Key="prefix/big", Body=body)
    assert tool(secure_store, ca_path=authority / "ca.pem")("download", "big", tmp_path / "copy")["found"]
    assert (tmp_path / "copy").read_bytes() == body


def test_a_proxy_of_the_environment_tunnels(secure_store, authority, proxy, tool):
    environment = {"HTTPS_PROXY": proxy.url}
    assert tool(secure_store, environment=environment, ca_path=authority / "ca.pem")("get", "key")["text"] == "secret"
    assert [(seen.method, seen.path) for seen in proxy.seen] == [("CONNECT", f"127.0.0.1:{secure_store.port}")]
