"""Rules of requests for certificates."""

from __future__ import annotations

import re
from typing import Any

from cryptography import x509

from steersman.errors import FieldViolation
from steersman.validation.names import show, subdomain, violation

SECONDS_MIN = 600
USAGES = frozenset(
    {
        "signing",
        "digital signature",
        "content commitment",
        "key encipherment",
        "key agreement",
        "data encipherment",
        "cert sign",
        "crl sign",
        "encipher only",
        "decipher only",
        "any",
        "server auth",
        "client auth",
        "code signing",
        "email protection",
        "s/mime",
        "ipsec end system",
        "ipsec tunnel",
        "ipsec user",
        "timestamping",
        "ocsp signing",
        "microsoft sgc",
        "netscape sgc",
    }
)
DECISIONS = ("Approved", "Denied")
_PATH = re.compile(r"[a-zA-Z0-9](?:[-._a-zA-Z0-9:]*[a-zA-Z0-9])?(?:/[-._a-zA-Z0-9:]+)*")


def request(obj: Any) -> list[FieldViolation]:
    """What is wrong with a CertificateSigningRequest."""
    found: list[FieldViolation] = []
    spec = obj.spec
    try:
        signed = x509.load_pem_x509_csr(spec.request)
        if not signed.is_signature_valid:
            found += violation("spec.request", "its signature is not by its own key")
    except (ValueError, TypeError) as error:
        found += violation("spec.request", f"not a PEM certificate request: {error}")
    domain, slash, path = spec.signer_name.partition("/")
    if not slash or not _PATH.fullmatch(path):
        found += violation("spec.signerName", f"{show(spec.signer_name)} is not DOMAIN/PATH")
    else:
        found += subdomain("spec.signerName", domain)
    if spec.HasField("expiration_seconds") and spec.expiration_seconds < SECONDS_MIN:
        found += violation("spec.expirationSeconds", f"{spec.expiration_seconds} is less than {SECONDS_MIN}")
    if not spec.usages:
        found += violation("spec.usages", "required: at least one")
    for index, usage in enumerate(spec.usages):
        if usage not in USAGES:
            found += violation(f"spec.usages[{index}]", f"{show(usage)} is no usage of a key")
    return found


def conditions(new: Any, old: Any) -> list[FieldViolation]:
    """Decisions stay: none is taken back, and none contradicts another."""
    found: list[FieldViolation] = []
    types = [condition.type for condition in new.status.conditions]
    for index, condition in enumerate(new.status.conditions):
        at = f"status.conditions[{index}]"
        if not condition.type:
            found += violation(f"{at}.type", "required")
        if condition.type in (*DECISIONS, "Failed") and condition.status != "True":
            found += violation(f"{at}.status", f"{show(condition.status)} is not 'True'")
        if types.index(condition.type) != index:
            found += violation(f"{at}.type", f"{condition.type} stands twice")
    if set(DECISIONS) <= set(types):
        found += violation("status.conditions", "a request is approved or denied, not both")
    for condition in old.status.conditions:
        if condition.type in (*DECISIONS, "Failed") and condition.type not in types:
            found += violation("status.conditions", f"{condition.type} may not be taken back")
    return found


def certificate(pem: bytes) -> list[FieldViolation]:
    """What a signer wrote: one or more certificates, PEM."""
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        return violation("status.certificate", f"not PEM certificates: {error}")
    return []
