use crate::name::StoreName;
use crate::settings::stores::*;
use crate::settings::{Home, statement::Statement, workers::*};
use crate::store::{Database, database::Kind, postgres::Postgres};
use crate::work::fixture::*;
use crate::work::*;
use std::time::Duration;
fn pg(q: &str, t: bool) -> Action {
    Action::Sql { store: StoreName::parse("pg").unwrap(), statement: Statement::parse(q).unwrap(), transactional: t }
}
#[tokio::test]
async fn pgsmoke() {
    let url = std::env::var("PGURL").unwrap();
    let store = Store {
        name: StoreName::parse("pg").unwrap(),
        kind: StoreKind::Postgres {
            url: crate::secret::Secret::new(url.clone()),
            pooler: Pooler::None,
            migrate: Migrate::Auto,
        },
        max_connections: 3,
        connect_timeout: Duration::from_secs(5),
        operation_timeout: Duration::from_secs(10),
        probe: Probe { every: Duration::from_secs(5), timeout: Duration::from_secs(2), down_after: 3, up_after: 1 },
        required: true,
        on_unreachable: OnUnreachable::Reject,
    };
    let db = Database::new(
        Home::Store(StoreName::parse("pg").unwrap()),
        Kind::Postgres(Postgres::open(&store, &url, Pooler::None).unwrap()),
    );
    crate::store::schema::migrate(&db).await.unwrap();
    let mem = memory().await;
    let list = vec![
        worker(
            "q",
            pg(
                "select :worker as w, :run_id as r, :tick_at as t, :attempt as a, now() as n, 1.5::float8, null::text, true, 12::numeric, '{\"a\":1}'::json j",
                true,
            ),
        ),
        worker("ins", pg("insert into hits select :run_id, :attempt", true)),
        worker("vac", pg("vacuum hits", false)),
        worker("badvac", pg("vacuum hits", true)),
        Worker { timeout: Duration::from_millis(300), ..worker("slow", pg("select pg_sleep(30)", true)) },
        Worker { timeout: Duration::from_millis(300), ..worker("slow2", pg("select pg_sleep(30)", false)) },
        worker("many", pg("select generate_series(1,50) g", true)),
        worker("sleep", pg("select pg_sleep(30) /* cutme */", true)),
    ];
    let mut p = plan(&mem, list);
    p.stores.insert(StoreName::parse("pg").unwrap(), db.clone());
    if let Kind::Postgres(x) = db.kind() {
        x.call("x", async |c| {
            sqlx::raw_sql("create table if not exists hits (r text, a integer)").execute(c).await.map(drop)
        })
        .await
        .unwrap();
    }
    let a = Replica::start("a", p);
    for w in ["q", "ins", "vac", "badvac", "slow", "slow2", "many"] {
        let r = a.run_now(w).await;
        println!("{w}: {:?} {:?} {:?} {:?}", r.state, r.result, r.error, r.duration_ms);
    }
    let id = a.work.run_now(&name("sleep"), "x").await.unwrap();
    until(async || a.work.run_view(id).await.unwrap().state == RunState::Running).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    a.stop.cancel();
    a.cut.cancel();
    until(async || a.task.is_finished()).await;
    println!("cut: {:?}", a.work.run_view(id).await.unwrap().state);
    if let Kind::Postgres(x) = db.kind() {
        let n: i64 = x.call("x", async |c| sqlx::query_scalar("select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid() and state='active'").fetch_one(c).await).await.unwrap();
        println!("still active: {n}");
    }
}
