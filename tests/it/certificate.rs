//! Certificates of the test's own making, and handshakes by hand: a client library would hide what is shown.
//! They vouch for nobody but themselves.

use crate::harness::PATIENCE;
use jiff::{ToSpan, Zoned};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for this machine, signed by itself.
pub struct Identity {
    pub cert: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Identity {
    pub fn new() -> Self {
        Self::expiring_in(365)
    }

    /// One that expires so many days from now, or did so before.
    pub fn expiring_in(days: i64) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let end = Zoned::now() + days.days();
        let begin = &end - 400.days();
        let day = |date: &Zoned| {
            let (year, month, day) = (date.year(), date.month(), date.day());
            rcgen::date_time_ymd(year.into(), month.try_into().unwrap(), day.try_into().unwrap())
        };
        (params.not_before, params.not_after) = (day(&begin), day(&end));
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self { cert: cert.pem(), key: key.serialize_pem(), der: cert.der().clone() }
    }

    /// Lays it beside the base file, as an operator does: written beside, then renamed.
    pub fn lay_into(&self, folder: &Path) {
        fs::create_dir_all(folder.join("tls")).unwrap();
        for (name, text) in [("key.pem", &self.key), ("cert.pem", &self.cert)] {
            let draft = folder.join("tls").join(format!("{name}.new"));
            fs::write(&draft, text).unwrap();
            fs::rename(draft, folder.join("tls").join(name)).unwrap();
        }
    }
}

/// Makes handshakes with whoever shows one of these certificates.
pub fn connector(trusted: &[&Identity], alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for identity in trusted {
        roots.add(identity.der.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub async fn handshake(connector: &TlsConnector, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    tokio::time::timeout(PATIENCE, connector.connect(name, stream)).await.expect("a handshake within the limit")
}

pub fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}
