"""Two clients of Parley on Debian's python3-websockets, urllib and a MessagePack codec of their own.

Written from PROTOCOL.md alone; nothing of Parley is imported. Ann speaks JSON, Ben MessagePack. They register, make a
direct and a group conversation, exchange messages and read them back over REST and by `sync`.

Usage: two-clients.py http://127.0.0.1:8080
The last line of the output is a JSON object; the exit code is not 0 when anything was not as documented.
"""

import asyncio
import hashlib
import json
import os
import struct
import sys
import time
import urllib.request
import uuid

import websockets

HTTP = sys.argv[1]
PASSWORD = "correct horse battery staple"


# --- HTTP -----------------------------------------------------------------------------------------------------------


def call(method, path, body=None, token=None):
    request = urllib.request.Request(HTTP + path, method=method)
    if token is not None:
        request.add_header("Authorization", "Bearer " + token)
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    with urllib.request.urlopen(request, data, timeout=20) as response:
        text = response.read()
        return response.status, json.loads(text) if text else None


def register(name):
    username = name + "-" + os.urandom(5).hex()
    status, answer = call("POST", "/v1/auth/register", {"username": username, "password": PASSWORD})
    assert status == 201, status
    status, again = call("POST", "/v1/auth/login", {"username": username, "password": PASSWORD})
    assert status == 200 and again["user"] == answer["user"], again
    return {"id": again["user"]["id"], "token": again["accessToken"]}


# --- ids ------------------------------------------------------------------------------------------------------------


def uuid7():
    value = bytearray(struct.pack(">Q", int(time.time() * 1000))[2:] + os.urandom(10))
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(value)))


def direct_id(a, b):
    first, second = sorted([uuid.UUID(a).bytes, uuid.UUID(b).bytes])
    value = bytearray(hashlib.sha256(b"parley.direct.v1" + first + second).digest()[:16])
    value[6] = 0x80 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(value)))


# --- MessagePack, as much of it as the protocol uses -------------------------------------------------------------


def pack(value):
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    if isinstance(value, dict):
        pairs = b"".join(pack(k) + pack(v) for k, v in value.items())
        return b"\xdf" + struct.pack(">I", len(value)) + pairs
    raise TypeError(value)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        assert len(part) == count, "the message ends too early"
        self.at += count
        return part

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def value(self):
        c = self.number("B")
        if c < 0x80:
            return c
        if c < 0x90:
            return self.map(c & 0x0F)
        if c < 0xA0:
            return self.array(c & 0x0F)
        if c < 0xC0:
            return self.take(c & 0x1F).decode()
        if c >= 0xE0:
            return c - 256
        if c in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[c]
        if c in (0xC4, 0xC5, 0xC6):
            return self.take(self.number("BHI"[c - 0xC4]))
        if c in (0xCA, 0xCB):
            return self.number("fd"[c - 0xCA])
        if 0xCC <= c <= 0xD3:
            return self.number("BHIQbhiq"[c - 0xCC])
        if c in (0xD9, 0xDA, 0xDB):
            return self.take(self.number("BHI"[c - 0xD9])).decode()
        if c in (0xDC, 0xDD):
            return self.array(self.number("HI"[c - 0xDC]))
        if c in (0xDE, 0xDF):
            return self.map(self.number("HI"[c - 0xDE]))
        raise ValueError("the protocol does not use the format %#x" % c)

    def array(self, count):
        return [self.value() for _ in range(count)]

    def map(self, count):
        return {self.value(): self.value() for _ in range(count)}


def unpack(data):
    reader = Reader(data)
    value = reader.value()
    assert reader.at == len(data), "bytes after the message"
    return value


# --- frames ---------------------------------------------------------------------------------------------------------

EVENT = ["conversation", "seq", "id", "kind", "sender", "at", "body", "target"]
SERVER = {
    64: ("welcome", ["user", "session", "time", "limits", "conversations", "more", "ticket"]),
    65: ("ack", ["id", "conversation", "seq", "at", "duplicate"]),
    66: ("error", ["code", "message", "retryable", "id", "ref", "retryAfterMs"]),
    67: ("event", EVENT),
    68: ("gap", ["conversation", "head"]),
    69: ("heads", ["heads"]),
    70: ("synced", ["ref", "conversation", "events", "head", "from", "more"]),
    71: ("read", ["conversation", "user", "seq"]),
    72: ("typing", ["conversation", "user", "active"]),
    73: ("presence", ["users"]),
    74: ("conversation", ["change", "conversation", "info"]),
    75: ("drain", ["reconnectAfterMs"]),
    76: ("pong", ["ref", "time"]),
    77: ("ok", ["ref"]),
}
CLIENT = {
    "hello": (1, ["token", "device", "resume", "ticket", "client"]),
    "send": (2, ["id", "conversation", "body", "retry"]),
    "sync": (8, ["ref", "conversation", "after", "limit"]),
    "ping": (10, ["ref"]),
}
IDS = {"id", "conversation", "user", "session", "sender", "target"}


def to_array(frame):
    code, names = CLIENT[frame["type"]]
    array = [code]
    for name in names:
        value = frame.get(name)
        array.append(uuid.UUID(value).bytes if name in IDS and value is not None else value)
    while array[-1] is None:
        array.pop()
    return array


