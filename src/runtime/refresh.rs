//! Asks the programs that tell secrets again when that is due. A value that changed is a wish for a reload, which decides
//! what it means; where there was no answer the old value stays, and that is told once.

use super::App;
use super::report::Trigger;
use crate::config::commands::{Again, Asked};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From one look at what is due to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Begins to ask.
pub(super) fn begin(app: &Arc<App>) {
    let looking = Arc::clone(app);
    app.tasks.spawn(async move {
        loop {
            for asked in looking.commands.take_due(Instant::now()) {
                let app = Arc::clone(&looking);
                looking.tasks.spawn(async move { ask_again(&app, asked).await });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
}

async fn ask_again(app: &Arc<App>, asked: Asked) {
    let name = asked.name.clone();
    let before = app.commands.troubles().into_iter().find(|trouble| trouble.name == name);
    let commands = app.commands.clone();
    // It waits for a program; a stopping process ends that program, so nothing is held up.
    let Ok(again) = tokio::task::spawn_blocking(move || commands.ask_again(&asked)).await else { return };
    match &again {
        Again::Failed(why) if before.as_ref().is_none_or(|trouble| trouble.message != *why) => {
            tracing::warn!(secret = %name, "the secret {name} cannot be asked for again, its old value stays: {why}");
        }
        Again::Failed(_) => {}
        Again::Same | Again::Changed if before.is_some() => {
            tracing::info!(secret = %name, "the secret {name} is told again")
        }
        Again::Same | Again::Changed => {}
    }
    if again == Again::Changed {
        // The outcome stands in the report; where too many wait, one of them reads the new value.
        drop(app.reload(Trigger::Secret, None).await);
    }
}
