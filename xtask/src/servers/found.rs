//! In which order a server of a whole test run is looked for, and what is told when there is none.
//! It never hands on an address at which nothing answers.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::stand_in::StandIn;
use super::{Kind, Mongo, Postgres, Redis, STAND_IN_VARIABLE, Server, machine, mongo, postgres, redis, wire};
use crate::bounded;

/// Pulling an image over a slow line included.
const COMPOSE_LIMIT: Duration = Duration::from_secs(5 * 60);

/// A server for the whole run. On drop, what was started for it is stopped.
#[derive(Debug)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Where it listens, as its drivers read it.
    pub url: String,
    /// Its version, `?` where it does not tell strangers.
    pub version: String,
    /// How it was found, in words.
    pub how: String,
    /// Whether it only stands in for a MongoDB.
    pub stand_in: bool,
    _held: Held,
}

/// What keeps it running.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
enum Held {
    Elsewhere,
    Postgres(Postgres),
    Redis(Redis),
    Mongo(Mongo),
    Compose(Compose),
}

/// A server that could not be had, with everything that was tried.
#[derive(Debug)]
pub struct Missing {
    kind: Kind,
    tried: Vec<String>,
}

/// Finds or starts all three; `tell` hears of what takes longer.
pub fn found(tell: &dyn Fn(&str)) -> (Vec<Found>, Vec<Missing>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        match find(kind, tell) {
            Ok(server) => found.push(server),
            Err(reason) => missing.push(reason),
        }
    }
    (found, missing)
}

/// Finds or starts one: by its variable, a program here, Docker, a Debian package, and for MongoDB the stand-in.
///
/// # Errors
/// When none of the ways works. A variable that is set is an order: then no other way is tried.
pub fn find(kind: Kind, tell: &dyn Fn(&str)) -> Result<Found, Missing> {
    if let Some(url) = kind.given_url() {
        return given(kind, url).map_err(|error| Missing { kind, tried: vec![format!("{error:#}")] });
    }
    let mut tried = Vec::new();
    for way in [by_program, by_docker, by_package, by_stand_in] {
        match way(kind, tell) {
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) => tried.push(format!("{error:#}")),
            None => {}
        }
    }
    Err(Missing { kind, tried })
}

fn given(kind: Kind, url: String) -> Result<Found> {
    let variable = kind.variable();
    let version = answers(kind, &url).with_context(|| format!("{variable} is set"))?;
    let stand_in = kind == Kind::Mongo && std::env::var_os(STAND_IN_VARIABLE).is_some_and(|said| said == "1");
    let version = version.unwrap_or_else(|| "?".to_owned());
    Ok(Found { kind, url, version, how: format!("given by {variable}"), stand_in, _held: Held::Elsewhere })
}

fn by_program(kind: Kind, _: &dyn Fn(&str)) -> Option<Result<Found>> {
    let program = match kind {
        Kind::Postgres => postgres::binaries()?.join("postgres"),
        Kind::Redis => redis::binary()?,
        Kind::Mongo => mongo::binary()?,
    };
    let held = match kind {
        Kind::Postgres => Postgres::start().map(Held::Postgres),
        Kind::Redis => Redis::start().map(Held::Redis),
        Kind::Mongo => Mongo::start().map(Held::Mongo),
    };
    Some(held.map(|held| Found {
        kind,
        url: held.server().map(|server| server.url().to_owned()).unwrap_or_default(),
        version: machine::version(&program, "--version"),
        how: format!("started {}", program.display()),
        stand_in: false,
        _held: held,
    }))
}

fn by_docker(kind: Kind, tell: &dyn Fn(&str)) -> Option<Result<Found>> {
    if !machine::docker_answers() {
        return None;
    }
    tell(&format!("starting {} in Docker", kind.name()));
    Some(Compose::up(kind).and_then(|held| {
        let url = match kind {
            Kind::Postgres => "postgres://test:test@127.0.0.1:5432/test_db",
            Kind::Redis => "redis://127.0.0.1:6379",
            Kind::Mongo => "mongodb://127.0.0.1:27017",
        };
        let version = answers(kind, url)?.unwrap_or_else(|| "?".to_owned());
        let how = "runs in Docker, from docker-compose.test.yml".to_owned();
        Ok(Found { kind, url: url.to_owned(), version, how, stand_in: false, _held: held })
    }))
}

fn by_package(kind: Kind, tell: &dyn Fn(&str)) -> Option<Result<Found>> {
    let package = match kind {
        Kind::Postgres => "postgresql",
        Kind::Redis => "redis-server",
        Kind::Mongo => return None, // Debian has none
    };
    if !machine::may_install() {
        return None;
    }
    tell(&format!("installing the Debian package {package}"));
    let installed = machine::install(&[package]).with_context(|| format!("cannot install {package}"));
    Some(installed.and_then(|()| by_program(kind, tell).unwrap_or_else(|| Err(anyhow!("{package} brought no server")))))
}

