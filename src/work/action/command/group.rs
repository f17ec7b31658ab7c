//! How the process group of a command ends: asked first, then killed, as a whole.
//! The group itself is `crate::process`.

use crate::process::Group;
use crate::work::action::Live;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::time::timeout;

/// How long a group may take to end by itself after it was asked to.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// Asks the group to end, kills it after the grace, and waits for its leader.
pub(super) async fn stop(group: &mut Group, child: &mut Child, pipe: &mut Receiver, live: &Live) {
    group.terminate();
    if timeout(TERM_GRACE, super::wait(child, pipe, live)).await.is_err() {
        group.kill();
        drop(timeout(TERM_GRACE, child.wait()).await);
    }
}
