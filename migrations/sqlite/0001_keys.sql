-- API keys, their events, and the identity of this database.
-- Expand only, and harmless when applied twice, by this program or by hand with sqlite3. Times are milliseconds since
-- the epoch. The tables mean what those of migrations/postgres mean.

create table if not exists api_keys (
    kid text primary key not null,
    created_at integer not null,
    revoked_at integer,
    name text,
    owner text,
    environment text,
    scopes text,
    created_by text,
    expires_at integer,
    last_used_at integer,
    disabled_at integer,
    revoke_reason text,
    rotated_to text,
    grace_until integer,
    ip_allow text,
    rate_limit text,
    metadata text,
    version integer not null default 1,
    hash blob,
    hash_alg text,
    pepper text
);

create table if not exists key_events (
    seq integer primary key not null,
    at integer not null,
    kid text not null,
    kind text not null,
    actor text not null,
    role text not null,
    ip text,
    request_id text not null,
    body text not null,
    prev_hash blob not null,
    hash blob not null
);

create table if not exists key_chain_head (
    id integer primary key not null,
    seq integer not null,
    hash blob not null
);
insert into key_chain_head (id, seq, hash) values (1, 0, zeroblob(32)) on conflict (id) do nothing;

create table if not exists key_idempotency (
    id_hash blob primary key not null,
    body_hash blob not null,
    kid text not null,
    expires_at integer not null
);

create table if not exists monolith_identity (
    only_row integer primary key not null,
    id text not null
);
insert into monolith_identity (only_row, id) values (1, lower(hex(randomblob(16)))) on conflict (only_row) do nothing;
