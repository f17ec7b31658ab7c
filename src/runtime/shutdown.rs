//! From a signal to the end: not ready, keep serving, finish what was accepted, then go. Nothing here waits for ever.
//! Ctrl-C at a terminal leaves out the waiting for load balancers; a second signal ends at once.

use super::report::Trigger;
use super::{App, Part};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals of this process.
#[derive(Debug)]
pub struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Why it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Terminate,
    Interrupt,
}

impl Shutdown {
    /// Begins to listen; from here on no signal is lost.
    ///
    /// # Errors
    /// When the system does not let a process have signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal to end, answers SIGHUP with a reload, and ends the process in order. `true` where everything
    /// that was accepted was finished.
    pub async fn run(mut self, app: &Arc<App>) -> bool {
        let cause = self.wait(app).await;
        app.draining.store(true, Ordering::Relaxed);
        let server = Arc::clone(&app.snapshot().settings.server);
        // Nobody sends requests to a process that only runs workers: there is no balancer to wait for.
        if cause == Cause::Terminate && app.part == Part::Serve {
            tracing::info!("SIGTERM: not ready any more, serving on for {:?}", server.drain_delay);
            tokio::select! {
                () = tokio::time::sleep(server.drain_delay) => {}
                () = self.again() => {}
            }
        }
        tracing::info!("finishing what was accepted, within {:?}", server.drain_timeout);
        let finished = tokio::select! {
            finished = app.tasks.stop(server.drain_timeout) => finished,
            () = self.again() => false,
        };
        for store in app.snapshot().stores.values() {
            drop(tokio::time::timeout(std::time::Duration::from_secs(1), store.close()).await);
        }
        tracing::info!(finished, "stopped");
        finished
    }

    async fn wait(&mut self, app: &Arc<App>) -> Cause {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Cause::Terminate,
                _ = self.interrupt.recv() => return Cause::Interrupt,
                _ = self.hangup.recv() => {
                    let reloading = Arc::clone(app);
                    app.tasks.spawn(async move { drop(reloading.reload(Trigger::Signal, None).await) });
                }
            }
        }
    }

    async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
