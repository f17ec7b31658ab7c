-- The run ledger: what is due, what was run, and what became of it. Times are milliseconds since the epoch, in UTC.
-- May be applied by hand, also twice: sqlite3 FILE < 0002_ledger.sql

create table if not exists work_schedule (
  worker text primary key,
  spec_hash text not null,
  schedule text not null,
  next_at integer,
  retired_at integer,
  paused_at integer,
  paused_by text,
  pause_reason text,
  paused_until integer,
  last_run_id text,
  last_success_at integer,
  consecutive_failures integer not null default 0,
  updated_at integer not null,
  updated_by text not null
) strict;

create index if not exists work_schedule_due on work_schedule (next_at) where next_at is not null;

-- One row for the execution of a tick, a backfill or a request; one row, too, for a stretch of ticks that did not run.
create table if not exists work_run (
  id text primary key,
  worker text not null,
  spec_hash text not null,
  kind text not null check (kind in ('tick', 'manual', 'backfill')),
  tick_at integer,
  due_at integer not null,
  late integer not null default 0,
  state text not null check (state in ('queued', 'claimed', 'running', 'retrying', 'succeeded', 'failed', 'timed_out', 'cancelled', 'skipped', 'missed', 'lost')),
  reason text,
  available_at integer not null,
  attempt integer not null default 0,
  tries integer not null default 0,
  crashes integer not null default 0,
  owner text,
  lease_until integer,
  epoch integer not null default 0,
  created_at integer not null,
  started_at integer,
  finished_at integer,
  exit_code integer,
  result text,
  error text,
  output text,
  output_bytes integer not null default 0,
  output_truncated integer not null default 0,
  requested_by text,
  range_from integer,
  range_to integer,
  count integer not null default 1,
  check ((kind = 'manual') = (tick_at is null))
) strict;

create unique index if not exists work_run_tick_once on work_run (worker, tick_at) where tick_at is not null;
create index if not exists work_run_waiting on work_run (available_at) where state in ('queued', 'retrying');
create index if not exists work_run_leased on work_run (lease_until) where state in ('claimed', 'running');
create index if not exists work_run_open on work_run (worker) where finished_at is null;
create index if not exists work_run_history on work_run (worker, id);
create index if not exists work_run_finished on work_run (finished_at) where finished_at is not null;

create table if not exists work_attempt (
  run_id text not null references work_run (id) on delete cascade,
  n integer not null,
  replica text not null,
  started_at integer not null,
  finished_at integer,
  outcome text,
  error text,
  primary key (run_id, n)
) strict, without rowid;

-- Outcomes by the hour, so that nobody has to count runs.
create table if not exists work_counts (
  worker text not null,
  hour integer not null,
  outcome text not null,
  n integer not null,
  primary key (worker, hour, outcome)
) strict, without rowid;

create table if not exists work_replica (
  id text primary key,
  role text not null,
  version text not null,
  started_at integer not null,
  seen_at integer not null,
  generation integer not null,
  hash text not null
) strict;
