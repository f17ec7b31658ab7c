//! Carries out one command, once, and says what became of it: done, refused, or that nobody knows.
//! It never repeats anything.

use std::io::Read;
use std::path::Path;

use monolith_client::wire::PlanConfig;
use monolith_client::{Client, Error};

use crate::message::{Command, Failure, Success};

/// The largest file that is sent for a plan.
const FILE_LIMIT: u64 = 1024 * 1024;

pub(super) async fn act(client: &Client, command: Command) -> Result<Success, Failure> {
    let answer = match command {
        Command::Create { key } => {
            let idempotency = random_id();
            client.create_key(&key, idempotency.as_deref()).await.map(|issued| Success::Issued(Box::new(issued)))
        }
        Command::Revoke { kid, reason, .. } => {
            let reason = Some(reason.as_str()).filter(|reason| !reason.is_empty());
            client.revoke_key(&kid, reason).await.map(Success::Revoked)
        }
        Command::Rotate { kid, rotate, .. } => {
            client.rotate_key(&kid, &rotate).await.map(|issued| Success::Issued(Box::new(issued)))
        }
        Command::Run { worker } => client.run_now(&worker).await.map(|started| Success::Started(started.run_id)),
        Command::Pause { worker, pause } => client.pause(&worker, &pause).await.map(Box::new).map(Success::Worker),
        Command::Resume { worker } => client.resume(&worker).await.map(Box::new).map(Success::Worker),
        Command::Cancel { run, .. } => client.cancel_run(&run).await.map(Box::new).map(Success::Cancelled),
        Command::Reload => client.reload().await.map(Box::new).map(Success::Reloaded),
        Command::Explain { key } => client.explain(&key).await.map(Success::Explained),
        Command::Plan { file } => {
            let base = read(Path::new(&file)).map_err(|error| Failure::Refused(format!("{file}: {error}")))?;
            client.plan(&PlanConfig { base, profile: None }).await.map(Success::Planned)
        }
    };
    answer.map_err(failure)
}

/// What can be said about a command that was not answered well.
fn failure(error: Error) -> Failure {
    match error {
        Error::Refused(problem) if problem.outcome.is_some() => match problem.outcome.clone() {
            Some(outcome) => Failure::Rejected(outcome),
            None => Failure::Refused(problem.to_string()),
        },
        error if error.is_not_served() => Failure::Refused("not served by this server".to_owned()),
        Error::Refused(problem) if problem.status >= 500 => Failure::Unknown(problem.to_string()),
        Error::Refused(problem) | Error::Unauthorized(problem) => {
            let mistakes = problem.errors.iter().map(|mistake| format!("; {}: {}", mistake.key, mistake.message));
            Failure::Refused(format!("{problem}{}", mistakes.collect::<String>()))
        }
        Error::Address { .. } | Error::Unreachable { sent: false, .. } => Failure::Refused(error.to_string()),
        Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Unreadable { .. } => {
            Failure::Unknown(error.to_string())
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(FILE_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(std::io::Error::other(format!("it is larger than {FILE_LIMIT} bytes")));
    }
    Ok(text)
}

/// Sixteen random bytes in hexadecimal; `None` where the system gives no randomness.
fn random_id() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use monolith_client::wire::ProblemBody;

    use super::*;

    fn problem(status: u16, detail: Option<&str>) -> Box<ProblemBody> {
        let body = serde_json::json!({"status": status, "detail": detail, "request_id": null});
        Box::new(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn what_may_have_arrived_is_unknown_and_what_did_not_is_refused() {
        let unreachable = |sent| Error::Unreachable { url: "u".into(), cause: "c".into(), sent };
        assert!(matches!(failure(unreachable(true)), Failure::Unknown(_)));
        assert!(matches!(failure(unreachable(false)), Failure::Refused(_)));
        assert!(matches!(failure(Error::Refused(problem(503, Some("busy")))), Failure::Unknown(_)));
        assert!(matches!(failure(Error::Refused(problem(409, Some("no")))), Failure::Refused(_)));
    }

    #[test]
    fn a_route_that_is_missing_is_told_apart_from_a_key_that_is() {
        let told = |detail| failure(Error::Refused(problem(404, detail)));
        assert_eq!(told(Some("there is no such path")), Failure::Refused("not served by this server".into()));
        assert_eq!(told(None), Failure::Refused("not served by this server".into()));
        assert_eq!(told(Some("there is no key k1")), Failure::Refused("there is no key k1".into()));
    }
}