fn by_stand_in(kind: Kind, tell: &dyn Fn(&str)) -> Option<Result<Found>> {
    (kind == Kind::Mongo).then(|| {
        tell("no mongod here: looking for the stand-in nx-27017");
        if machine::may_install() && !machine::has_venv() {
            machine::install(&["python3", "python3-venv"])?;
        }
        let stand_in = StandIn::install()?;
        let mongo = Mongo::start_stand_in(&stand_in)?;
        Ok(Found {
            kind,
            url: mongo.url().to_owned(),
            version: format!("nx-27017 {}", stand_in.version()),
            how: "started the stand-in: MongoDB's wire protocol on SQLite, not a real mongod".to_owned(),
            stand_in: true,
            _held: Held::Mongo(mongo),
        })
    })
}

/// Asks the server behind a URL for its version. One that is reached by TLS is only dialled.
fn answers(kind: Kind, url: &str) -> Result<Option<String>> {
    let Some(address) = Address::of(kind, url) else {
        return Ok(None);
    };
    let answer = match kind {
        Kind::Postgres => wire::Postgres::connect(&address.host_and_port, &address.user, &address.database)
            .map(|connection| connection.version),
        Kind::Redis => wire::redis(&address.host_and_port),
        Kind::Mongo => wire::mongo(&address.host_and_port),
    };
    answer.with_context(|| format!("cannot use the {} at {}", kind.name(), address.host_and_port))
}

/// What a URL says, as far as it takes to knock.
struct Address {
    host_and_port: String,
    user: String,
    database: String,
}

impl Address {
    /// None where knocking takes more than one plain connection: TLS and service records.
    fn of(kind: Kind, url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if matches!(scheme, "rediss" | "mongodb+srv") {
            return None;
        }
        let (authority, path) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let host = hosts.split(',').next().unwrap_or_default();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = match kind {
            Kind::Postgres => 5432,
            Kind::Redis => 6379,
            Kind::Mongo => 27017,
        };
        let user = login.split(':').next().filter(|user| !user.is_empty()).unwrap_or("postgres").to_owned();
        let database = path.split('?').next().filter(|name| !name.is_empty()).unwrap_or(&user).to_owned();
        let host_and_port = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        Some(Self { host_and_port, user, database })
    }
}

impl Held {
    fn server(&self) -> Option<&Server> {
        match self {
            Self::Postgres(server) => Some(server),
            Self::Redis(server) => Some(server),
            Self::Mongo(server) => Some(server),
            Self::Elsewhere | Self::Compose(_) => None,
        }
    }
}

/// One service of `docker-compose.test.yml`, up until it is dropped.
#[derive(Debug)]
struct Compose {
    service: &'static str,
}

impl Compose {
    /// A service that somebody started before stays theirs.
    fn up(kind: Kind) -> Result<Held> {
        let service = kind.name();
        let running = bounded::output(Self::command().args(["ps", "--quiet", service]), COMPOSE_LIMIT)?;
        // Made before `up`, so that a service that came up half is taken down.
        let compose = running.trim().is_empty().then_some(Self { service });
        bounded::output(Self::command().args(["up", "--wait", "--detach", service]), COMPOSE_LIMIT)?;
        Ok(compose.map_or(Held::Elsewhere, Held::Compose))
    }

    fn command() -> Command {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docker-compose.test.yml");
        let mut command = Command::new("docker");
        command.arg("compose").arg("--file").arg(file);
        command
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        let mut down = Self::command();
        down.args(["rm", "--stop", "--force", "--volumes", self.service]);
        bounded::output(&mut down, COMPOSE_LIMIT).ok();
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, variable) = (self.kind.name(), self.kind.variable());
        write!(f, "{name} not found")?;
        for reason in &self.tried {
            write!(f, "; {reason}")?;
        }
        if self.kind.given_url().is_some() {
            return write!(f, "\nhint: correct {variable}, or unset it to have a server found or started");
        }
        let program = match self.kind {
            Kind::Postgres => "install PostgreSQL (Debian: apt-get install postgresql)",
            Kind::Redis => "install redis-server (Debian: apt-get install redis-server)",
            Kind::Mongo => "install mongod, or python3 with venv for the stand-in",
        };
        write!(f, "\nhint: set {variable}, or {program}, or start a Docker engine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(kind: Kind, url: &str) -> (String, String, String) {
        let address = Address::of(kind, url).unwrap();
        (address.host_and_port, address.user, address.database)
    }

    #[test]
    fn a_url_says_where_to_knock() {
        let owned = |host: &str, user: &str, database: &str| (host.to_owned(), user.to_owned(), database.to_owned());
        assert_eq!(
            address(Kind::Postgres, "postgres://test:p@ss@127.0.0.1:5432/test_db?sslmode=disable"),
            owned("127.0.0.1:5432", "test", "test_db")
        );
        assert_eq!(address(Kind::Postgres, "postgres://db"), owned("db:5432", "postgres", "postgres"));
        assert_eq!(address(Kind::Redis, "redis://:pw@[::1]").0, "[::1]:6379");
        assert_eq!(address(Kind::Mongo, "mongodb://a:1,b:2/app").0, "a:1");
        assert!(Address::of(Kind::Mongo, "mongodb+srv://cluster.example").is_none());
    }

    #[test]
    fn a_missing_server_says_how_to_provide_it() {
        let missing = Missing { kind: Kind::Redis, tried: vec!["cannot install redis-server".to_owned()] };
        let said = missing.to_string();
        assert!(said.contains("MONOLITH_TEST_REDIS_URL") && said.contains("cannot install"), "{said}");
    }
}
