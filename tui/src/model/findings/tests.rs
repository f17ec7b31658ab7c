//! What is found, in which order, and where its cause is shown.
//! No test asks a server.

use super::*;
use crate::fixture::{AT, Scene, now, scene};

fn codes(scene_of: Scene) -> Vec<String> {
    scene(scene_of).target().findings.iter().map(|finding| finding.code.clone()).collect()
}

#[test]
fn findings_come_worst_first_then_oldest_first() {
    assert_eq!(codes(Scene::Degraded), ["store_down", "reload_rejected", "route_failing", "keys_in_memory"]);
    assert_eq!(codes(Scene::Healthy), Vec::<String>::new());
}

#[test]
fn what_only_somebody_outside_can_see_is_found_too() {
    assert_eq!(codes(Scene::Stale), ["stale"]);
    assert_eq!(codes(Scene::Unreachable), ["unreachable"]);
    assert_eq!(codes(Scene::Unauthorized), ["token"]);
}

#[test]
fn a_finding_knows_since_when_in_the_servers_time() {
    let model = scene(Scene::Unreachable);
    let since = model.target().findings[0].since.unwrap();
    let ago = model.target().server_ms(now(AT)) - since;
    assert!((60_000..75_000).contains(&ago), "{ago}");
}

#[test]
fn a_token_that_is_over_is_not_said_to_end_in_no_time() {
    let model = scene(Scene::Healthy);
    let said = |minutes: i64| {
        let later = Now { unix_ms: now(AT).unix_ms + minutes * 60_000, ..now(AT) };
        let found = find(model.target(), later);
        found.into_iter().find(|finding| finding.code == "token_ends").map(|finding| finding.message)
    };
    assert_eq!(said(30), None);
    assert_eq!(said(35).as_deref(), Some("your token ends in 6m"));
    assert_eq!(said(43).as_deref(), Some("your token ended 2m ago"));
}

#[test]
fn a_refused_token_says_where_another_one_has_to_go() {
    let mut model = scene(Scene::Unauthorized);
    model.target_mut().token_advice = crate::token::TokenSource::File("/home/ana/prod.token".into()).advice();
    let said = find(model.target(), now(AT)).remove(0);
    let needed = "a valid admin token is needed: Authorization: Bearer <token> (request 018f)";
    model.target_mut().whoami.trouble = Some(crate::feed::Trouble::Unauthorized(needed.into()));
    let needed = find(model.target(), now(AT)).remove(0).message;
    assert!(needed.starts_with("a valid admin token is needed: put another into /home"), "{needed}");
    let text = "the token expired: put another into /home/ana/prod.token (`monolith token create` makes one)";
    assert_eq!((said.message.as_str(), said.screen()), (text, Screen::Targets));
}

#[test]
fn a_server_that_was_silent_is_news_for_a_while() {
    let mut model = scene(Scene::Stale);
    crate::fixture::tell(
        &mut model,
        0,
        crate::feed::Source::Health,
        AT,
        Ok(crate::fixture::payloads(false).remove(1).1),
    );
    let found = |model: &crate::model::Model, at| {
        find(model.target(), now(at)).into_iter().find(|one| one.code == "was_silent").map(|one| one.message)
    };
    assert_eq!(found(&model, AT).as_deref(), Some("it was not heard for 12s"));
    assert_eq!(found(&model, AT + RESTART_IS_NEWS), None);
}

#[test]
fn every_cause_has_a_screen() {
    let screen = |code: &str| Finding::new(Severity::Info, code, "x", None, "y").screen();
    assert_eq!(screen("store_down"), Screen::Stores);
    assert_eq!(screen("worker_overdue"), Screen::Workers);
    assert_eq!(screen("reload_rejected"), Screen::Config);
    assert_eq!(screen("keys_in_memory"), Screen::Keys);
    assert_eq!(screen("unreachable"), Screen::Messages);
    assert_eq!(screen("audit_spooled"), Screen::Audit);
    assert_eq!(screen("certificate_expires"), Screen::Config);
    assert_eq!(screen("alert_undelivered"), Screen::Config);
    assert_eq!(screen("revisions_not_kept"), Screen::Config);
}
