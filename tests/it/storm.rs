//! Reloads without pause under load, good and bad by turns, of everything that may change: nobody notices, what was
//! valid last is what runs, and nothing is left behind. `cargo bench --bench storm` is the same, a thousand times.

use crate::certificate::{Identity, connector, handshake, shown};
use crate::harness::{PATIENCE, TestMonolith, monolith};

use crate::load::{Load, Whereabouts, quantiles};
use crate::raw::Raw;
use crate::sockets::{address, free_port_on, until};
use serde_json::{Value, json};
use sqlx::Connection;
use std::fmt;
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xtask::servers::Postgres;

/// How long an old socket is served on.
const DRAIN_DELAY: Duration = Duration::from_secs(2);
/// The role that the server logs in with.
const ROLE: &str = "app";
/// What a figure may differ from the start: a tenth, and for small counts what one client's connection makes.
const TOLERANCE: (f64, f64) = (0.1, 3.0);

/// How much of a storm.
#[derive(Clone, Copy)]
pub struct Force {
    /// Reloads before the start is measured: pools, arenas and caches have found their size then.
    pub warm_up: usize,
    /// Reloads, half of them invalid.
    pub reloads: usize,
    /// Requests a second on two kept connections, and on a connection each.
    pub rates: (u32, u32),
}

/// What the server holds.
#[derive(Debug, Clone, Copy)]
pub struct Holdings {
    tasks: f64,
    sockets: f64,
    descriptors: f64,
    memory_mib: f64,
    postgres: f64,
}

/// What came of it.
pub struct Figures {
    reloads: usize,
    applied: usize,
    rejected: usize,
    asked: u64,
    connections: u64,
    excused: u64,
    per_second: f64,
    calm: [Duration; 3],
    storm: [Duration; 3],
    reload: [Duration; 3],
    before: Holdings,
    after: Holdings,
}

/// The settings of one moment; each step changes one of them.
#[derive(Clone)]
struct Wanted {
    bind: String,
    certificate: usize,
    password: String,
    log: &'static str,
    workers: usize,
}

/// What is wrong with the files.
#[derive(Debug, Clone, Copy)]
enum Fault {
    HalfATable,
    UnknownKey,
    WrongPassword,
    KeyOfAnother,
    TakenPort,
    NoSuchZone,
    OtherFolder,
}

const FAULTS: [Fault; 7] = [
    Fault::HalfATable,
    Fault::UnknownKey,
    Fault::WrongPassword,
    Fault::KeyOfAnother,
    Fault::TakenPort,
    Fault::NoSuchZone,
    Fault::OtherFolder,
];

struct Storm {
    server: TestMonolith,
    postgres: Postgres,
    identities: [Identity; 2],
    addresses: Vec<String>,
    /// Somebody else's port.
    taken: TcpListener,
    whereabouts: Arc<Whereabouts>,
    admin: reqwest::Client,
    admin_url: String,
    token: String,
    wanted: Wanted,
    step: usize,
    applied: usize,
    rejected: usize,
    reload_took: Vec<u32>,
}

impl Wanted {
    fn text(&self, postgres: &Postgres, fault: Option<Fault>, taken: &str) -> String {
        let Self { bind, log, workers, .. } = self;
        let bind = if matches!(fault, Some(Fault::TakenPort)) { taken } else { bind };
        let data_dir = if matches!(fault, Some(Fault::OtherFolder)) { "elsewhere" } else { "data" };
        let zone = if matches!(fault, Some(Fault::NoSuchZone)) { "Europe/Berlim" } else { "Europe/Berlin" };
        let url = postgres.url_for(&format!("{ROLE}:${{secrets.pg}}"), "postgres");
        let mut text = format!(
            r#"[server]
bind = "{bind}"
admin_bind = "127.0.0.1:0"
data_dir = "{data_dir}"
drain_delay = "{}s"
tls = {{ cert = "tls/cert.pem", key = "tls/key.pem" }}

[secrets]
pg = {{ file = "pg_password" }}

[stores.main]
kind = "postgres"
url = "{url}"
connect_timeout = "20s"
probe = {{ timeout = "20s" }}

[stores.local]
kind = "sqlite"
url = "sqlite:data/ledger.db"

[keys]
store = "main"

[scheduler]
store = "local"

[telemetry]
log = "{log}"
"#,
            DRAIN_DELAY.as_secs()
        );
        for n in 0..10 {
            text.push_str(&format!(
                "\n[workers.w{n}]\nschedule = \"{} 3 * * *\"\ntimezone = \"{zone}\"\nrun = {{ kind = \"sql\", store = \
                 \"local\", statement = \"select {workers}\" }}\n",
                (workers + n) % 60
            ));
        }
        match fault {
            Some(Fault::HalfATable) => text.push_str("\n[workers.half\n"),
            Some(Fault::UnknownKey) => text.push_str("\n[admin]\nissuerr = \"x\"\n"),
            _ => {}
        }
        text
    }
}

