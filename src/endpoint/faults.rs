//! Injected faults: a bad link on purpose, seeded and repeatable.

/// The FAKE_… keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultSettings {}
