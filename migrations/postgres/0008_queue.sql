-- What waits is found in the order in which it is claimed, however much is due at one instant.
-- May be applied by hand, also twice: psql -f 0008_queue.sql

create index if not exists work_run_queue on work_run (available_at, id collate "C") where state in ('queued', 'retrying');
-- The same without that order, in the place of which it stands; a replica of before finds its runs by either.
drop index if exists work_run_waiting;
