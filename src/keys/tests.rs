//! The life of a key against a real SQLite, in memory and in a file that two processes share.
//! The same against Postgres is in the integration tests.

use super::*;
use crate::audit::chain::{self, Proof};
use crate::settings::keys::{Environment, OnStale, VerifyAccess};
use crate::settings::{Home, stores};
use crate::store::{Store, schema};

fn rules() -> Rules {
    Rules {
        store: Home::Memory,
        environment: Environment::Test,
        peppers: Vec::new(),
        default_ttl: Duration::from_secs(3600),
        max_ttl: Duration::from_secs(7200),
        verify: VerifyAccess::Open,
        max_staleness: Duration::from_secs(300),
        on_stale: OnStale::Deny,
        rate_limit_store: None,
    }
}

fn ann() -> Actor {
    Actor { subject: "ann".into(), role: "operator", ip: None, request_id: "r1".into() }
}

pub(super) fn record() -> Record {
    let key = format::generate(Environment::Test).unwrap();
    new_record(&key, wish("one"), Timestamp::EPOCH, &rules(), &ann(), Timestamp::EPOCH).unwrap()
}

fn wish(name: &str) -> NewKey {
    NewKey { name: name.into(), scopes: vec!["orders:read".into()], ..NewKey::default() }
}

async fn keys_on(database: Database) -> Keys {
    schema::migrate(&database).await.unwrap();
    let keys = Keys::new("here".into(), database.clone(), database, Arc::new(rules()));
    keys.load().await.unwrap();
    keys
}

async fn keys() -> Keys {
    keys_on(Database::in_memory()).await
}

fn file(folder: &tempfile::TempDir) -> Database {
    let name = crate::name::StoreName::parse("main").unwrap();
    let second = Duration::from_secs(1);
    let store = stores::Store {
        name,
        kind: stores::StoreKind::Sqlite { file: folder.path().join("keys.db"), migrate: stores::Migrate::Auto },
        max_connections: 2,
        connect_timeout: second * 5,
        operation_timeout: second * 10,
        probe: stores::Probe { every: second, timeout: second, down_after: 3, up_after: 1 },
        required: true,
        on_unreachable: stores::OnUnreachable::Reject,
    };
    Store::open(Arc::new(store)).unwrap().database().unwrap()
}

fn code(keys: &Keys, key: &str) -> Option<&'static str> {
    keys.judge(key, Need::default(), Timestamp::now()).code()
}

#[tokio::test]
async fn a_key_lives_from_creation_to_refusal() {
    let keys = keys().await;
    let made = keys.create(wish("ci"), &ann(), None, Timestamp::now()).await.unwrap();
    let text = made.key.unwrap();
    assert_eq!(code(&keys, text.expose()), Some("valid"));
    let first = keys.revoke(&made.record.kid, Some("leaked"), &ann(), Timestamp::now()).await.unwrap().record;
    assert_eq!(code(&keys, text.expose()), Some("revoked"));
    let again = keys.revoke(&made.record.kid, Some("other"), &ann(), Timestamp::now()).await.unwrap().record;
    assert_eq!((first.rare.revoked_at, &first.rare.revoke_reason), (again.rare.revoked_at, &again.rare.revoke_reason));
    assert!(matches!(
        keys.revoke(&Kid::parse("nobody").unwrap(), None, &ann(), Timestamp::now()).await,
        Err(KeysError::NotFound)
    ));
}

#[tokio::test]
async fn b33_to_b41_what_is_not_the_key_is_refused() {
    let keys = keys().await;
    let made = keys.create(wish("ci"), &ann(), None, Timestamp::now()).await.unwrap();
    let text = made.key.unwrap().expose().to_owned();
    let stranger = format::generate(Environment::Test).unwrap();
    let other_environment = format::generate(Environment::Live).unwrap();
    assert_eq!(code(&keys, ""), Some("malformed"));
    assert_eq!(code(&keys, &text.replace("_test_", "_live_")), Some("malformed"));
    assert_eq!(code(&keys, stranger.expose()), Some("invalid"));
    assert_eq!(code(&keys, other_environment.expose()), Some("invalid"));
}

