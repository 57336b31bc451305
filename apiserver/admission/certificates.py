"""Requests for certificates: who made them, and who may approve and sign them."""

from __future__ import annotations

from apiserver import errors
from apiserver.admission.port import CREATE, STATUS, Admission
from apiserver.authn import MASTERS, User
from apiserver.authz.attributes import Attributes
from apiserver.authz.authorizer import Authorizer

GROUP = "certificates.k8s.io"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"


class CertificateRequests:
    """Notes the requester; a certificate or a failure is written by those who may sign for the signer's name."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def admit(self, write: Admission) -> None:
        """See `Plugin.admit`."""
        if write.kind.kind != "CertificateSigningRequest":
            return
        spec = write.obj.spec
        if write.operation == CREATE:
            spec.username, spec.uid = write.user.name, write.user.uid
            del spec.groups[:]
            spec.groups.extend(write.user.groups)
            spec.extra.clear()
            for name, values in write.user.extra:
                spec.extra[name].items.extend(values)
            if spec.signer_name == CLIENT_SIGNER and MASTERS in _organizations(spec.request):
                raise errors.NotAllowed(
                    write.user.name, "create", "certificatesigningrequests", f"nobody gets into {MASTERS} this way"
                )
        elif write.operation == STATUS and write.old is not None and write.obj.status != write.old.status:
            check_signer(self._authorizer, write.user, "sign", spec.signer_name)


def check_signer(authorizer: Authorizer, user: User, verb: str, signer: str) -> None:
    """Allows a caller to "approve" or to "sign" for a signer, or raises.

    Raises:
        NotAllowed: neither the signer nor all signers of its domain are the caller's to act for.
    """
    whole = f"{signer.partition('/')[0]}/*"
    for name in (signer, whole):
        if authorizer.decide(user, Attributes(verb, "signers", GROUP, name=name)) is not None:
            return
    raise errors.NotAllowed(user.name, verb, f"signers.{GROUP} {signer!r}", "no rule allows it")


def _organizations(pem: bytes) -> list[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        subject = x509.load_pem_x509_csr(pem).subject
    except ValueError:
        return []
    return [str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
