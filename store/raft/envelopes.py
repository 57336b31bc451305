"""PySyncObj's messages as protobuf, both ways. What cannot be read becomes None; nothing is ever unpickled."""

from __future__ import annotations

from typing import Any

from etcd.log_pb2 import LogEntry
from etcd.peer_pb2 import (
    Command,
    CommandReply,
    Entries,
    Envelope,
    Stored,
    TakeOver,
    Vote,
    VoteRequest,
)

Message = dict[str, Any]


def encode(message: Message, envelope: Envelope, *, transfer: bool) -> bool:
    """Puts one of PySyncObj's messages into the envelope; False for a kind that is not sent here."""
    kind = message["type"]
    if kind == "append_entries":
        envelope.entries.CopyFrom(_entries(message))
    elif kind == "next_node_idx":
        envelope.stored.CopyFrom(
            Stored(next_index=message["next_node_idx"], reset=message["reset"], success=message["success"])
        )
    elif kind == "request_vote":
        envelope.vote_request.CopyFrom(
            VoteRequest(
                term=message["term"],
                last_index=message["last_log_index"],
                last_term=message["last_log_term"],
                transfer=transfer,
            )
        )
    elif kind == "response_vote":
        envelope.vote.CopyFrom(Vote(term=message["term"]))
    elif kind == "apply_command":
        envelope.command.CopyFrom(
            Command(command=message["command"], request=message.get("request_id", 0), answer="request_id" in message)
        )
    elif kind == "apply_command_response":
        envelope.command_reply.CopyFrom(
            CommandReply(
                request=message["request_id"],
                error=message.get("error") or 0,
                index=message.get("log_idx", 0),
                term=message.get("log_term", 0),
            )
        )
    elif kind == "timeout_now":
        envelope.take_over.CopyFrom(TakeOver(term=message["term"]))
    else:
        return False
    return True


def _entries(message: Message) -> Entries:
    entries = Entries(term=message["term"], commit=message["commit_index"])
    if "prevLogIdx" not in message:
        entries.snapshot_follows = True
        return entries
    entries.previous_index = message["prevLogIdx"]
    entries.previous_term = message["prevLogTerm"]
    for command, index, term in message["entries"]:
        entries.entries.append(LogEntry(index=index, term=term, command=command))
    return entries


def decode(envelope: Envelope) -> Message | None:
    """The message in the envelope as PySyncObj wants it, or None when it is none of PySyncObj's."""
    kind = envelope.WhichOneof("message")
    if kind == "entries":
        return _append(envelope.entries)
    if kind == "stored":
        stored = envelope.stored
        return {
            "type": "next_node_idx",
            "next_node_idx": stored.next_index,
            "reset": stored.reset,
            "success": stored.success,
        }
    if kind == "vote_request":
        request = envelope.vote_request
        return {
            "type": "request_vote",
            "term": request.term,
            "last_log_index": request.last_index,
            "last_log_term": request.last_term,
        }
    if kind == "vote":
        return {"type": "response_vote", "term": envelope.vote.term}
    if kind == "command":
        command: Message = {"type": "apply_command", "command": envelope.command.command}
        if envelope.command.answer:
            command["request_id"] = envelope.command.request
        return command
    if kind == "command_reply":
        reply = envelope.command_reply
        answer: Message = {"type": "apply_command_response", "request_id": reply.request}
        if reply.error:
            answer["error"] = reply.error
        else:
            answer.update(log_idx=reply.index, log_term=reply.term)
        return answer
    if kind == "take_over":
        return {"type": "timeout_now", "term": envelope.take_over.term}
    return None


def _append(entries: Entries) -> Message:
    message: Message = {"type": "append_entries", "term": entries.term, "commit_index": entries.commit}
    if not entries.snapshot_follows:
        message["prevLogIdx"] = entries.previous_index
        message["prevLogTerm"] = entries.previous_term
        message["entries"] = [(entry.command, entry.index, entry.term) for entry in entries.entries]
    return message
