//! Bugs on purpose, for the proof that the chaos checker notices what it must. They exist only in a build with the feature `seeded-bugs`,
//! which a release refuses; in every other build [`has`] is `false` when it is compiled, and nothing of them remains.

#[cfg(all(feature = "seeded-bugs", not(debug_assertions)))]
compile_error!("the feature `seeded-bugs` weakens the ledger on purpose and is never part of a release");

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// An effect is committed though the lease of its run was lost.
    ZombieCommits,
    /// A run is started though the claim to it was lost.
    UnfencedStart,
    /// A schedule is moved without looking whether somebody else has moved it.
    BlindAdvance,
    /// A schedule is moved in a transaction of its own, before its runs are recorded.
    AdvanceFirst,
    /// Runs are judged dead whatever their lease says.
    ImpatientReaper,
}

/// Whether the environment asks for a bug.
#[cfg(feature = "seeded-bugs")]
#[expect(clippy::disallowed_methods, reason = "a variable of the tests; no configuration leads here")]
pub(super) fn has(bug: Bug) -> bool {
    static ASKED_FOR: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("MONOLITH_SEEDED_BUG").unwrap_or_default());
    let name = match bug {
        Bug::ZombieCommits => "zombie-commits",
        Bug::UnfencedStart => "unfenced-start",
        Bug::BlindAdvance => "blind-advance",
        Bug::AdvanceFirst => "advance-first",
        Bug::ImpatientReaper => "impatient-reaper",
    };
    *ASKED_FOR == name
}

/// There are none.
#[cfg(not(feature = "seeded-bugs"))]
pub(super) const fn has(_: Bug) -> bool {
    false
}
