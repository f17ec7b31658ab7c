//! `cargo bench --bench storm [-- RELOADS]`: a thousand reloads, good and bad by turns, under 2,000 requests a second,
//! on the release binary with a Postgres of its own. Fails at the first broken promise; the figures are for people.
#![expect(unreachable_pub, reason = "nothing outside of a bench could reach anything")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says so by a panic")]
#![expect(clippy::print_stdout, reason = "it talks to whoever sits at the shell")]
#![allow(dead_code, reason = "the rooms are shared with the tests, which use more of them")]

#[path = "../tests/it/certificate.rs"]
mod certificate; // certificates of its own making
#[path = "../tests/it/harness.rs"]
mod harness; // starts the real binary
#[path = "../tests/it/load.rs"]
mod load; // clients without mercy
#[path = "../tests/it/raw.rs"]
mod raw; // one connection by hand
#[path = "../tests/it/sockets.rs"]
mod sockets; // where it listens
#[path = "../tests/it/storm.rs"]
mod storm; // the reloads

use storm::Force;

fn main() {
    let reloads = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let force = Force { warm_up: 100, reloads, rates: (1900, 100) };
    println!("{}", runtime.block_on(storm::storm(force)));
}
