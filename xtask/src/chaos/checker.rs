//! What the recorded tables must say after any storm: each expected tick once, each effect once, no write by a zombie.
//! It reads the tables alone, and it proves that it would notice: five forgeries are made and must each be found.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xtask::bounded;
use xtask::servers::Postgres;

/// Counting a long history takes its time.
const LIMIT: Duration = Duration::from_secs(300);

/// Its name, and a query for how many breaches there are.
const RULES: [(&str, &str); 6] = [
    ("effects that were made twice", "select count(*) from (select 1 from hits group by worker, tick_at having count(*) > 1) x"),
    (
        "ticks that are missing or doubled in the ledger",
        "select coalesce(sum(abs(expected - recorded)), 0)::bigint from (
           select s.worker, round(extract(epoch from s.next_at - min(r.tick_at)))::bigint as expected, sum(r.count)::bigint as recorded
           from work_schedule s join work_run r on r.worker = s.worker and r.kind = 'tick' group by s.worker, s.next_at) x",
    ),
    (
        "effects without a run that succeeded (a zombie's write)",
        "select count(*) from hits h left join work_run r on r.id = h.run_id where r.state is distinct from 'succeeded'",
    ),
    (
        "runs that succeeded without an effect",
        "select count(*) from work_run r where r.state = 'succeeded' and not exists (select 1 from hits h where h.run_id = r.id)",
    ),
    (
        "attempts of one run that overlap in time",
        "select count(*) from work_attempt a join work_attempt b on b.run_id = a.run_id and b.n > a.n
         where a.finished_at is null or b.started_at < a.finished_at",
    ),
    ("runs that nobody finished though they were started", "select count(*) from work_run where state in ('running', 'claimed')"),
];

/// What a defect would have left behind, and which rule must find it.
const FORGERIES: [(&str, usize, &str); 5] = [
    ("a tick that ran twice", 0, "insert into hits select * from hits limit 1"),
    ("a tick that was lost", 1, "delete from work_run where id = (select id from work_run where kind = 'tick' and state = 'succeeded' order by tick_at desc limit 1)"),
    ("an end that was written without its lease", 2, "update work_run set state = 'failed' where id = (select run_id from hits limit 1)"),
    ("an end that was recorded without its effect", 3, "delete from hits where run_id = (select run_id from hits limit 1)"),
    (
        "a run that two replicas made at once",
        4,
        "insert into work_attempt (run_id, n, replica, started_at, finished_at)
         select run_id, n + 100, 'zombie', started_at, finished_at from work_attempt where finished_at > started_at limit 1",
    ),
];

/// Checks everything and prints the figures.
pub(super) fn check(postgres: &Postgres, lease: u64) -> Result<()> {
    let mut breaches = 0;
    for (name, query) in RULES {
        let found = number(postgres, query)?;
        println!("{found:>8}  {name}");
        breaches += found;
    }
    for (name, query) in [
        ("ticks recorded", "select coalesce(sum(count), 0)::bigint from work_run where kind = 'tick'"),
        ("of them ran", "select count(*) from work_run where kind = 'tick' and state = 'succeeded'"),
        ("effects", "select count(*) from hits"),
        ("attempts that ended by a crash", "select count(*) from work_attempt where outcome = 'crashed'"),
        ("replicas that ran something", "select count(distinct replica) from work_attempt"),
    ] {
        println!("{:>8}  {name}", number(postgres, query)?);
    }
    takeover(postgres, lease)?;
    for (name, rule, forgery) in FORGERIES {
        let (_, query) = RULES.get(rule).context("there is no such rule")?;
        let forged = number(postgres, &format!("begin; {forgery}; {query}; rollback"))?;
        println!("{:>8}  {name}: the checker {}", forged, if forged > 0 { "notices" } else { "is blind" });
        if forged == 0 {
            bail!("the checker does not notice {name}");
        }
    }
    if breaches > 0 {
        bail!("{breaches} breaches");
    }
    Ok(())
}

/// From the end of an attempt whose replica died, as far as it is known, to the next attempt; and how late ticks started.
fn takeover(postgres: &Postgres, lease: u64) -> Result<()> {
    let query = "select coalesce(round(extract(epoch from max(b.started_at - a.started_at)) * 1000), 0)::bigint
                 from work_attempt a join work_attempt b on b.run_id = a.run_id and b.n = a.n + 1 where a.outcome = 'crashed'";
    println!("{:>8}  ms at most from an attempt that died to the next one (lease {lease} s)", number(postgres, query)?);
    for part in ["0.5", "0.99", "1.0"] {
        let query = format!(
            "select coalesce(round(percentile_disc({part}) within group (order by extract(epoch from started_at - due_at)) * 1000), 0)::bigint
             from work_run where kind = 'tick' and started_at is not null"
        );
        println!("{:>8}  ms late, quantile {part}", number(postgres, &query)?);
    }
    Ok(())
}

fn number(postgres: &Postgres, query: &str) -> Result<i64> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", postgres.url(), "-c", query]);
    let answer = bounded::output(&mut psql, LIMIT)?;
    answer.trim().parse().with_context(|| format!("`{}` is no number: {query}", answer.trim()))
}