def from_array(array):
    name, names = SERVER[array[0]]
    frame = {"type": name}
    for key, value in zip(names, array[1:]):
        if value is None:
            continue
        if key in IDS:
            value = str(uuid.UUID(bytes=value))
        if key == "events":
            value = [from_array(event) for event in value]
        frame[key] = value
    return frame


class Client:
    def __init__(self, person, link):
        self.person, self.link = person, link
        self.binary = link.subprotocol == "parley.v1.msgpack"
        self.journal = []
        self.changed = asyncio.Condition()
        self.reading = asyncio.ensure_future(self.read())

    async def read(self):
        async for message in self.link:
            if self.binary:
                value = unpack(message)
                frames = [from_array(a) for a in ([value] if isinstance(value[0], int) else value)]
            else:
                value = json.loads(message)
                frames = value if isinstance(value, list) else [value]
            async with self.changed:
                self.journal += frames
                self.changed.notify_all()

    async def post(self, frames):
        batch = isinstance(frames, list)
        if self.binary:
            await self.link.send(pack([to_array(f) for f in frames] if batch else to_array(frames)))
        else:
            await self.link.send(json.dumps(frames))

    async def wait(self, matches):
        async def found():
            async with self.changed:
                while True:
                    for frame in self.journal:
                        assert frame["type"] != "error", frame
                        if matches(frame):
                            return frame
                    await self.changed.wait()

        return await asyncio.wait_for(found(), 20)

    async def send(self, conversation, text):
        message = {"type": "send", "id": uuid7(), "conversation": conversation, "body": {"text": text}}
        await self.post(message)
        return await self.wait(lambda f: f["type"] == "ack" and f["id"] == message["id"])

    async def shown(self, conversation, seq):
        return await self.wait(
            lambda f: f["type"] == "event" and f["conversation"] == conversation and f["seq"] == seq
        )


async def connect(person, url, subprotocol):
    link = await websockets.connect(url, subprotocols=[subprotocol])
    assert link.subprotocol == subprotocol, link.subprotocol
    client = Client(person, link)
    await client.post({"type": "hello", "token": person["token"], "device": "python"})
    welcome = await client.wait(lambda f: f["type"] == "welcome")
    assert welcome["user"] == person["id"], welcome
    return client


async def chat(ann, ben, conversation, first, rounds):
    """Both speak in turn; each sees every event, with the seq that the sender's ack told."""
    seqs = []
    for i in range(rounds):
        for speaker, other in ((ann, ben), (ben, ann)):
            ack = await speaker.send(conversation, "message %d: grüß dich, 你好 🙂" % i)
            mine = await speaker.shown(conversation, ack["seq"])
            theirs = await other.shown(conversation, ack["seq"])
            assert mine == theirs and mine["id"] == ack["id"] and mine["at"] == ack["at"], (mine, theirs, ack)
            seqs.append(ack["seq"])
    assert seqs == list(range(first, first + 2 * rounds)), seqs
    return seqs[-1]


def history(person, conversation, head):
    """What REST shows, once it shows all of it."""
    for _ in range(200):
        _, page = call("GET", "/v1/conversations/%s/events?after=0&limit=500" % conversation, token=person["token"])
        if page["events"] and page["events"][-1]["seq"] >= head:
            return page["events"]
        time.sleep(0.05)
    raise AssertionError("REST does not show %d events" % head)


def bare(event):
    return {k: v for k, v in event.items() if k != "type" and v is not None}


async def main():
    ann, ben = register("py-ann"), register("py-ben")
    _, gateway = call("GET", "/v1/gateway", token=ann["token"])
    url = gateway["urls"][0]

    status, made = call("POST", "/v1/conversations", {"kind": "direct", "members": [ben["id"]]}, ann["token"])
    direct = made["conversation"]["id"]
    assert status == 201 and direct == direct_id(ann["id"], ben["id"]), made
    group = uuid7()
    status, made = call(
        "POST",
        "/v1/conversations",
        {"id": group, "kind": "group", "title": "Python", "members": [ben["id"]]},
        ann["token"],
    )
    assert status == 201 and made["conversation"]["id"] == group, made

    a = await connect(ann, url, "parley.v1.json")
    b = await connect(ben, url, "parley.v1.msgpack")
    counts = {}
    for conversation in (direct, group):
        head = await chat(a, b, conversation, 2, 10)
        stored = [bare(event) for event in history(ann, conversation, head)]
        assert stored == [bare(event) for event in history(ben, conversation, head)]
        assert [event["seq"] for event in stored] == list(range(1, head + 1)), stored
        for client in (a, b):
            live = [bare(f) for f in client.journal if f["type"] == "event" and f["conversation"] == conversation]
            assert live == stored[1:], (live, stored)
            await client.post({"type": "sync", "ref": conversation, "conversation": conversation, "after": 0})
            synced = await client.wait(lambda f: f["type"] == "synced" and f["ref"] == conversation)
            assert [bare(event) for event in synced["events"]] == stored, synced
        counts[conversation] = len(stored)

    await a.post([{"type": "ping", "ref": "1"}, {"type": "ping", "ref": "2"}])
    await a.wait(lambda f: f["type"] == "pong" and f.get("ref") == "2")
    for client in (a, b):
        await client.link.close()
        await client.reading
    print(json.dumps({"websockets": websockets.__version__, "direct": direct, "group": group, "events": counts}))


asyncio.run(main())
