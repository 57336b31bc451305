"""CertificateSigningRequests. Who asked, and who may sign: admission/certificates.py."""

from __future__ import annotations

from typing import Any, ClassVar

from steersman.certificates.v1.certificate_signing_request_pb2 import CertificateSigningRequest
from steersman.errors import FieldViolation
from steersman.validation import certificates as validation
from steersman.validation.names import violation
from steersman.validation.rbac import name as path_part

from apiserver.strategy import Strategy


class CertificateSigningRequestStrategy(Strategy):
    """A request stays as it was made; a decision and a certificate are never taken back."""

    message = CertificateSigningRequest
    fields: ClassVar = {"spec.signerName": lambda request: str(request.spec.signer_name)}

    def prepare_update(self, new: Any, old: Any) -> None:
        """What was asked for stays."""
        new.spec.CopyFrom(old.spec)

    def prepare_status_update(self, new: Any, old: Any) -> None:
        """Decisions are made through UpdateApproval, not here."""
        kept = [each for each in old.status.conditions if each.type in validation.DECISIONS]
        added = [each for each in new.status.conditions if each.type not in validation.DECISIONS]
        del new.status.conditions[:]
        new.status.conditions.extend([*kept, *added])

    def validate(self, obj: Any) -> list[FieldViolation]:
        """See `Strategy.validate`."""
        return validation.request(obj)

    def validate_name(self, name: str) -> list[FieldViolation]:
        """See `Strategy.validate_name`."""
        return path_part("metadata.name", name)

    def validate_status_update(self, new: Any, old: Any) -> list[FieldViolation]:
        """See `Strategy.validate_status_update`."""
        found = validation.conditions(new, old)
        if new.status.certificate != old.status.certificate:
            if old.status.certificate:
                return found + violation("status.certificate", "may not change")
            if not any(condition.type == "Approved" for condition in new.status.conditions):
                found += violation("status.certificate", "the request is not approved")
            found += validation.certificate(new.status.certificate)
        return found

    def generation_counts(self, new: Any, old: Any) -> bool:
        """Requests have no generation."""
        return False
