//! Where a server listens, as its log says: addresses end in port 0, so that the system chooses each port.
//! Waiting is for a condition, with the limit of the harness.

use crate::harness::{PATIENCE, TestMonolith};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// The addresses that were bound for somebody so far, oldest first.
pub fn addresses(server: &TestMonolith, whom: &str) -> Vec<String> {
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("listening on ") && line.contains(&format!(" for {whom}")));
    lines.map(|line| line.split("listening on ").nth(1).unwrap().split(' ').next().unwrap().to_owned()).collect()
}

/// Asks until a condition holds; the limit is the harness' own.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < give_up, "it never came to this: {what}");
    }
}

/// The address bound as the `n`th for somebody, once it is.
pub async fn address(server: &TestMonolith, whom: &str, n: usize) -> String {
    until(&format!("address {n} for {whom}"), async || addresses(server, whom).get(n).cloned()).await
}

/// A port that nobody has on an address that only this test uses.
pub fn free_port_on(ip: &str) -> String {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().to_string()
}
