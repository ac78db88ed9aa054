"""Certificates of the tests' own authorities, and TLS in front of a server that speaks none."""

import datetime
import ipaddress
import os
import select
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates into files of a folder."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = str(folder), name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tests' {name}")])
        now = datetime.datetime.utcnow()
        self.certificate = (
            x509.CertificateBuilder().subject_name(self.subject).issuer_name(self.subject).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - 30 * DAY).not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False).sign(self.key, hashes.SHA256()))
        self.file = self._write(f"{name}.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def _write(self, name, data, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)
        return path

    def issue(self, name, hosts=("127.0.0.1", "localhost"), expired=False, client=False):
        """(certificate file, key file)"""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        end = now - DAY if expired else now + 7 * DAY
        names = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        builder = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
                   .issuer_name(self.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - 10 * DAY).not_valid_after(end)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False))
        if names and not client:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        cert = builder.sign(self.key, hashes.SHA256())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return (self._write(f"{name}.crt", cert.public_bytes(serialization.Encoding.PEM)), self._write(f"{name}.key", private, 0o600))


class TlsFront:
    """Listens with TLS on a port of its own and hands the bytes on to a plain one; counts what came."""

    def __init__(self, port, cert, key, client_ca=None):
        self.target = port
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.accepted = self.refused = self.bytes = 0
        self.subjects = set()
        self.ended = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.ended:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            plain.settimeout(20)
            tls = self.context.wrap_socket(plain, server_side=True)
            peer = tls.getpeercert()  # under TLS 1.3 the client's comes after our part of the handshake
        except OSError:
            self.refused += 1
            plain.close()
            return
        self.accepted += 1
        for part in (peer or {}).get("subject", ()):
            self.subjects.update(value for _, value in part)
        try:
            with socket.create_connection(("127.0.0.1", self.target), 5) as behind:
                self._relay(tls, behind)
        except OSError:
            pass
        finally:
            tls.close()

    def _relay(self, tls, behind):
        """One thread for both directions: OpenSSL does not like two on one connection."""
        while not self.ended:
            ready = [tls] if tls.pending() else select.select([tls, behind], [], [], 0.5)[0]
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                if source is tls:
                    self.bytes += len(data)
                    behind.sendall(data)
                else:
                    tls.sendall(data)

    def close(self):
        self.ended = True
        self.socket.close()
