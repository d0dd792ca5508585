"""What a certificate says of itself is read without a library, and one that is damaged says nothing."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from apimart_cli.gateway.certificate import read_certificate

IN_2031 = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


def made(names: list[x509.NameAttribute], expires: datetime = IN_2031) -> bytes:
    """A certificate whose issuer has these names, in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway.example")]))
        .issuer_name(x509.Name(names))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(expires - timedelta(days=90))
        .not_valid_after(expires)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


ORGANISATION = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "\u793a\u4f8b Corp")
COMMON = x509.NameAttribute(NameOID.COMMON_NAME, "Example Root CA")
COUNTRY = x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")
DER = made([COUNTRY, ORGANISATION, COMMON])


def test_the_issuer_is_its_organisation_and_its_name() -> None:
    """As far as they are there, in any order and any script."""
    for names, issuer in (
        ([COUNTRY, ORGANISATION, COMMON], "\u793a\u4f8b Corp, Example Root CA"),
        ([COMMON, ORGANISATION], "\u793a\u4f8b Corp, Example Root CA"),
        ([COMMON], "Example Root CA"),
        ([COUNTRY], "a nameless authority"),
        ([], "a nameless authority"),
    ):
        found = read_certificate(made(names))
        assert found is not None
        assert found.issuer == issuer


def test_the_end_is_read_in_both_forms() -> None:
    """Up to 2049 the year has two digits, after that four."""
    for expires in (IN_2031, datetime(2061, 2, 3, 4, 5, 6, tzinfo=UTC)):
        found = read_certificate(made([COMMON], expires))
        assert found is not None
        assert found.expires == expires


def test_one_that_is_cut_off_says_nothing() -> None:
    """At any byte. How many it has differs from run to run, by its signature."""
    assert [length for length in range(len(DER)) if read_certificate(DER[:length]) is not None] == []


@given(st.dictionaries(st.integers(0, 300), st.integers(0, 255), min_size=1, max_size=4), st.binary(max_size=300))
def test_one_that_is_damaged_raises_nothing(changes: dict[int, int], other: bytes) -> None:
    """Whatever bytes were changed in it, and whatever else a server shows."""
    damaged = bytearray(DER)
    for place, value in changes.items():
        damaged[place] = value
    read_certificate(bytes(damaged))
    read_certificate(other)
