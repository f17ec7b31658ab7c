-- Tokens that are refused before their time, and what was taken into the chain from a spool.
-- May be applied by hand, also twice: psql -f 0005_audit.sql

-- Each denial is an event of the chain too; `seq` is the number of that event, so that replicas read what is new.
create table if not exists denied_tokens (
    jti text primary key,
    seq bigint not null,
    expires_at timestamptz not null
);
create index if not exists denied_tokens_seq on denied_tokens (seq);

-- Entries that waited in a spool: one that is here was chained, and is not chained again.
create table if not exists audit_taken (
    id text primary key,
    taken_at timestamptz not null default now()
);

-- Keys that were issued elsewhere are found by the hash of their whole text.
create index if not exists api_keys_whole_hash on api_keys (hash) where hash_alg in ('whole-sha256', 'whole-hmac-sha256');
