//! Faults on demand at each step of a reload that can fail, to prove that none of them touches what is running.
//! Compiled into tests and into the feature `failpoints` only; in every other build a fail point is nothing at all.

/// A step of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The layers are read.
    Read,
    /// Their meaning is worked out.
    Compile,
    /// It is compared with what runs.
    Diff,
    /// A store is opened.
    OpenStore,
    /// A store is asked.
    ProveStore,
    /// The signing keys are made ready.
    Auth,
    /// The certificate is made ready.
    Certificate,
    /// A socket is bound.
    Bind,
}

#[cfg(any(test, feature = "failpoints"))]
pub(crate) use on::FailPoints;
#[cfg(test)]
pub(crate) use on::Fault;

#[cfg(any(test, feature = "failpoints"))]
mod on {
    use super::Step;
    use crate::config::environment::Environment;
    use crate::problem::{Place, Problem};
    use std::sync::{Arc, Mutex, PoisonError};

    /// How a step fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// It says that it failed.
        Error,
        /// It panics.
        Panic,
    }

    impl Step {
        /// All of them, in order.
        pub(crate) const ALL: [Self; 8] = [
            Self::Read,
            Self::Compile,
            Self::Diff,
            Self::OpenStore,
            Self::ProveStore,
            Self::Auth,
            Self::Certificate,
            Self::Bind,
        ];

        const fn as_str(self) -> &'static str {
            match self {
                Self::Read => "read",
                Self::Compile => "compile",
                Self::Diff => "diff",
                Self::OpenStore => "open_store",
                Self::ProveStore => "prove_store",
                Self::Auth => "auth",
                Self::Certificate => "certificate",
                Self::Bind => "bind",
            }
        }
    }

    /// The faults of this process: at most one at a time.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct FailPoints(Arc<Mutex<Option<(Step, Fault)>>>);

    impl FailPoints {
        /// From the variable `FAILPOINTS`, as in `prove_store=panic` or `bind=error`.
        pub(crate) fn from_environment(environment: &Environment) -> Self {
            let points = Self::default();
            let wish = environment.text("FAILPOINTS").and_then(|text| text.split_once('='));
            if let Some((step, fault)) = wish
                && let Some(step) = Step::ALL.into_iter().find(|known| known.as_str() == step)
            {
                points.set(Some((step, if fault == "panic" { Fault::Panic } else { Fault::Error })));
            }
            points
        }

        /// Arms one of them, or none.
        pub(crate) fn set(&self, fault: Option<(Step, Fault)>) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        }

        /// Fails where it is told to.
        pub(crate) fn at(&self, step: Step) -> Result<(), Box<Problem>> {
            let armed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match armed {
                Some((at, Fault::Error)) if at == step => {
                    let message = format!("the fail point {} was hit", step.as_str());
                    Err(Box::new(Problem::new(Place::Nowhere, "", message)))
                }
                Some((at, Fault::Panic)) if at == step => panic!("the fail point {} was hit", step.as_str()),
                _ => Ok(()),
            }
        }
    }
}

#[cfg(not(any(test, feature = "failpoints")))]
pub(crate) use off::FailPoints;

#[cfg(not(any(test, feature = "failpoints")))]
mod off {
    use super::Step;
    use crate::config::environment::Environment;
    use crate::problem::Problem;

    /// Nothing.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct FailPoints;

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same form as the one that can fail")]
    impl FailPoints {
        pub(crate) const fn from_environment(_: &Environment) -> Self {
            Self
        }

        pub(crate) const fn at(&self, _: Step) -> Result<(), Box<Problem>> {
            Ok(())
        }
    }
}
