#!/usr/bin/python3
"""Writes pki.def: certificates and lists of revoked ones for tests of path validation. Run by hand; keys are thrown away.

    root ── middle (only names in example.org) ── good, gone (revoked), outside (example.com), server (no TLS client)
     │        └── short (no further authority) ── below ── deep
     ├── plain (an end entity) ── wrong
     ├── nosign (an authority that may not sign certificates) ── unsigned
     ├── picky (asks for a policy) ── unpoliced
     └── client (a client of TLS)
"""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

rows = []


def day(year, month=1, date=1):
    return datetime.datetime(year, month, date)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def row(label, pem):
    rows.append("PKI(%s,\n%s)" % (label, "\n".join('    "%s\\n"' % line for line in pem.decode().splitlines())))


class Party:
    def __init__(self, label, issuer=None, ca=False, length=None, sign=True, dns=None, extensions=(), usage=None):
        self.label, self.key, self.name = label, ec.generate_private_key(ec.SECP256R1()), name(label)
        signer = issuer or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(day(2029))
            .not_valid_after(day(2039))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=length), critical=True)
            .add_extension(
                x509.KeyUsage(not ca, False, False, False, False, ca and sign, ca, False, False), critical=True
            )
        )
        if dns:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        self.cert = builder.sign(signer.key, hashes.SHA256())
        row(label, self.cert.public_bytes(serialization.Encoding.PEM))

    def crl(self, label, revoked, update, until):
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(update).next_update(until)
        for party, when in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(party.cert.serial_number).revocation_date(when)
            builder = builder.add_revoked_certificate(entry.build())
        row(label, builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


root = Party("root", ca=True)
names = x509.NameConstraints([x509.DNSName("example.org")], None)
middle = Party("middle", root, ca=True, extensions=[(names, True)])
good = Party("good", middle, dns="good.example.org")
gone = Party("gone", middle, dns="gone.example.org")
Party("outside", middle, dns="outside.example.com")
Party("server", middle, dns="server.example.org", usage=ExtendedKeyUsageOID.SERVER_AUTH)
short = Party("short", middle, ca=True, length=0)
below = Party("below", short, ca=True)
Party("deep", below)
plain = Party("plain", root)
Party("wrong", plain)
nosign = Party("nosign", root, ca=True, sign=False)
Party("unsigned", nosign)
picky = Party("picky", root, ca=True, extensions=[(x509.PolicyConstraints(0, None), True)])
Party("unpoliced", picky)
Party("client", root, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
other = Party("other", ca=True)
middle.crl("middle_crl", [(gone, day(2030, 2))], day(2030), day(2031))
root.crl("root_crl", [(middle, day(2030, 2))], day(2030), day(2031))
with open("pki.def", "w", encoding="ascii") as out:
    out.write("/* PKI(name, PEM): made by pki.py, which says what they are. Valid from 2029 to 2039; lists of 2030. */\n")
    out.write("/* clang-format off */\n" + "\n".join(rows) + "\n/* clang-format on */\n")