#[tokio::test]
async fn b46_b70_scope_and_address_are_judged_in_this_order() {
    let keys = keys().await;
    let mut wanted = wish("ci");
    wanted.ip_allow = vec!["10.0.0.0/8".parse().unwrap()];
    let text = keys.create(wanted, &ann(), None, Timestamp::now()).await.unwrap().key.unwrap();
    let scopes = ["orders:write".to_owned()];
    let judge = |scopes, ip: Option<&str>| {
        let need = Need { scopes, ip: ip.map(|ip| ip.parse().unwrap()), ..Need::default() };
        keys.judge(text.expose(), need, Timestamp::now()).code()
    };
    assert_eq!(judge(&[], None), Some("ip_denied"));
    assert_eq!(judge(&scopes, Some("192.168.0.1")), Some("ip_denied"));
    assert_eq!(judge(&scopes, Some("10.1.2.3")), Some("scope_missing"));
    assert_eq!(judge(&[], Some("::ffff:10.1.2.3")), Some("valid"));
}

#[tokio::test]
async fn b44_a_key_expires_by_the_clock_and_not_by_an_event() {
    let keys = keys().await;
    let now = Timestamp::now();
    let made = keys.create(wish("ci"), &ann(), None, now).await.unwrap();
    let text = made.key.unwrap();
    let judge = |at| keys.judge(text.expose(), Need::default(), at).code();
    assert_eq!(judge(now.after(Duration::from_secs(3599))), Some("valid"));
    assert_eq!(judge(now.after(Duration::from_secs(3600))), Some("expired"));
}

#[tokio::test]
async fn e85_the_same_idempotency_key_makes_one_key() {
    let keys = keys().await;
    let now = Timestamp::now();
    let first = keys.create(wish("ci"), &ann(), Some("once"), now).await.unwrap();
    let again = keys.create(wish("ci"), &ann(), Some("once"), now).await.unwrap();
    assert_eq!(first.record.kid, again.record.kid);
    assert!(first.key.is_some() && again.key.is_none());
    let other = keys.create(wish("other"), &ann(), Some("once"), now).await;
    assert!(matches!(other, Err(KeysError::Conflict(_))));
    assert_eq!(keys.count(), 1);
}

#[tokio::test]
async fn e84_e87_every_wrong_field_of_a_wish_is_told() {
    let keys = keys().await;
    let bad = NewKey {
        name: "a\nb".into(),
        owner: Some(String::new()),
        scopes: vec!["fine".into(), "not fine".into()],
        ttl: Some(Duration::from_secs(7201)),
        rate_limit: Some("lots".into()),
        ..NewKey::default()
    };
    let Err(KeysError::Invalid(errors)) = keys.create(bad, &ann(), None, Timestamp::now()).await else {
        panic!("must be refused")
    };
    let fields: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(fields, ["name", "owner", "scopes[1]", "rate_limit", "ttl"]);
}

#[tokio::test]
async fn before_the_first_loading_nobody_can_tell() {
    let database = Database::in_memory();
    let keys = Keys::new("here".into(), database.clone(), database, Arc::new(rules()));
    let stranger = format::generate(Environment::Test).unwrap();
    assert_eq!(code(&keys, stranger.expose()), None);
    assert_eq!(code(&keys, "nonsense"), Some("malformed"));
}

#[tokio::test]
async fn another_process_on_the_same_file_follows() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (keys_on(file(&folder)).await, keys_on(file(&folder)).await);
    let made = one.create(wish("ci"), &ann(), None, Timestamp::now()).await.unwrap();
    let text = made.key.unwrap();
    two.follow(drop).await.unwrap();
    assert_eq!(code(&two, text.expose()), Some("valid"));
    two.revoke(&made.record.kid, None, &ann(), Timestamp::now()).await.unwrap();
    one.follow(drop).await.unwrap();
    assert_eq!(code(&one, text.expose()), Some("revoked"));
    let three = keys_on(file(&folder)).await;
    assert_eq!(code(&three, text.expose()), Some("revoked"));
}

