-- Who shares the keys and how far each replica has followed them, when each change was committed, and how keys are used.
-- May be applied by hand, also twice: psql -f 0004_replicas.sql

-- What each replica last wrote about itself; seen_at by the clock of this database.
create table if not exists monolith_replica (
  id text primary key,
  role text not null,
  version text not null,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  generation bigint not null,
  hash text not null,
  ready boolean not null,
  index_age_ms bigint,
  acked_seq bigint, -- the last row of key_events that its answers reflect
  clock_skew_ms bigint,
  running bigint not null
);

-- When an event was written, by the clock of this database: `at` is by the clock of whoever made the change, and hashed.
-- The default comes second, so that no table is rewritten.
alter table key_events add column if not exists recorded_at timestamptz;
alter table key_events alter column recorded_at set default clock_timestamp();

-- How often each key was used on a day (UTC), by what came of it.
create table if not exists key_usage (
  kid text not null,
  day date not null,
  outcome text not null,
  n bigint not null,
  primary key (kid, day, outcome)
);

create index if not exists key_usage_old on key_usage (day);
