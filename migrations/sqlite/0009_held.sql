-- What waits, what is held and what is under way have indexes of their own, as in the other dialect: what is under way is found among
-- whatever waits without reading that.
-- May be applied by hand, also twice: sqlite3 FILE < 0009_held.sql

create index if not exists work_run_waits on work_run (available_at, id) where lease_until is null and finished_at is null;
create index if not exists work_run_held on work_run (lease_until) where lease_until is not null;
create index if not exists work_run_unfinished on work_run (worker, available_at) where finished_at is null;
create index if not exists work_run_under_way on work_run (worker)
  where finished_at is null and (lease_until is not null or tries > 0 or crashes > 0 or reason is not null);
create index if not exists work_run_caught_up on work_run (worker, due_at, id)
  where late and lease_until is null and finished_at is null;
-- In their place; a replica of before finds its runs by other ways.
drop index if exists work_run_queue;
drop index if exists work_run_leased;
drop index if exists work_run_open;
