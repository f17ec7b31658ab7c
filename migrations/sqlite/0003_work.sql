-- What accounting, take-over and cancelling need beside the ledger. Times are milliseconds since the epoch, in UTC.
-- May be applied by hand, also twice: sqlite3 FILE < 0003_work.sql

-- Which schedule a worker had from when on; null: none (switched off or retired). A period reaches to the next one.
create table if not exists work_period (
  worker text not null,
  since integer not null,
  schedule text,
  spec_hash text not null,
  set_by text not null,
  primary key (worker, since)
) strict, without rowid;

-- Up to which tick the runs of a worker are no longer kept.
create table if not exists work_forgotten (
  worker text primary key,
  until integer not null
) strict, without rowid;

-- Runs in progress that somebody wants to stop; whoever holds one looks here.
create table if not exists work_cancel (
  run_id text primary key references work_run (id) on delete cascade,
  requested_at integer not null,
  requested_by text not null
) strict, without rowid;

-- What each replica that runs workers declares: a JSON object of worker and spec_hash.
create table if not exists work_declared (
  replica text primary key,
  seen_at integer not null,
  workers text not null
) strict, without rowid;

create index if not exists work_schedule_pauses on work_schedule (paused_until) where paused_until is not null;