#[tokio::test]
async fn changes_made_at_once_are_numbered_without_gaps_and_chained() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (keys_on(file(&folder)).await, keys_on(file(&folder)).await);
    let (actor, now) = (ann(), Timestamp::now());
    let makers = (0..20).map(|n| {
        let keys = if n % 2 == 0 { &one } else { &two };
        keys.create(wish("ci"), &actor, None, now)
    });
    for made in futures_util::future::join_all(makers).await {
        made.unwrap();
    }
    let proof = chain::prove(&one.database(), None).await.unwrap();
    assert!(matches!(proof, Proof::Holds(head) if head.seq == 20), "{proof:?}");
    one.follow(drop).await.unwrap();
    assert_eq!(one.count(), 20);
}

#[tokio::test]
async fn e86_pages_stay_right_while_keys_are_made() {
    let keys = keys().await;
    let start = Timestamp::now();
    for n in 0..5 {
        keys.create(wish(&format!("k{n}")), &ann(), None, start.after(Duration::from_millis(n))).await.unwrap();
    }
    let filter = Filter::default();
    let first = keys.list(&filter, 2, None, start).unwrap();
    keys.create(wish("late"), &ann(), None, start.after(Duration::from_secs(1))).await.unwrap();
    let second = keys.list(&filter, 2, first.next.as_deref(), start).unwrap();
    let third = keys.list(&filter, 2, second.next.as_deref(), start).unwrap();
    let names =
        [first, second, third].map(|page| page.items.into_iter().map(|r| r.name.clone().unwrap()).collect::<Vec<_>>());
    assert_eq!(names.concat().join(" "), "k4 k3 k2 k1 k0");
    assert!(keys.list(&filter, 2, Some("nonsense"), start).is_err());
    assert!(keys.list(&Filter { sort: Some("hash".into()), ..filter }, 2, None, start).is_err());
}

async fn edit(folder: &tempfile::TempDir, statement: &'static str) {
    use sqlx::Connection;
    let address = format!("sqlite:{}", folder.path().join("keys.db").display());
    let mut editor = sqlx::SqliteConnection::connect(&address).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut editor).await.unwrap();
    editor.close().await.unwrap();
}

#[tokio::test]
async fn what_was_changed_behind_our_back_is_found_and_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_on(file(&folder)).await;
    let now = Timestamp::now();
    let edited = keys.create(wish("edited"), &ann(), None, now).await.unwrap();
    let deleted = keys.create(wish("deleted"), &ann(), None, now).await.unwrap();
    keys.create(wish("left alone"), &ann(), None, now).await.unwrap();
    keys.follow(drop).await.unwrap();
    assert_eq!(keys.compare().await.unwrap(), None, "nothing was changed but by us");
    edit(&folder, "update api_keys set last_used_at = 1").await;
    assert_eq!(keys.compare().await.unwrap(), None, "a use is no change");

    edit(
        &folder,
        "update api_keys set revoked_at = 1 where name = 'edited'; delete from api_keys where name = 'deleted'",
    )
    .await;
    let found = keys.compare().await.unwrap().unwrap();
    assert_eq!((found.keys, keys.edited()), (2, Some(found.clone())));
    assert_eq!(code(&keys, edited.key.unwrap().expose()), Some("revoked"));
    assert_eq!(code(&keys, deleted.key.unwrap().expose()), Some("invalid"));
    assert_eq!(keys.compare().await.unwrap(), None, "what was taken over is known");
}