impl Storm {
    async fn gather() -> Self {
        let postgres = Postgres::start_with_password_role(ROLE, "first").unwrap();
        let identities = [Identity::new(), Identity::new()];
        let addresses: Vec<String> = (1..=4).map(|n| free_port_on(&format!("127.77.0.{n}"))).collect();
        let taken = TcpListener::bind("127.77.0.9:0").unwrap();
        postgres.sql("grant all on schema public to app").unwrap();
        let wanted =
            Wanted { bind: addresses[0].clone(), certificate: 0, password: "first".into(), log: "info", workers: 0 };
        let text = wanted.text(&postgres, None, "");
        let server = monolith(&text)
            .file("profiles/test.toml", "")
            .file("pg_password", &wanted.password)
            .file("tls/cert.pem", &identities[0].cert)
            .file("tls/key.pem", &identities[0].key)
            .own_address()
            .start();
        let trusting = connector(&[&identities[0], &identities[1]], &[b"http/1.1"]);
        let whereabouts = Arc::new(Whereabouts::new(&wanted.bind, trusting, DRAIN_DELAY));
        let admin_url = format!("https://{}", address(&server, "administrators", 0).await);
        let authorities = identities.iter().map(|one| reqwest::Certificate::from_pem(one.cert.as_bytes()).unwrap());
        let admin =
            reqwest::Client::builder().tls_certs_only(authorities).timeout(PATIENCE).no_proxy().build().unwrap();
        let token = server.token("operator");
        let storm = Self {
            server,
            postgres,
            identities,
            addresses,
            taken,
            whereabouts,
            admin,
            admin_url,
            token,
            wanted,
            step: 0,
            applied: 0,
            rejected: 0,
            reload_took: Vec::new(),
        };
        until("ready", async || {
            let answer = storm.admin.get(format!("{}/health/ready", storm.admin_url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        storm
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, String) {
        let request = self.admin.request(method, format!("{}{path}", self.admin_url)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn key(&self) -> String {
        let (status, text) =
            self.ask(reqwest::Method::POST, "/api/admin/api-keys", Some(json!({"name": "storm"}))).await;
        assert_eq!(status, 201, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["key"].as_str().unwrap().to_owned()
    }

    async fn health(&self) -> Value {
        serde_json::from_str(&self.ask(reqwest::Method::GET, "/health", None).await.1).unwrap()
    }

    /// Changes one thing, or breaks one.
    async fn reload(&mut self) {
        let (turn, is_bad) = (self.step / 2, self.step % 2 == 1);
        self.step += 1;
        let fault = is_bad.then(|| FAULTS[turn % FAULTS.len()]);
        let before = self.health().await;
        if !is_bad {
            self.change(turn);
        }
        self.lay(fault);
        let began = Instant::now();
        let (status, text) = self.ask(reqwest::Method::POST, "/api/admin/config/reload", None).await;
        self.reload_took.push(u32::try_from(began.elapsed().as_micros()).unwrap());
        let after = self.health().await;
        if let Some(fault) = fault {
            assert_eq!(status, 422, "{fault:?}: {text}");
            assert_eq!(after["generation"], before["generation"], "{fault:?} changed what runs");
            assert_eq!(after["config"]["hash"], before["config"]["hash"], "{fault:?} changed what runs");
            self.rejected += 1;
        } else {
            assert_eq!(status, 200, "{text}");
            assert!(
                after["generation"].as_u64() > before["generation"].as_u64(),
                "{turn}: nothing was applied: {text}"
            );
            assert_eq!(after["config"]["disk_matches_running"], true, "{after}");
            self.applied += 1;
        }
        if !is_bad && self.whereabouts.address() != self.wanted.bind {
            self.whereabouts.move_to(&self.wanted.bind);
        }
    }

    fn change(&mut self, turn: usize) {
        let wanted = &mut self.wanted;
        match turn % 5 {
            0 => wanted.bind = self.addresses[(turn / 5 + 1) % self.addresses.len()].clone(),
            1 => wanted.certificate = 1 - wanted.certificate,
            2 => {
                wanted.password = format!("p@ss/{turn}");
                self.postgres.sql(&format!("alter role {ROLE} password '{}'", wanted.password)).unwrap();
            }
            3 => wanted.log = if wanted.log == "info" { "warn" } else { "info" },
            _ => wanted.workers += 1,
        }
    }

    /// Writes what is wanted, or something wrong instead; only what differs from what lies there.
    fn lay(&self, fault: Option<Fault>) {
        let folder = self.server.folder();
        let place = |name: &str, text: &str| {
            let file = folder.join(name);
            if fs::read_to_string(&file).unwrap() != text {
                let draft = file.with_extension("new");
                fs::write(&draft, text).unwrap();
                fs::rename(draft, file).unwrap();
            }
        };
        let identity = &self.identities[self.wanted.certificate];
        let key = if matches!(fault, Some(Fault::KeyOfAnother)) {
            &self.identities[1 - self.wanted.certificate].key
        } else {
            &identity.key
        };
        let password =
            if matches!(fault, Some(Fault::WrongPassword)) { "wrong" } else { self.wanted.password.as_str() };
        place("tls/cert.pem", &identity.cert);
        place("tls/key.pem", key);
        place("pg_password", password);
        let taken = self.taken.local_addr().unwrap().to_string();
        place("monolith.toml", &self.wanted.text(&self.postgres, fault, &taken));
    }

    async fn holdings(&self) -> Holdings {
        let process = format!("/proc/{}", self.server.pid());
        let links = fs::read_dir(format!("{process}/fd")).unwrap();
        let links: Vec<_> = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect();
        let sockets = links.iter().filter(|link| link.to_string_lossy().starts_with("socket:")).count();
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: f64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
        let (_, metrics) = self.ask(reqwest::Method::GET, "/metrics", None).await;
        let tasks = metrics.lines().find_map(|line| line.strip_prefix("monolith_tasks ")).unwrap();
        let mut superuser = sqlx::PgConnection::connect(self.postgres.url()).await.unwrap();
        let query = "select count(*) from pg_stat_activity where usename = $1";
        let postgres: i64 = sqlx::query_scalar(query).bind(ROLE).fetch_one(&mut superuser).await.unwrap();
        superuser.close().await.unwrap();
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        Holdings {
            tasks: tasks.parse().unwrap(),
            sockets: sockets as f64,
            descriptors: links.len() as f64,
            memory_mib: kib / 1024.0,
            postgres: postgres as f64,
        }
    }

    /// Whether what runs is what was wanted last.
    async fn assert_final(&self) {
        let config: Value =
            serde_json::from_str(&self.ask(reqwest::Method::GET, "/api/admin/config", None).await.1).unwrap();
        let values = &config["values"];
        assert_eq!(values["server"]["bind"], self.wanted.bind);
        assert_eq!(values["telemetry"]["log"], self.wanted.log);
        assert_eq!(values["workers"]["w0"]["run"]["statement"], format!("select {}", self.wanted.workers));
        assert_eq!(config["disk"]["matches"], true, "{config}");
        let check = crate::harness::stdout(&self.server.run(&["check"]));
        assert!(check.contains(config["hash"].as_str().unwrap()), "{check} {}", config["hash"]);
        let connector = connector(&[&self.identities[0], &self.identities[1]], &[]);
        let stream = handshake(&connector, &self.whereabouts.address()).await.unwrap();
        assert_eq!(shown(&stream), self.identities[self.wanted.certificate].der);
        assert_eq!(Raw::over(stream).get("/health/ready").await.unwrap().status, 200);
        // A change is written with the last password, which the store must have logged in with.
        self.key().await;
    }
}

/// Makes a storm. Every promise is asserted; the figures are for people.
pub async fn storm(force: Force) -> Figures {
    let mut storm = Storm::gather().await;
    let key = storm.key().await;
    let load = Load::begin(&storm.whereabouts, &key, force.rates.0, force.rates.1);
    for _ in 0..force.warm_up {
        storm.reload().await;
    }
    let before = storm.settled(None).await;
    load.tally.took();
    let calm_until = Instant::now() + Duration::from_secs(3);
    until("three calm seconds", async || (Instant::now() >= calm_until).then_some(())).await;
    let calm = load.tally.took();
    (storm.applied, storm.rejected) = (0, 0);
    storm.reload_took.clear();
    let (began, asked) = (Instant::now(), load.tally.asked());
    for _ in 0..force.reloads {
        storm.reload().await;
    }
    if storm.step % 2 == 0 {
        // The last one was invalid: the files are put right, and that is nothing new.
        storm.reload().await;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    let per_second = (load.tally.asked() - asked) as f64 / began.elapsed().as_secs_f64();
    let stormy = load.tally.took();
    let after = storm.settled(Some(before)).await;
    storm.assert_final().await;
    let tally = load.end().await;
    let (failed, words) = tally.failures();
    assert_eq!(failed, 0, "of {}: {words:#?}\n{}", tally.asked(), storm.server.log());
    Figures {
        reloads: storm.applied + storm.rejected,
        applied: storm.applied,
        rejected: storm.rejected,
        asked: tally.asked(),
        connections: tally.connections(),
        excused: tally.excused(),
        per_second,
        calm,
        storm: stormy,
        reload: quantiles(&mut storm.reload_took),
        before,
        after,
    }
}

impl Storm {
    /// What is held once everything that retires is gone, and with `start` once that is what it was then.
    async fn settled(&self, start: Option<Holdings>) -> Holdings {
        let quiet = Instant::now() + DRAIN_DELAY * 2;
        let give_up = Instant::now() + PATIENCE * 2;
        loop {
            until("everybody is gone", async || (Instant::now() >= quiet).then_some(())).await;
            let now = self.holdings().await;
            let near = |was: f64, is: f64| (is - was).abs() <= (was * TOLERANCE.0).max(TOLERANCE.1);
            match start {
                None => return now,
                Some(start) if now.pairs(&start).all(|(is, was)| near(was, is)) => return now,
                Some(start) => {
                    assert!(Instant::now() < give_up, "something was left behind: from {start:?} to {now:?}");
                    let look_again = Instant::now() + Duration::from_millis(500);
                    until("another look", async || (Instant::now() >= look_again).then_some(())).await;
                }
            }
        }
    }
}

impl Holdings {
    const fn all(&self) -> [f64; 5] {
        [self.tasks, self.sockets, self.descriptors, self.memory_mib, self.postgres]
    }

    fn pairs(&self, other: &Self) -> impl Iterator<Item = (f64, f64)> {
        self.all().into_iter().zip(other.all())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reloads, applied, rejected, asked, connections, excused, per_second, .. } = self;
        writeln!(f, "{reloads} reloads ({applied} applied, {rejected} rejected), 0 failed of {asked} requests")?;
        writeln!(f, "{per_second:.0} requests/s on {connections} connections, {excused} looked for the new address")?;
        for (what, [half, most, all]) in [("calm verify", self.calm), ("verify", self.storm), ("reload", self.reload)] {
            writeln!(f, "{what:<12} p50 {half:>8.2?}  p99 {most:>8.2?}  max {all:>8.2?}")?;
        }
        let names = ["tasks", "sockets", "descriptors", "RSS (MiB)", "Postgres"];
        for (name, (before, after)) in names.iter().zip(self.before.pairs(&self.after)) {
            writeln!(f, "{name:<12} {before:>6.1} -> {after:>6.1}")?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_a_storm_of_reloads_and_nothing_is_left_behind() {
    storm(Force { warm_up: 12, reloads: 40, rates: (200, 20) }).await;
}
