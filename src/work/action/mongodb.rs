//! A MongoDB command. The server is told the time-out, so that it stops by itself when the run must; an answer that holds errors is a
//! failure, though the driver calls it a success.

use super::Job;
use super::shown::Shown;
use crate::clock::Timestamp;
use crate::name::StoreName;
use crate::settings::document;
use crate::store::Connection;
use crate::work::run::{Done, Verdict};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document};

/// How much of an answer is kept.
const MOST_KEPT: usize = 4 * 1024;
/// What a cluster adds to each answer for its drivers.
const NOISE: [&str; 2] = ["$clusterTime", "operationTime"];

pub(super) async fn run(job: &Job, store: &StoreName, database: &str, command: &document::Document) -> Done {
    let Some(Connection::Mongodb(mongodb)) = job.plan.stores.get(store) else {
        return Done::failed(format!("store `{store}` is not open"));
    };
    let mut wanted = match filled(job, command) {
        Ok(wanted) => wanted,
        Err(why) => return Done::failed(why),
    };
    let limit = job.driver_limit();
    if !wanted.contains_key("maxTimeMS") {
        wanted.insert("maxTimeMS", i64::try_from(limit.as_millis()).unwrap_or(i64::MAX).max(1));
    }
    let work = async {
        match mongodb.call_within("the command", limit, database, wanted).await {
            Ok(answer) => judge(answer),
            Err(error) => Done::failed(error.to_string()),
        }
    };
    job.within_its_time(work).await
}

fn judge(mut answer: Document) -> Done {
    for name in NOISE {
        answer.remove(name);
    }
    let result = Some(Shown::of(&answer, MOST_KEPT));
    match first_error(&answer) {
        None => Done::succeeded(result),
        Some(error) => Done { verdict: Verdict::Failed, error: Some(error), ..Done::succeeded(result) },
    }
}

fn first_error(answer: &Document) -> Option<String> {
    let words = |error: &Document| error.get_str("errmsg").unwrap_or("no reason was given").to_owned();
    let write_errors = answer.get_array("writeErrors").ok().filter(|errors| !errors.is_empty());
    if let Some(errors) = write_errors {
        let first = errors.first().and_then(Bson::as_document).map(words).unwrap_or_default();
        return Some(format!("refused {} of its writes, the first: {first}", errors.len()));
    }
    let concern = answer.get_document("writeConcernError").ok();
    concern.map(|error| format!("was written, but not as safely as wanted: {}", words(error)))
}

fn filled(job: &Job, document: &document::Document) -> Result<Document, String> {
    document.0.iter().map(|(name, field)| Ok((name.clone(), value(job, field)?))).collect()
}

fn value(job: &Job, field: &document::Field) -> Result<Bson, String> {
    use document::Field;
    Ok(match field {
        Field::Null => Bson::Null,
        Field::Boolean(truth) => Bson::Boolean(*truth),
        Field::Integer(number) => i32::try_from(*number).map_or(Bson::Int64(*number), Bson::Int32),
        Field::Float(number) => Bson::Double(*number),
        Field::Text(text) => Bson::String(job.filled(text)),
        Field::Array(items) => Bson::Array(items.iter().map(|item| value(job, item)).collect::<Result<_, _>>()?),
        Field::Document(inner) => special(filled(job, inner)?)?,
    })
}

/// What JSON has no type for is written as MongoDB's Extended JSON has it: `{ "$date" = "..." }`, `{ "$oid" = "..." }`.
fn special(document: Document) -> Result<Bson, String> {
    let only = document.iter().next().filter(|_| document.len() == 1);
    match only.map(|(name, value)| (name.as_str(), value)) {
        Some(("$date", Bson::String(text))) => {
            let instant = Timestamp::parse(text).ok_or_else(|| format!("$date: \"{text}\" is not an instant"))?;
            Ok(Bson::DateTime(DateTime::from_millis(instant.millis())))
        }
        Some(("$oid", Bson::String(text))) => {
            let id = ObjectId::parse_str(text).map_err(|_| format!("$oid: \"{text}\" is not an id"))?;
            Ok(Bson::ObjectId(id))
        }
        _ => Ok(Bson::Document(document)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    #[test]
    fn errors_inside_an_answer_are_a_failure() {
        let judged = |answer| {
            let done = judge(answer);
            (done.verdict, done.error)
        };
        assert_eq!(judged(doc! { "n": 1, "ok": 1.0 }), (Verdict::Succeeded, None));
        let refused =
            doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 11_000, "errmsg": "duplicate key" }], "ok": 1.0 };
        let (verdict, error) = judged(refused);
        assert_eq!(
            (verdict, error.as_deref()),
            (Verdict::Failed, Some("refused 1 of its writes, the first: duplicate key"))
        );
        let (verdict, error) = judged(doc! { "writeConcernError": { "errmsg": "waiting timed out" }, "ok": 1.0 });
        assert!(verdict == Verdict::Failed && error.unwrap().ends_with("waiting timed out"));
    }

    #[test]
    fn dates_and_ids_are_what_they_say() {
        assert_eq!(special(doc! { "$date": "1970-01-01T00:00:01Z" }), Ok(Bson::DateTime(DateTime::from_millis(1_000))));
        assert!(special(doc! { "$date": "" }).unwrap_err().contains("not an instant"));
        assert!(special(doc! { "$oid": "x" }).is_err());
        assert!(matches!(special(doc! { "$oid": "507f1f77bcf86cd799439011" }), Ok(Bson::ObjectId(_))));
        assert_eq!(special(doc! { "$lt": "x" }), Ok(Bson::Document(doc! { "$lt": "x" })));
    }

    #[test]
    fn what_a_cluster_adds_is_left_out() {
        let shown = judge(doc! { "n": 2, "$clusterTime": {}, "operationTime": 1 }).result.unwrap();
        assert_eq!(shown, "{ \"n\": 2 }");
    }
}