#[tokio::test]
async fn a_database_that_lost_its_last_events_is_followed_from_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys_on(file(&folder)).await;
    let kept = keys.create(wish("kept"), &ann(), None, Timestamp::now()).await.unwrap();
    let lost = keys.create(wish("lost"), &ann(), None, Timestamp::now()).await.unwrap();
    keys.follow(drop).await.unwrap();
    edit(
        &folder,
        "delete from api_keys where name = 'lost'; delete from key_events where seq = 2; \
        update key_chain_head set seq = 1, hash = (select hash from key_events where seq = 1)",
    )
    .await;
    keys.compare().await.unwrap().unwrap();
    assert_eq!(code(&keys, lost.key.unwrap().expose()), Some("invalid"));
    let other = keys_on(file(&folder)).await;
    other.revoke(&kept.record.kid, None, &ann(), Timestamp::now()).await.unwrap();
    keys.follow(drop).await.unwrap();
    assert_eq!(code(&keys, kept.key.unwrap().expose()), Some("revoked"), "the event that has an old number is seen");
}

/// The database becomes what it was after its first event, when the key of that name was new.
async fn restore(folder: &tempfile::TempDir) {
    edit(
        folder,
        "update api_keys set version = 1; delete from key_events where seq > 1; \
        update key_chain_head set seq = 1, hash = (select hash from key_events where seq = 1)",
    )
    .await;
}

#[tokio::test]
async fn a_key_that_is_revoked_after_a_restore_is_dead_although_its_version_is_an_old_one() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Timestamp::now());
    for changes_after in [0, 4] {
        let keys = keys_on(file(&folder)).await;
        let made = keys.create(wish("one"), &ann(), None, now).await.unwrap();
        let patch = async |keys: &Keys, owner: &str| {
            let patch = Patch { owner: Some(Some(owner.into())), ..Patch::default() };
            keys.patch(&made.record.kid, &patch, &ann(), now).await.unwrap();
        };
        patch(&keys, "before").await;
        patch(&keys, "the restore").await;
        keys.follow(drop).await.unwrap();
        let secret = made.key.unwrap();
        restore(&folder).await;
        let other = keys_on(file(&folder)).await;
        other.revoke(&made.record.kid, None, &ann(), now).await.unwrap();
        // With more events than were lost, their numbers say nothing any more.
        for n in 0..changes_after {
            other.create(wish(&format!("later {n}")), &ann(), None, now).await.unwrap();
        }
        keys.follow(drop).await.unwrap();
        assert_eq!(code(&keys, secret.expose()), Some("revoked"), "{changes_after}");
        assert_eq!((keys.restarts(), keys.compare().await.unwrap()), (1, None), "{changes_after}");
        edit(
            &folder,
            "delete from api_keys; delete from key_events; update key_chain_head set seq = 0, hash = zeroblob(32)",
        )
        .await;
    }
}

#[tokio::test]
async fn rows_that_went_back_to_an_older_version_are_taken_over_where_no_event_tells_of_it() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Timestamp::now());
    let keys = keys_on(file(&folder)).await;
    let made = keys.create(wish("one"), &ann(), None, now).await.unwrap();
    let patch = Patch { owner: Some(Some("team".into())), ..Patch::default() };
    keys.patch(&made.record.kid, &patch, &ann(), now).await.unwrap();
    keys.follow(drop).await.unwrap();
    edit(&folder, "update api_keys set version = 1, owner = null, revoked_at = 1").await;
    assert_eq!(keys.compare().await.unwrap().unwrap().keys, 1);
    assert_eq!(code(&keys, made.key.unwrap().expose()), Some("revoked"));
    assert_eq!((keys.restarts(), keys.compare().await.unwrap()), (0, None));
}

#[tokio::test]
async fn events_that_somebody_put_behind_the_end_of_the_chain_hold_nobody_up() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Timestamp::now());
    let keys = keys_on(file(&folder)).await;
    let made = keys.create(wish("one"), &ann(), None, now).await.unwrap();
    edit(
        &folder,
        "insert into key_events (seq, at, kid, kind, actor, role, request_id, body, prev_hash, hash) \
        values (7, 1, 'x', 'key.revoked', 'eve', 'admin', '', '{}', zeroblob(32), zeroblob(32))",
    )
    .await;
    keys.follow(drop).await.unwrap();
    assert_eq!((code(&keys, made.key.unwrap().expose()), keys.restarts()), (Some("valid"), 0));
}

