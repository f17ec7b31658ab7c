//! `monolith smoke`: the original's smoke run on a running server. Health, metrics, and a key's whole life: created,
//! listed, verified, revoked, refused. It leaves nothing behind but one revoked key.

use super::report::{self, Failure};
use super::server::Server;
use crate::config::Sources;
use clap::Args;
use monolith_client::Client;
use monolith_client::wire::{CreateKey, HealthStatus, KeysQuery, VerifyCode, VerifyKey};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The name of the key that is made and revoked.
const NAME: &str = "smoke";
/// It could not be forgotten for longer than this.
const TTL: &str = "5m";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  monolith smoke\n  monolith smoke https://monolith.example.com --token-file token")]
pub(super) struct Smoke {
    #[command(flatten)]
    server: Server,
}

impl Smoke {
    pub(super) fn run(&self, sources: &Sources) -> Result<ExitCode, Failure> {
        super::install_cryptography();
        let client = self.server.with_token(sources)?;
        super::runtime()?.block_on(all(&client))?;
        report::data(format_args!("passed: {}", client.base_url()));
        Ok(ExitCode::SUCCESS)
    }
}

async fn all(client: &Client) -> Result<(), Failure> {
    health(client).await?;
    let metrics = client.metrics_text().await?;
    expect(metrics.contains("monolith_build_info{"), "the metrics hold monolith_build_info")?;
    step("metrics", &format!("{} lines", metrics.lines().count()));
    let me = client.whoami().await?;
    step("token", &format!("{} ({})", me.sub, me.role));
    key(client).await
}

async fn health(client: &Client) -> Result<(), Failure> {
    let health = client.health().await?;
    expect(health.status != HealthStatus::Down, "the server is not down")?;
    expect(client.live().await?, "/health/live answers 200")?;
    expect(client.ready().await?, "/health/ready answers 200")?;
    let stores: Vec<String> = health.stores.iter().map(|(name, state)| format!("{name} {state}")).collect();
    step("health", &format!("{}, generation {}, {}", health.status, health.generation, stores.join(", ")));
    Ok(())
}

async fn key(client: &Client) -> Result<(), Failure> {
    let wanted = CreateKey {
        name: NAME.into(),
        owner: Some("monolith smoke".into()),
        scopes: vec!["smoke:test".into()],
        ttl: Some(TTL.into()),
        metadata: BTreeMap::new(),
        ..CreateKey::default()
    };
    let issued = client.create_key(&wanted, None).await?;
    let kid = issued.record.kid;
    let key = issued.key.ok_or_else(|| Failure::failed("the new key was not told"))?;
    step("create", &kid);

    let query = KeysQuery { q: Some(NAME.into()), limit: Some(500), ..KeysQuery::default() };
    let listed = client.keys(&query).await?.items.iter().any(|key| key.kid == kid);
    expect(listed, "the new key is listed")?;
    step("list", "found");

    let question = VerifyKey { key, policy: None, scopes: Some(vec!["smoke:test".into()]), ip: None };
    let verdict = client.verify(&question).await?;
    expect(verdict.valid && verdict.kid.as_ref() == Some(&kid), "the new key is valid")?;
    step("verify", "valid");

    let receipt = client.revoke_key(&kid, Some("smoke")).await?;
    step("revoke", &format!("{} of {} replicas know", receipt.replicas_acked, receipt.replicas_known));

    let verdict = client.verify(&question).await?;
    expect(!verdict.valid && verdict.code == VerifyCode::Revoked, "the revoked key is refused")?;
    step("refused", verdict.code.as_str());
    Ok(())
}

fn step(name: &str, found: &str) {
    report::data(format_args!("ok  {name:<8} {found}"));
}

fn expect(holds: bool, what: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::failed(format!("not so: {what}"))) }
}
