"""The same look-up with the same counters on FastAPI and uvicorn, answering the same bytes: a peer of benches/verify.

    python fastapi_app.py keys.txt      prints its address, then serves until it is killed
"""

import hashlib
import hmac
import socket
import sys
import time
import zlib

import uvicorn
from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from pydantic import BaseModel

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BEGAN = time.monotonic()

requests = Counter("requests", "requests")
verifications = Counter("verifications", "verifications")
request_seconds = Histogram("request_seconds", "seconds")
verify_seconds = Histogram("verify_seconds", "seconds")


class Question(BaseModel):
    key: str
    scopes: list[str] | None = None


class Verdict(BaseModel):
    valid: bool
    code: str
    kid: str | None = None
    name: str | None = None
    owner: str | None = None
    environment: str | None = None
    scopes: list[str] | None = None
    expires_at: str | None = None
    rate_limit: dict | None = None
    stale_ms: int | None = None


rows = {}
for line in open(sys.argv[1]):
    known, secret = line.split()
    digest = hashlib.sha256(secret.encode()).digest()
    rows[known] = (digest, "bench", "team", ["orders:read"], "2096-10-02T07:06:40.000Z")


def check_digits(covered: str) -> str:
    rest, digits = zlib.crc32(covered.encode()), ""
    for _ in range(6):
        digits = BASE62[rest % 62] + digits
        rest //= 62
    return digits


def judge(question: Question) -> Verdict:
    covered, digits = question.key[:55], question.key[55:]
    parts = covered.split("_")
    if digits != check_digits(covered) or len(parts) != 4:
        return Verdict(valid=False, code="malformed")
    row = rows.get(parts[2])
    if row is None or not hmac.compare_digest(row[0], hashlib.sha256(parts[3].encode()).digest()):
        return Verdict(valid=False, code="invalid")
    good = all(scope in row[3] for scope in question.scopes or [])
    return Verdict(
        valid=good,
        code="valid" if good else "scope_missing",
        kid=parts[2],
        name=row[1],
        owner=row[2],
        environment="test",
        scopes=row[3],
        expires_at=row[4],
        stale_ms=int((time.monotonic() - BEGAN) * 1000) % 1000,
    )


app = FastAPI(openapi_url=None)


@app.post("/api/keys/verify")
async def verify(question: Question) -> Verdict:
    with request_seconds.time():
        with verify_seconds.time():
            verdict = judge(question)
        verifications.inc()
        requests.inc()
        return verdict


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
