"""Observes requests for certificates: approves what a rule allows, signs what is approved, forgets what is old."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from steersman import errors, reviews
from steersman.authorization.v1.subject_access_review_pb2 import SubjectAccessReview
from steersman.certificates.v1.certificate_signing_request_pb2 import CertificateSigningRequest
from steersman.clock import Clock, from_timestamp, to_timestamp
from steersman.core.v1.node_pb2 import Node
from steersman.core.v1.service_pb2 import Service
from steersman.discovery.v1.endpoint_slice_pb2 import EndpointSlice
from steersman.informer import Key
from steersman.reconcile import Result
from steersman.runtime import Runtime

from controllers.certificates import plan

log = structlog.get_logger(__name__)

MANAGER = "certificate-controller"
SERVICE_LABEL = "kubernetes.io/service-name"
BACKDATED = timedelta(minutes=5)
VALID = timedelta(days=365)
# How long requests are kept, by what became of them.
KEPT_DECIDED, KEPT_PENDING = timedelta(hours=1), timedelta(hours=24)


@dataclass(frozen=True)
class Signer:
    """An authority that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @classmethod
    def read(cls, certificate: Path, key: Path) -> Signer:
        """Reads PEM files.

        Raises:
            ValueError: they hold no certificate and key.
            OSError: they cannot be read.
        """
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(private, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise ValueError(f"{key} is neither an RSA nor an ECDSA key")
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), private)

    def sign(self, spec: Any, clock: Clock) -> bytes:
        """The certificate that a request asks for, PEM."""
        request = x509.load_pem_x509_csr(spec.request)
        now = clock.now()
        valid = VALID
        if spec.HasField("expiration_seconds"):
            valid = min(VALID, timedelta(seconds=spec.expiration_seconds))
        end = min(now + valid, self.certificate.not_valid_after_utc)
        serving = "server auth" in spec.usages
        usage = ExtendedKeyUsageOID.SERVER_AUTH if serving else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if serving:
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            builder = builder.add_extension(names.value, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class CertificateController:
    """One key per request."""

    def __init__(self, runtime: Runtime, signer: Signer) -> None:
        self._api = runtime.api
        self._requests = runtime.informer(CertificateSigningRequest)
        self._nodes = runtime.informer(Node)
        self._services = runtime.informer(Service)
        self._slices = runtime.informer(EndpointSlice)
        self._signer = signer
        self._clock = runtime.clock
        runtime.reconciler(CertificateSigningRequest, name="certificates", workers=2)(self.reconcile)

    async def reconcile(self, key: Key) -> Result | None:
        """Takes a request one step on."""
        request = self._requests.get(key)
        if request is None:
            return None
        decided = {condition.type for condition in request.status.conditions}
        if not decided:
            await self._consider(request)
        elif "Approved" in decided and not decided & {"Denied", "Failed"} and not request.status.certificate:
            await self._sign(request)
        return await self._forget(request, decided)

    async def _forget(self, request: Any, decided: set[str]) -> Result | None:
        age = self._clock.now() - from_timestamp(request.metadata.creation_timestamp)
        kept = KEPT_DECIDED if decided else KEPT_PENDING
        if age < kept:
            return Result(requeue_after_s=(kept - age).total_seconds() + 1)
        try:
            await self._api.certificatesigningrequests.delete(request.metadata.name, uid=request.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return None
        return None

    async def _consider(self, request: Any) -> None:
        """Approves a request of a node that the requester may make; anything else waits for a person."""
        spec = request.spec
        if spec.signer_name not in plan.SIGNED:
            return
        asked = plan.read(spec.request)
        part = plan.permission(spec.signer_name, asked, spec.username)
        if not part or plan.refusal(spec.signer_name, asked, frozenset(spec.usages), spec.username):
            return
        if spec.signer_name == plan.KUBELET_SERVING:
            node = self._nodes.get(Key("", asked.user.removeprefix(plan.NODE_PREFIX)))
            why = plan.serves_elsewhere(asked, node, self._taken(node))
            if why:
                log.info("request is not approved unseen", name=request.metadata.name, why=why)
                return
        review = SubjectAccessReview()
        review.spec.user, review.spec.uid = spec.username, spec.uid
        review.spec.groups.extend(spec.groups)
        wanted = review.spec.resource_attributes
        wanted.verb, wanted.group = "create", "certificates.k8s.io"
        wanted.resource, wanted.subresource = "certificatesigningrequests", part
        if not (await reviews.ask(self._api, review)).status.allowed:
            return
        message = f"{spec.username} may create certificatesigningrequests/{part}"
        try:
            await reviews.decide(self._api, request, "Approved", reason="AutoApproved", message=message)
        except (errors.NotFound, errors.Conflict, errors.FailedPrecondition):
            # Somebody else decided meanwhile.
            return
        log.info("approved a request for a certificate", name=request.metadata.name, user=asked.user)

    def _taken(self, node: Node | None) -> frozenset[str]:
        """Addresses that belong to others than a node."""
        found: set[str] = set()
        for other in self._nodes.list():
            if node is None or other.metadata.name != node.metadata.name:
                found.update(each.address for each in other.status.addresses)
        for service in self._services.list():
            found.update(service.spec.cluster_ips)
        for each in self._slices.list():
            if (each.metadata.namespace, each.metadata.labels.get(SERVICE_LABEL)) == ("default", "kubernetes"):
                found.update(address for endpoint in each.endpoints for address in endpoint.addresses)
        return frozenset(found)

    async def _sign(self, request: Any) -> None:
        spec = request.spec
        if spec.signer_name not in plan.SIGNED:
            return
        done = CertificateSigningRequest()
        done.CopyFrom(request)
        asked = plan.read(spec.request)
        why = plan.refusal(spec.signer_name, asked, frozenset(spec.usages), spec.username)
        if why:
            stamp = to_timestamp(self._clock.now(), whole_seconds=True)
            done.status.conditions.add(
                type="Failed",
                status="True",
                reason="SignerValidationFailure",
                message=why,
                last_update_time=stamp,
                last_transition_time=stamp,
            )
        else:
            done.status.certificate = self._signer.sign(spec, self._clock)
        try:
            await self._api.certificatesigningrequests.update_status(done, field_manager=MANAGER)
        except (errors.NotFound, errors.Conflict):
            return
        log.info("refused to sign" if why else "signed", name=request.metadata.name, user=asked.user, why=why)
