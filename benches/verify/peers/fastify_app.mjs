// The same look-up with the same counters on Fastify, answering the same bytes: a peer of benches/verify.
//     node fastify_app.mjs keys.txt      prints its address, then serves until it is killed
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import Fastify from "fastify";
import client from "prom-client";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const requests = new client.Counter({ name: "requests", help: "requests" });
const verifications = new client.Counter({ name: "verifications", help: "verifications" });
const requestSeconds = new client.Histogram({ name: "request_seconds", help: "seconds" });
const verifySeconds = new client.Histogram({ name: "verify_seconds", help: "seconds" });

const sha256 = (text) => createHash("sha256").update(text).digest();
const rows = new Map();
for (const line of readFileSync(process.argv[2], "utf8").trim().split("\n")) {
  const [kid, secret] = line.split(" ");
  rows.set(kid, { hash: sha256(secret), name: "bench", owner: "team", scopes: ["orders:read"], expires_at: "2096-10-02T07:06:40.000Z" });
}

function checkDigits(covered) {
  let rest = crc32(covered);
  let digits = "";
  for (let n = 0; n < 6; n += 1) {
    digits = BASE62[rest % 62] + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

const bare = (code) => ({ valid: false, code, kid: null, name: null, owner: null, environment: null, scopes: null, expires_at: null, rate_limit: null, stale_ms: null });

function judge({ key, scopes }) {
  const covered = key.slice(0, 55);
  const parts = covered.split("_");
  if (key.slice(55) !== checkDigits(covered) || parts.length !== 4) return bare("malformed");
  const row = rows.get(parts[2]);
  if (!row || !timingSafeEqual(row.hash, sha256(parts[3]))) return bare("invalid");
  const valid = (scopes ?? []).every((scope) => row.scopes.includes(scope));
  return {
    valid, code: valid ? "valid" : "scope_missing", kid: parts[2], name: row.name, owner: row.owner, environment: "test",
    scopes: row.scopes, expires_at: row.expires_at, rate_limit: null, stale_ms: Math.floor(performance.now()) % 1000,
  };
}

const text = { type: ["string", "null"] };
const schema = {
  body: {
    type: "object",
    required: ["key"],
    properties: { key: { type: "string" }, scopes: { type: "array", items: { type: "string" } } },
  },
  response: {
    200: {
      type: "object",
      properties: {
        valid: { type: "boolean" }, code: { type: "string" }, kid: text, name: text, owner: text, environment: text,
        scopes: { type: ["array", "null"], items: { type: "string" } }, expires_at: text,
        rate_limit: { type: ["object", "null"] }, stale_ms: { type: ["integer", "null"] },
      },
    },
  },
};

const app = Fastify({ logger: false });
app.post("/api/keys/verify", { schema }, async (request) => {
  const whole = requestSeconds.startTimer();
  const part = verifySeconds.startTimer();
  const verdict = judge(request.body);
  part();
  verifications.inc();
  requests.inc();
  whole();
  return verdict;
});
await app.listen({ host: "127.0.0.1", port: 0 });
console.log(`127.0.0.1:${app.server.address().port}`);
