//! TLS with two real certificates: which one is shown, when it changes, and what is said of a wrong one.
//! A handshake is made by hand where a client library would hide the certificate.

use crate::certificate::{Identity, connector, handshake, shown};
use crate::harness::{Builder, TestMonolith, monolith, stderr, stdout};
use crate::raw::Raw;
use crate::sockets::{address, addresses, until};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::fs;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const BASE: &str = "[server]\nbind = \"127.0.0.1:0\"\ntls = { cert = \"tls/cert.pem\", key = \"tls/key.pem\" }\n";

fn with(identity: &Identity) -> Builder {
    let builder = monolith(BASE).file("profiles/test.toml", "").own_address();
    builder.file("tls/cert.pem", &identity.cert).file("tls/key.pem", &identity.key)
}

async fn ready(server: &TestMonolith, connector: &TlsConnector) -> String {
    let address = address(server, "clients", 0).await;
    until("ready", async || {
        let mut raw = Raw::over(handshake(connector, &address).await.ok()?);
        (raw.get("/health/ready").await.ok()?.status == 200).then_some(())
    })
    .await;
    address
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_whoever_comes_next() {
    let (old, new) = (Identity::new(), Identity::new());
    let server = with(&old).start();
    assert!(server.url().starts_with("https://127.0.0.1:"), "{}", server.url());
    let connector = connector(&[&old, &new], &[b"http/1.1"]);
    let address = ready(&server, &connector).await;
    let stream = handshake(&connector, &address).await.unwrap();
    assert_eq!(shown(&stream), old.der);
    let mut kept = Raw::over(stream);
    assert_eq!(kept.get("/health").await.unwrap().json()["generation"], 1);

    new.lay_into(server.folder());
    until("the new certificate is shown", async || {
        (shown(&handshake(&connector, &address).await.ok()?) == new.der).then_some(())
    })
    .await;
    let reply = kept.get("/health").await.unwrap();
    assert_eq!((reply.status, reply.closes), (200, false), "whoever was connected goes on");
    assert_eq!(reply.json()["generation"], 2);
    assert_eq!(addresses(&server, "clients").len(), 1, "the socket was not touched");
}

#[tokio::test]
async fn both_protocols_are_offered_and_the_newer_one_first() {
    let identity = Identity::new();
    let server = with(&identity).start();
    let both = connector(&[&identity], &[b"http/1.1", b"h2"]);
    let address = ready(&server, &connector(&[&identity], &[])).await;
    let stream = handshake(&both, &address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let stream = handshake(&connector(&[&identity], &[b"http/1.1"]), &address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
}

#[tokio::test]
async fn a_certificate_without_its_key_changes_nothing_and_is_named() {
    let (old, new) = (Identity::new(), Identity::new());
    let server = with(&old).start();
    let connector = connector(&[&old, &new], &[]);
    let address = ready(&server, &connector).await;
    fs::write(server.folder().join("tls/cert.pem"), &new.cert).unwrap();
    let config = until("the reload is rejected", async || {
        let mut raw = Raw::over(handshake(&connector, &address).await.ok()?);
        let health = raw.get("/health").await.ok()?.json();
        (health["config"]["last_reload"]["outcome"] == "rejected").then_some(health)
    })
    .await;
    assert_eq!((&config["generation"], &config["status"]), (&1.into(), &"degraded".into()));
    assert_eq!(shown(&handshake(&connector, &address).await.unwrap()), old.der);
    assert!(
        server.log().contains(
            "monolith.toml:3:38: server.tls.key: the private key in tls/key.pem does not belong to the certificate in \
             tls/cert.pem"
        ),
        "{}",
        server.log()
    );
}

#[tokio::test]
async fn whoever_dawdles_with_a_handshake_holds_up_nobody_and_is_let_go() {
    let identity = Identity::new();
    let base = format!("{BASE}header_timeout = \"1s\"\n");
    let server = with(&identity).file("monolith.toml", &base).start();
    let connector = connector(&[&identity], &[]);
    let address = ready(&server, &connector).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(Raw::open(&address).await.unwrap());
    }
    assert!(handshake(&connector, &address).await.is_ok());
    for mut raw in silent {
        raw.closed().await.expect("server.header_timeout bounds the handshake");
    }
}

#[test]
fn everything_that_can_be_wrong_with_a_certificate_is_told_by_check() {
    let (one, other) = (Identity::new(), Identity::new());
    let check = |cert: Option<&str>, key: Option<&str>| {
        let mut server = monolith(BASE);
        for (path, text) in [("tls/cert.pem", cert), ("tls/key.pem", key)] {
            if let Some(text) = text {
                server = server.file(path, text);
            }
        }
        let output = server.run(&["check"]);
        format!("exit {}\n{}", output.status.code().unwrap(), stderr(&output))
    };
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let cut_off = one.cert.split_at(one.cert.len() / 2).0;
    let odd = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let told = [
        ("no files", check(None, None)),
        ("not PEM", check(Some("hello"), Some("hello"))),
        ("cut off", check(Some(cut_off), Some(&one.key))),
        ("not a certificate", check(Some(odd), Some(&one.key))),
        ("swapped", check(Some(&one.key), Some(&one.cert))),
        ("an encrypted key", check(Some(&one.cert), Some(encrypted))),
        ("the key of another", check(Some(&one.cert), Some(&other.key))),
        ("fine", check(Some(&one.cert), Some(&one.key))),
    ];
    let text = told.map(|(what, said)| format!("--- {what}\n{said}")).join("\n");
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_certificate_that_expires_is_told_before_and_after() {
    let (soon, gone) = (Identity::expiring_in(5), Identity::expiring_in(-5));
    let server = with(&soon).start();
    let connector = connector(&[&soon], &[]);
    let address = ready(&server, &connector).await;
    let token = server.token("viewer");
    let findings = async |wanted: &str| {
        until(wanted, async || {
            let mut raw = Raw::over(blind(&address).await);
            let ask = format!("GET /health HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {token}\r\n\r\n");
            raw.send(&ask).await.ok()?;
            let health = raw.reply().await.ok()?.json();
            health["findings"].as_array()?.iter().find(|finding| finding["code"] == wanted).cloned()
        })
        .await
    };
    let finding = findings("certificate_expires").await;
    assert_eq!((&finding["severity"], &finding["subject"]), (&"warning".into(), &"server.tls".into()));
    gone.lay_into(server.folder());
    let finding = findings("certificate_expired").await;
    assert_eq!(finding["severity"], "error", "{finding}");
    let output = server.run(&["check"]);
    assert!(output.status.success() && stderr(&output).contains("the certificate in tls/cert.pem expired at "));
}

/// A connection to whoever is there, as a client that does not look.
async fn blind(address: &str) -> TlsStream<TcpStream> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Blind(provider))).with_no_client_auth();
    handshake(&TlsConnector::from(Arc::new(config)), address).await.unwrap()
}

#[derive(Debug)]
struct Blind(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[tokio::test]
async fn a_command_trusts_the_authority_that_it_is_given() {
    let identity = Identity::new();
    let server = with(&identity).start();
    let address = ready(&server, &connector(&[&identity], &[])).await;
    let (url, token) = (format!("https://{address}"), server.token("operator"));
    fs::write(server.folder().join("token"), token).unwrap();
    let refused = server.run(&["smoke", &url, "--token-file", "token"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(stderr(&refused).contains("--ca-file"), "{}", stderr(&refused));
    let passed = server.run(&["smoke", &url, "--token-file", "token", "--ca-file", "tls/cert.pem"]);
    assert!(passed.status.success() && stdout(&passed).contains("passed"), "{passed:?}");
    // What is in its own configuration a command need not be told.
    let port = address.rsplit(':').next().unwrap();
    let alive = server.run(&["healthcheck", "--set", &format!("server.bind=127.0.0.1:{port}")]);
    assert!(alive.status.success(), "{alive:?}");
    let passed = server.run(&["smoke", "--token-file", "token", "--set", &format!("server.bind=127.0.0.1:{port}")]);
    assert!(passed.status.success(), "{passed:?}");
}
