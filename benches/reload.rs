//! `cargo bench --bench reload`: from the rename of a file with 1,000 workers to the first answer of the new
//! generation, on the release binary: p50 and p99 over 200 reloads. The bound is p99 <= 250 ms.
#![expect(unreachable_pub, reason = "nothing outside of a bench could reach anything")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says so by a panic")]
#![expect(clippy::print_stdout, reason = "it talks to whoever sits at the shell")]
#![allow(dead_code, reason = "the rooms are shared with the tests, which use more of them")]

#[path = "../tests/it/harness.rs"]
mod harness; // starts the real binary
#[path = "../tests/it/raw.rs"]
mod raw; // one connection by hand

use harness::{TestMonolith, monolith};
use raw::Raw;
use std::fs;
use std::time::{Duration, Instant};

const WORKERS: usize = 1000;
const RELOADS: usize = 200;
/// From one look at the generation to the next; the times are that much too long at most.
const LOOK: Duration = Duration::from_millis(2);
const BOUND: Duration = Duration::from_millis(250);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = monolith(&text(0, 0)).ready().await;
        let mut generation = 1;
        let one = series(&server, &mut generation, |n| text(n, 1)).await;
        told("one worker changes", one);
        let all = series(&server, &mut generation, |n| text(n, WORKERS)).await;
        told("all workers change", all);
        assert!(one[1] <= BOUND, "p99 is above {BOUND:?}");
    });
}

/// A file whose first `changed` workers differ from that of another `n`.
fn text(n: usize, changed: usize) -> String {
    let mut text = "[stores.main]\nkind = \"sqlite\"\nurl = \"sqlite:data/monolith.db\"\n\n[keys]\nstore = \
                    \"main\"\n\n[scheduler]\nstore = \"main\"\n"
        .to_owned();
    for worker in 0..WORKERS {
        let value = if worker < changed { n } else { 0 };
        text.push_str(&format!(
            "\n[workers.w{worker}]\nschedule = \"{} {} * * *\"\ntimeout = \"30s\"\nrun = {{ kind = \"sql\", store = \
             \"main\", statement = \"select {value}\" }}\n",
            worker % 60,
            worker % 24,
        ));
    }
    text
}

/// The times of all reloads: their median, their 99th percentile, the longest.
async fn series(server: &TestMonolith, generation: &mut u64, text: impl Fn(usize) -> String) -> [Duration; 3] {
    let address = server.url().trim_start_matches("http://").to_owned();
    let mut raw = Raw::open(&address).await.unwrap();
    let draft = server.folder().join("draft");
    let mut times = Vec::new();
    for n in 0..RELOADS {
        fs::write(&draft, text(1 + n + usize::try_from(*generation).unwrap())).unwrap();
        let began = Instant::now();
        fs::rename(&draft, server.base()).unwrap();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            // A client that asks without a pause would take the machine from what it measures.
            looks.tick().await;
            let health = raw.get("/health").await.unwrap().json();
            if health["generation"].as_u64() > Some(*generation) {
                times.push(began.elapsed());
                *generation += 1;
                assert_eq!(health["generation"], *generation, "a reload too many");
                break;
            }
        }
    }
    times.sort_unstable();
    [times[RELOADS / 2], times[RELOADS * 99 / 100], times[RELOADS - 1]]
}

fn told(what: &str, [half, most, all]: [Duration; 3]) {
    println!(
        "{what:<20} p50 {half:>8.1?}  p99 {most:>8.1?}  max {all:>8.1?}  over {RELOADS} reloads of {WORKERS} workers"
    );
}
