-- The run ledger: what is due, what was run, and what became of it.
-- May be applied by hand, also twice: psql -f 0002_ledger.sql

create table if not exists work_schedule (
  worker text primary key,
  spec_hash text not null,
  schedule text not null,
  next_at timestamptz,
  retired_at timestamptz,
  paused_at timestamptz,
  paused_by text,
  pause_reason text,
  paused_until timestamptz,
  last_run_id text,
  last_success_at timestamptz,
  consecutive_failures bigint not null default 0,
  updated_at timestamptz not null,
  updated_by text not null
);

create index if not exists work_schedule_due on work_schedule (next_at) where next_at is not null;

-- One row for the execution of a tick, a backfill or a request; one row, too, for a stretch of ticks that did not run.
create table if not exists work_run (
  id text primary key,
  worker text not null,
  spec_hash text not null,
  kind text not null constraint work_run_kind check (kind in ('tick', 'manual', 'backfill')),
  tick_at timestamptz,
  due_at timestamptz not null,
  late boolean not null default false,
  state text not null constraint work_run_state check (state in ('queued', 'claimed', 'running', 'retrying', 'succeeded', 'failed', 'timed_out', 'cancelled', 'skipped', 'missed', 'lost')),
  reason text,
  available_at timestamptz not null,
  attempt bigint not null default 0,
  tries bigint not null default 0,
  crashes bigint not null default 0,
  owner text,
  lease_until timestamptz,
  epoch bigint not null default 0,
  created_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  exit_code integer,
  result text,
  error text,
  output text,
  output_bytes bigint not null default 0,
  output_truncated boolean not null default false,
  requested_by text,
  range_from timestamptz,
  range_to timestamptz,
  count bigint not null default 1,
  constraint work_run_manual_has_no_tick check ((kind = 'manual') = (tick_at is null))
);

create unique index if not exists work_run_tick_once on work_run (worker, tick_at) where tick_at is not null;
create index if not exists work_run_waiting on work_run (available_at) where state in ('queued', 'retrying');
create index if not exists work_run_leased on work_run (lease_until) where state in ('claimed', 'running');
create index if not exists work_run_open on work_run (worker) where finished_at is null;
create index if not exists work_run_history on work_run (worker, id);
create index if not exists work_run_finished on work_run (finished_at) where finished_at is not null;

create table if not exists work_attempt (
  run_id text not null references work_run (id) on delete cascade,
  n bigint not null,
  replica text not null,
  started_at timestamptz not null,
  finished_at timestamptz,
  outcome text,
  error text,
  primary key (run_id, n)
);

-- Outcomes by the hour, so that nobody has to count runs.
create table if not exists work_counts (
  worker text not null,
  hour timestamptz not null,
  outcome text not null,
  n bigint not null,
  primary key (worker, hour, outcome)
);

create table if not exists work_replica (
  id text primary key,
  role text not null,
  version text not null,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  generation bigint not null,
  hash text not null
);
