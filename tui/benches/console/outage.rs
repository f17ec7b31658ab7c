//! How long it takes until an outage is seen, and until its end is: a server that is killed, and one that fails in each of the
//! ways a server can. It says what was seen first, because a wrong word is worse than a late one.

use std::time::Duration;

use crate::monolith::Monolith;
use crate::server::{Does, Server};
use crate::{console, folder, say, spread};

/// Outages of each kind.
const TIMES: usize = 5;
/// Until the console has settled into an outage, so that its end is not seen by a try that was under way.
const LONG: Duration = Duration::from_secs(12);

pub fn outage() {
    killed();
    let folder = folder();
    for does in [Does::Resets, Does::Hangs, Does::StopsHalfway, Does::Drips, Does::Gateway] {
        let server = Server::that(Does::Well);
        let terminal = console(&server, &folder);
        let (mut seen, mut ended) = (Vec::new(), Vec::new());
        for time in 0..TIMES {
            terminal.see("● OK");
            server.now(does);
            seen.push(terminal.wait_for("an outage", |text| !text.contains("● OK")));
            std::thread::park_timeout(if time == 0 { LONG } else { LONG / 4 });
            server.now(Does::Well);
            ended.push(terminal.see("● OK"));
        }
        say(&spread(&format!("an outage ({does:?}) is seen"), seen), "3 s");
        say(&spread(&format!("its end ({does:?}) is seen"), ended), "1 s, and 2 s more where a question hangs");
    }
}

/// The real server is killed and brought back: the port refuses, and then answers.
fn killed() {
    let mut monolith = Monolith::start();
    let terminal = monolith.console();
    let (mut seen, mut ended) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        terminal.see("● OK");
        monolith.kill();
        seen.push(terminal.wait_for("an outage", |text| !text.contains("● OK")));
        std::thread::park_timeout(LONG);
        // It is back when it has printed its address.
        monolith.restart();
        ended.push(terminal.see("● OK"));
    }
    say(&spread("a killed server is seen", seen), "1.2 s");
    say(&spread("a server that is back is seen", ended), "1 s after the port answers");
}