#[tokio::test]
async fn every_key_stands_once_in_a_list_whatever_letters_its_name_has() {
    let keys = keys().await;
    for name in ["ΟΔΟΣ", "zeta", "ΟΔΟΣ", "Straße", "İstanbul", "ΟΔΟΣ", "alpha", "ALPHA"] {
        keys.create(wish(name), &ann(), None, Timestamp::now()).await.unwrap();
    }
    for sort in ["name", "-name", "owner", "-created_at", "expires_at", "-last_used_at"] {
        let filter = Filter { sort: Some(sort.into()), ..Filter::default() };
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        for _ in 0..=8 {
            let page = keys.list(&filter, 1, after.as_deref(), Timestamp::now()).unwrap();
            seen.extend(page.items.iter().map(|record| record.kid.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let all = keys.list(&filter, 100, None, Timestamp::now()).unwrap();
        let whole: Vec<String> = all.items.iter().map(|record| record.kid.to_string()).collect();
        assert_eq!((seen.len(), &seen), (8, &whole), "{sort}");
    }
}

#[tokio::test]
async fn whoever_has_more_to_read_knows_that_there_is_more() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Timestamp::now());
    let database = file(&folder);
    let keys = keys_on(database.clone()).await;
    let actor = ann();
    let wishes = (0..=1_000).map(|n| keys.create(wish(&n.to_string()), &actor, None, now));
    let last = futures_util::future::join_all(wishes).await.pop().unwrap().unwrap();
    let first = table::changed_since(&database, crate::audit::Head::GENESIS).await.unwrap().unwrap();
    assert_eq!((first.events.len(), first.are_all), (1_000, false), "it would be taken for proved");
    let rest = table::changed_since(&database, first.head).await.unwrap().unwrap();
    assert_eq!((rest.events.len(), rest.are_all), (1, true));
    let late = keys_on(database).await;
    assert_eq!(code(&late, last.key.unwrap().expose()), Some("valid"));
}

#[tokio::test]
async fn a_key_is_the_same_whether_it_is_read_alone_or_with_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let (one, now) = (keys_on(file(&folder)).await, Timestamp::now());
    let full = NewKey {
        name: "\"full\" \u{e9}\\".into(),
        owner: Some("team".into()),
        scopes: vec!["orders:read".into(), "orders:*".into()],
        ip_allow: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        rate_limit: Some("100/s".into()),
        metadata: [("a\"b".to_owned(), "c\nd".to_owned())].into(),
        ..NewKey::default()
    };
    let made = one.create(full, &ann(), None, now).await.unwrap().record;
    let successor = one.rotate(&made.kid, Duration::from_secs(60), &ann(), now).await.unwrap().record;
    one.revoke(&made.kid, Some("over"), &ann(), now).await.unwrap();
    let off = Patch { enabled: Some(false), ..Patch::default() };
    one.patch(&successor.kid, &off, &ann(), now).await.unwrap();
    edit(&folder, "insert into api_keys (kid, created_at) values ('of-elsewhere', 1700000000000)").await;
    let (alone, all) = (one, keys_on(file(&folder)).await);
    for kid in [&made.kid, &successor.kid] {
        assert_eq!(all.get(kid).unwrap(), alone.get(kid).unwrap());
    }
    edit(&folder, "insert into api_keys (kid, created_at) values ('no id/of a key', 1)").await;
    all.load().await.expect("what no request can name keeps nobody out");
    let bare = all.get(&crate::name::Kid::parse("of-elsewhere").unwrap()).unwrap();
    assert_eq!((&bare.name, &bare.hash, bare.scopes.len(), bare.version), (&None, &None, 0, 1));
    assert_eq!(all.compare().await.unwrap(), None);
}
