//! `monolith audit`: whether the chain of recorded changes holds, read from where it is kept and not from a server.
//! It changes nothing.

use super::report::{self, Failure};
use crate::audit::{Head, chain};
use crate::clock::Timestamp;
use crate::config::{self, Sources};
use crate::settings::{self, Home, stores};
use crate::store::{Store, StoreError};
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Follow the chain from its beginning to its end and name the first entry that does not fit; exit code 1 then.
    #[command(
        after_help = "Example:\n  monolith audit verify --expect \"$(cat last-audit-head)\" > audit-head && mv audit-head last-audit-head\n\n\
                            Whoever can write to the database can make a whole new chain: keep the printed end elsewhere, and \
                            expect it the next time."
    )]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The end that an earlier run printed; the chain must still hold it.
    #[arg(long, value_name = "SEQ:HASH", value_parser = head)]
    expect: Option<Head>,
}

impl Audit {
    pub(super) fn run(&self, sources: &Sources) -> Result<ExitCode, Failure> {
        let Self::Verify(verify) = self;
        super::install_cryptography();
        let loaded = config::load(&super::with_commands(sources));
        let (settings, _) =
            settings::compile(&loaded, Timestamp::now()).map_err(|problems| Failure::configuration(&problems))?;
        let Home::Store(name) = &settings.keys.store else {
            return Err(Failure::failed("the keys and their audit are kept in the memory of a server (keys.store)")
                .hint("ask it: GET /api/admin/audit"));
        };
        let declared = settings.stores.get(name).ok_or_else(|| Failure::failed(format!("there is no store {name}")))?;
        let proof = super::runtime()?.block_on(verify.prove(Arc::clone(declared)));
        told(proof.map_err(|error| Failure::failed(format!("the store {name} {error}")))?)
    }
}

impl Verify {
    async fn prove(&self, declared: Arc<stores::Store>) -> Result<chain::Proof, StoreError> {
        let database = Store::open(declared)?.database();
        let database = database.ok_or_else(|| StoreError::Unexpected("keeps no keys".into()))?;
        chain::prove(&database, self.expect).await
    }
}

fn told(proof: chain::Proof) -> Result<ExitCode, Failure> {
    match proof {
        chain::Proof::Holds(end) => {
            report::data(write(end));
            report::words(format_args!("the chain holds: {} entries\n", end.seq));
            Ok(ExitCode::SUCCESS)
        }
        chain::Proof::Broken(broken) => Err(Failure::failed(format!("the chain is broken at {broken}"))),
    }
}

fn write(head: Head) -> String {
    let digits: String = head.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{digits}", head.seq)
}

fn head(text: &str) -> Result<Head, String> {
    let parsed = || {
        let (seq, digits) = text.trim().split_once(':')?;
        let mut hash = [0; 32];
        let pairs = digits.as_bytes().chunks_exact(2);
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(pairs) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Head { seq: seq.parse().ok()?, hash })
    };
    parsed().ok_or_else(|| "write it as an earlier run printed it: a number, a colon, 64 hexadecimal digits".to_owned())
}
