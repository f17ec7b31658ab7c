-- API keys, their events, and the identity of this database.
-- Expand only, and harmless when applied twice, by this program or by hand with psql. A table `api_keys` of the
-- original service is adopted: missing columns are added, unknown ones kept. Its rows have no hash of ours, so they are
-- listed and revoked but never verify.

create table if not exists api_keys (
    kid text not null,
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);

create unique index if not exists api_keys_kid_key on api_keys (kid);

alter table api_keys add column if not exists name text;
alter table api_keys add column if not exists owner text;
alter table api_keys add column if not exists environment text;
alter table api_keys add column if not exists scopes text; -- a JSON array
alter table api_keys add column if not exists created_by text;
alter table api_keys add column if not exists expires_at timestamptz;
alter table api_keys add column if not exists last_used_at timestamptz;
alter table api_keys add column if not exists disabled_at timestamptz;
alter table api_keys add column if not exists revoke_reason text;
alter table api_keys add column if not exists rotated_to text;
alter table api_keys add column if not exists grace_until timestamptz;
alter table api_keys add column if not exists ip_allow text; -- a JSON array of CIDRs
alter table api_keys add column if not exists rate_limit text;
alter table api_keys add column if not exists metadata text; -- a JSON object
alter table api_keys add column if not exists version bigint not null default 1;
alter table api_keys add column if not exists hash bytea;
alter table api_keys add column if not exists hash_alg text; -- sha256 or hmac-sha256
alter table api_keys add column if not exists pepper text; -- the name of the secret, where there is one

-- Every change of a key, in the order of commits: what replicas follow, and the audit, chained by hashes.
create table if not exists key_events (
    seq bigint primary key,
    at timestamptz not null,
    kid text not null,
    kind text not null,
    actor text not null,
    role text not null,
    ip text,
    request_id text not null,
    body text not null, -- a JSON object, never a secret or a hash of a key
    prev_hash bytea not null,
    hash bytea not null
);

-- The end of the chain. Whoever changes a key locks this row first, so that the order of seq is the order of commits.
create table if not exists key_chain_head (
    id smallint primary key,
    seq bigint not null,
    hash bytea not null
);
insert into key_chain_head (id, seq, hash) values (1, 0, decode(repeat('00', 32), 'hex')) on conflict (id) do nothing;

-- Creations that may be repeated: the same Idempotency-Key makes no second key.
create table if not exists key_idempotency (
    id_hash bytea primary key,
    body_hash bytea not null,
    kid text not null,
    expires_at timestamptz not null
);

-- Which database this is: the same behind another address or login.
create table if not exists monolith_identity (
    only_row smallint primary key,
    id text not null
);
insert into monolith_identity (only_row, id) values (1, gen_random_uuid()::text) on conflict (only_row) do nothing;
