"""Who belongs to the cluster, as agreed through the log. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from urllib.parse import urlsplit

from etcd.log_pb2 import MemberAttributes, MembershipChange
from etcd.rpc_pb2 import Member

from store.errors import (
    BadMemberURLs,
    MemberExists,
    MemberNotFound,
    MemberNotLearner,
    PeerURLExists,
    StoreError,
    TooManyLearners,
)

LEARNERS_MAX = 1


class Members:
    """The members by number, and the numbers that were removed and can never come back."""

    def __init__(self, members: Iterable[Member] = (), removed: Iterable[int] = ()) -> None:
        self._members: dict[int, Member] = {member.ID: member for member in members}
        self.removed: set[int] = set(removed)

    def __contains__(self, identifier: int) -> bool:
        return identifier in self._members

    def __len__(self) -> int:
        return len(self._members)

    def all(self) -> list[Member]:
        """Every member, in the order of their numbers."""
        return [self._members[identifier] for identifier in sorted(self._members)]

    def voters(self) -> list[int]:
        """Numbers of the members that vote, in order."""
        return sorted(member.ID for member in self._members.values() if not member.isLearner)

    def get(self, identifier: int) -> Member:
        """Raises MemberNotFound."""
        member = self._members.get(identifier)
        if member is None:
            raise MemberNotFound
        return member

    def check(self, change: MembershipChange) -> None:
        """Refuses a change that cannot be made.

        Raises:
            MemberExists, PeerURLExists, TooManyLearners, MemberNotFound, MemberNotLearner: see there.
        """
        member = change.member
        kind = change.kind
        if kind in (MembershipChange.ADD_VOTER, MembershipChange.ADD_LEARNER):
            if member.ID in self._members or member.ID in self.removed:
                raise MemberExists
            self._check_urls(member)
            learners = sum(known.isLearner for known in self._members.values())
            if kind == MembershipChange.ADD_LEARNER and learners >= LEARNERS_MAX:
                raise TooManyLearners
        else:
            known = self.get(member.ID)
            if kind == MembershipChange.PROMOTE and not known.isLearner:
                raise MemberNotLearner
            if kind == MembershipChange.UPDATE:
                self._check_urls(member)

    def _check_urls(self, member: Member) -> None:
        taken = {url for known in self._members.values() if known.ID != member.ID for url in known.peerURLs}
        if taken.intersection(member.peerURLs):
            raise PeerURLExists

    def apply(self, change: MembershipChange) -> StoreError | None:
        """Makes a change that the log holds; the error when it cannot be made (then nothing changes)."""
        try:
            self.check(change)
        except StoreError as error:
            return error
        member = change.member
        if change.kind in (MembershipChange.ADD_VOTER, MembershipChange.ADD_LEARNER):
            added = Member()
            added.CopyFrom(member)
            added.isLearner = change.kind == MembershipChange.ADD_LEARNER
            self._members[member.ID] = added
        elif change.kind == MembershipChange.PROMOTE:
            self._replace(member.ID).isLearner = False
        elif change.kind == MembershipChange.UPDATE:
            self._replace(member.ID).peerURLs[:] = member.peerURLs
        else:
            del self._members[member.ID]
            self.removed.add(member.ID)
        return None

    def _replace(self, identifier: int) -> Member:
        """Puts a copy in the place of a member and returns it: others may hold the one that was there."""
        member = Member()
        member.CopyFrom(self._members[identifier])
        self._members[identifier] = member
        return member

    def introduce(self, attributes: MemberAttributes) -> None:
        """Notes what a member tells of itself; one that is not known is ignored."""
        if attributes.ID in self._members:
            member = self._replace(attributes.ID)
            member.name = attributes.name
            member.clientURLs[:] = attributes.client_urls


def member_id(peer_urls: Iterable[str], salt: str) -> int:
    """A member's number, the same wherever it is computed from the same addresses and `salt`; never 0."""
    digest = hashlib.sha256("\n".join([*sorted(peer_urls), salt]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1 or 1


def cluster_id(members: Iterable[Member], salt: str) -> int:
    """A new cluster's number, the same at each of its first members; never 0."""
    digest = hashlib.sha256()
    for number in sorted(member.ID for member in members):
        digest.update(number.to_bytes(8, "big"))
    digest.update(salt.encode())
    return int.from_bytes(digest.digest()[:8], "big") >> 1 or 1


def check_peer_urls(urls: Iterable[str]) -> list[str]:
    """The addresses, sorted.

    Raises:
        BadMemberURLs: one of them is not `http(s)://host:port`, or there is none.
    """
    urls = sorted(urls)
    if not urls:
        raise BadMemberURLs
    for url in urls:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port is not None
        except ValueError:
            usable = False
        if not usable or parts.path.strip("/"):
            raise BadMemberURLs
    return urls
