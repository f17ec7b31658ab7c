//! How keys are used, in Postgres. The meaning is in `keys::usage`; nothing is decided here.
//! Rows that another replica is just moving forward are left to it, so that no two of them wait for each other.

use super::{WORTH_A_WRITE_MS, last_uses, rows};
use crate::clock::Timestamp;
use crate::keys::table::{columns, readable};
use crate::keys::usage::{Tally, Used, midnight};
use crate::name::Kid;
use crate::store::{StoreError, postgres::Postgres};
use sqlx::{Connection, Row};

pub(super) async fn write(postgres: &Postgres, tallies: &[(Kid, Tally)]) -> Result<(), StoreError> {
    const COUNT: &str = "\
        insert into key_usage (kid, day, outcome, n) \
        select kid, date 'epoch' + day::integer, outcome, n \
        from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) as counted (kid, day, outcome, n) \
        order by kid, day, outcome \
        on conflict (kid, day, outcome) do update set n = key_usage.n + excluded.n";
    const MOVE_FORWARD: &str = "\
        with used as ( \
            select kid, max(ms) as ms from unnest($1::text[], $2::bigint[]) as each (kid, ms) group by kid \
        ), free as ( \
            select a.kid, timestamptz 'epoch' + used.ms * interval '1 millisecond' as at \
            from api_keys as a join used on used.kid = a.kid \
            where a.last_used_at is null or a.last_used_at < timestamptz 'epoch' + (used.ms - $3) * interval '1 millisecond' \
            order by a.kid for update of a skip locked \
        ) \
        update api_keys as a set last_used_at = free.at from free where a.kid = free.kid";
    postgres
        .call("writing how keys are used", async |c| {
            let mut tx = c.begin().await?;
            let ((mut kids, mut days), (mut outcomes, mut counts)) = ((vec![], vec![]), (vec![], vec![]));
            for (kid, day, outcome, n) in rows(tallies) {
                kids.push(kid);
                days.push(day);
                outcomes.push(outcome);
                counts.push(n);
            }
            sqlx::query(COUNT)
                .persistent(false)
                .bind(kids)
                .bind(days)
                .bind(outcomes)
                .bind(counts)
                .execute(&mut *tx)
                .await?;
            let (kids, instants): (Vec<&str>, Vec<i64>) = last_uses(tallies).unzip();
            sqlx::query(MOVE_FORWARD)
                .persistent(false)
                .bind(kids)
                .bind(instants)
                .bind(WORTH_A_WRITE_MS)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
}

pub(super) async fn used_since(postgres: &Postgres, since: Timestamp) -> Result<Vec<(Kid, Timestamp)>, StoreError> {
    const USED: &str = "select kid, (extract(epoch from last_used_at) * 1000)::bigint as at from api_keys \
        where last_used_at >= timestamptz 'epoch' + $1 * interval '1 millisecond'";
    postgres
        .call("reading when keys were used", async |c| {
            let mut tx = c.begin().await?;
            let rows = sqlx::query(USED).persistent(false).bind(since.millis()).fetch_all(&mut *tx).await?;
            let used = |row: &sqlx::postgres::PgRow| {
                Ok((columns::kid(&row.try_get::<String, _>("kid")?)?, Timestamp::from_millis(row.try_get("at")?)))
            };
            rows.iter().filter_map(|row| readable(used(row)).transpose()).collect()
        })
        .await
}

pub(super) async fn of(postgres: &Postgres, kid: &Kid, first_day: i64) -> Result<Vec<Used>, StoreError> {
    const USAGE: &str = "select (day - date 'epoch')::bigint as day, outcome, n from key_usage \
        where kid = $1 and day >= date 'epoch' + $2::integer order by day, outcome";
    postgres
        .call("reading how a key is used", async |c| {
            let mut tx = c.begin().await?;
            let first = i32::try_from(first_day).unwrap_or_default();
            let rows = sqlx::query(USAGE).persistent(false).bind(kid.as_str()).bind(first).fetch_all(&mut *tx).await?;
            let used = |row: &sqlx::postgres::PgRow| {
                let (day, outcome, times) = (row.try_get("day")?, row.try_get("outcome")?, row.try_get("n")?);
                Ok(Used { day: midnight(day), outcome, times })
            };
            rows.iter().filter_map(|row| readable(used(row)).transpose()).collect()
        })
        .await
}

pub(super) async fn forget_before(postgres: &Postgres, first_day: i64) -> Result<(), StoreError> {
    postgres
        .call("forgetting how keys were used", async |c| {
            let mut tx = c.begin().await?;
            sqlx::query("delete from key_usage where day < date 'epoch' + $1::integer")
                .persistent(false)
                .bind(i32::try_from(first_day).unwrap_or_default())
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        })
        .await
}
