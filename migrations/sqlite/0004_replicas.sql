-- Who shares the keys and how far each replica has followed them, and how keys are used. Times are milliseconds since the
-- epoch, in UTC; days are counted from it. One host has one clock, so that key_events.at says when it was written.
-- May be applied by hand, also twice: sqlite3 FILE < 0004_replicas.sql

-- What each replica last wrote about itself.
create table if not exists monolith_replica (
  id text primary key,
  role text not null,
  version text not null,
  started_at integer not null,
  seen_at integer not null,
  generation integer not null,
  hash text not null,
  ready integer not null,
  index_age_ms integer,
  acked_seq integer,
  clock_skew_ms integer,
  running integer not null
) strict, without rowid;

-- How often each key was used on a day, by what came of it.
create table if not exists key_usage (
  kid text not null,
  day integer not null,
  outcome text not null,
  n integer not null,
  primary key (kid, day, outcome)
) strict, without rowid;

create index if not exists key_usage_old on key_usage (day);
