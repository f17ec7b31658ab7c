-- Who was told of which trouble: one row for a receiver and what it is told of, for the whole fleet.
-- May be applied by hand, also twice: sqlite3 FILE < 0007_alerts.sql

-- Times are milliseconds since the epoch, in UTC, in both dialects: every statement serves both.
create table if not exists alert_incident (
  alert text not null,
  what text not null,
  subject text not null,
  severity text not null,
  message text not null,
  replica text not null,
  state text not null constraint alert_incident_state check (state in ('firing', 'resolved')),
  since_ms bigint not null,
  seen_ms bigint not null,
  resolved_ms bigint,
  -- What the receiver was told last: none, firing, resolved.
  told text not null default 'none' constraint alert_incident_told check (told in ('none', 'firing', 'resolved')),
  told_ms bigint,
  tries bigint not null default 0,
  failing_since_ms bigint,
  next_try_ms bigint not null default 0,
  lease_ms bigint not null default 0,
  error text,
  primary key (alert, what, subject)
);
