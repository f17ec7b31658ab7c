//! Which running server a command means, and with which token it asks.
//! A server that is named needs no configuration: the command works with a broken file.

use super::report::Failure;
use crate::auth::dev;
use crate::clock::Timestamp;
use crate::config::{self, Sources};
use crate::settings::{self, Settings};
use clap::Args;
use monolith_client::{Client, Token, Trust};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Which server, and with which token.
#[derive(Debug, Default, Args)]
pub(super) struct Server {
    /// The server's address [default: server.admin_bind of the configuration, else server.bind].
    #[arg(value_name = "URL")]
    pub(super) url: Option<String>,
    /// A file with the token [default: MONOLITH_TOKEN, else data/dev.token].
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// A PEM file with an authority, or the server's very certificate, to be trusted beside the system's.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
}

impl Server {
    /// A client without a token.
    pub(super) fn anonymous(&self, sources: &Sources) -> Result<Client, Failure> {
        let (url, trust) = self.place(sources)?;
        Ok(Client::trusting(&url, &trust)?)
    }

    /// A client for a question that holds no secret and whose answer only says whether anybody is there. The server of
    /// the own configuration may show it whatever certificate it has: it is hardly made out to 127.0.0.1.
    pub(super) fn prober(&self, sources: &Sources) -> Result<Client, Failure> {
        let (url, trust) = self.place(sources)?;
        let trust = if self.url.is_none() && self.ca_file.is_none() { Trust::Anybody } else { trust };
        Ok(Client::trusting(&url, &trust)?)
    }

    /// Where the server is, and whose certificate it may show.
    fn place(&self, sources: &Sources) -> Result<(String, Trust), Failure> {
        let given = self.ca_file.as_ref().map(|file| {
            let unreadable = |error| Failure::failed(format!("the CA file {} cannot be read: {error}", file.display()));
            fs::read(file).map(Trust::Also).map_err(unreadable)
        });
        let given = given.transpose()?;
        let Some(url) = &self.url else {
            let (settings, own) = settings_of(sources)?;
            let own = own.map_or(Trust::System, Trust::Also);
            return Ok((address(&settings), given.unwrap_or(own)));
        };
        Ok((url.clone(), given.unwrap_or(Trust::System)))
    }

    /// A client with the token of this command.
    pub(super) fn with_token(&self, sources: &Sources) -> Result<Client, Failure> {
        let text = self.token(sources)?;
        let token = Token::parse(&text).map_err(Failure::failed)?;
        Ok(self.anonymous(sources)?.with_token(token))
    }

    fn token(&self, sources: &Sources) -> Result<String, Failure> {
        if let Some(file) = &self.token_file {
            return fs::read_to_string(file).map_err(|error| {
                Failure::failed(format!("the token file {} cannot be read: {error}", file.display()))
            });
        }
        if let Some(token) = sources.environment.text("MONOLITH_TOKEN").filter(|token| !token.is_empty()) {
            return Ok(token.to_owned());
        }
        let loaded = config::load(sources);
        let data_dir = loaded.written.as_ref().map_or("data", |written| written.server.data_dir.as_str());
        let file = dev::token_file(&loaded.base_dir.join(data_dir));
        fs::read_to_string(&file).map_err(|error| {
            let why =
                if error.kind() == io::ErrorKind::NotFound { "is not there".to_owned() } else { error.to_string() };
            Failure::failed(format!("there is no token: MONOLITH_TOKEN is not set, and {} {why}", file.display()))
                .hint("export MONOLITH_TOKEN=$(monolith token create me --role operator)")
        })
    }
}

/// The own configuration, and the certificate that the server shows by it.
fn settings_of(sources: &Sources) -> Result<(Settings, Option<Vec<u8>>), Failure> {
    let loaded = config::load(sources);
    let (settings, _) = settings::compile(&loaded, Timestamp::now()).map_err(|problems| {
        Failure::configuration(&problems).hint("or name the server: its URL needs no configuration")
    })?;
    Ok((settings, loaded.pem.map(|pem| pem.cert)))
}

/// Where a server with these settings is asked from the same machine.
fn address(settings: &Settings) -> String {
    let mut bind = settings.server.admin_bind.unwrap_or(settings.server.bind);
    if bind.ip().is_unspecified() {
        bind.set_ip(if bind.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("{}://{bind}", settings.server.scheme())
}
